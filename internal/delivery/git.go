package delivery

import (
	"context"
	"fmt"
	"math/rand/v2"
	"path"
	"slices"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"

	"github.com/liverty-music/image-writeback/internal/forge"
	"github.com/liverty-music/image-writeback/internal/giturl"
	"github.com/liverty-music/image-writeback/internal/gitwrite"
	"github.com/liverty-music/image-writeback/internal/limit"
	"github.com/liverty-music/image-writeback/internal/plan"
)

// Options are the settings of a [Service].
type Options struct {
	// Author of commits; empty fields: the account at the forge, else
	// image-writeback.
	Author  gitwrite.Signature
	SignOff bool
	Signer  *gitwrite.Signer // nil: commits are not signed
	// Combined creates one commit for all works on a branch.
	Combined bool
	// CommitViaAPI creates commits through the forge, if it is a [forge.Committer].
	CommitViaAPI bool
	Message      *Message
	// Forge returns a repository at its forge, for pull requests. It returns nil if
	// no forge with credentials has the repository. nil: no forge is configured.
	Forge func(address giturl.Address) forge.Repository
	// Applications is nil if Applications are read from files.
	Applications Applications
	Now          func() time.Time // nil: time.Now
}

// gitWriter writes to git repositories: write-back-method git.
type gitWriter struct {
	options Options

	// last is the result of the previous cycle for each pull request, by head branch.
	last *lru.Cache[repositoryKey, lastState]
	// asides are the works that are kept out of pushes, by [task.asideKey].
	asides *limit.Asides[repositoryKey]
}

// repositoryKey is a key within a repository.
type repositoryKey struct {
	repository *gitwrite.Repository
	key        string
}

// mostRemembered bounds how many pull requests are remembered. What was forgotten costs
// requests.
const mostRemembered = 20_000

func newGitWriter(options Options) *gitWriter {
	if options.Now == nil {
		options.Now = time.Now
	}

	last, err := lru.New[repositoryKey, lastState](mostRemembered)
	if err != nil {
		panic(err) // the size is positive
	}

	return &gitWriter{options: options, last: last, asides: limit.NewAsides[repositoryKey](options.Now)}
}

func (w *gitWriter) forge(r *gitwrite.Repository) forge.Repository {
	if w.options.Forge == nil {
		return nil
	}
	return w.options.Forge(giturl.Parse(r.URL()))
}

// task is one work in progress.
type task struct {
	plan.Work
	outcome Outcome
	// pending: it is not committed yet.
	pending bool
}

func (t *task) fail(err error) {
	t.pending = false
	t.outcome.fail(err)
}

func (t *task) skip(note string) {
	t.pending = false
	t.outcome.skip(note)
}

// handOver ends the task, because another replica now does it.
func (t *task) handOver() {
	t.outcome.Commit, t.outcome.Changes = "", nil
	t.skip("another replica has taken over its repository")
}

// branch returns the branch to commit to.
func (t *task) branch() string {
	if t.Write != "" {
		return t.Write
	}
	return t.Base
}

// wants returns the files that the task needs.
func (t *task) wants() []gitwrite.Want {
	folder, name := path.Dir(t.File), path.Base(t.File)
	return []gitwrite.Want{
		{Branch: t.Base, Folder: folder, Names: name},
		{Branch: t.Write, Folder: folder, Names: name},
	}
}

// gitBatch is the works of one repository.
type gitBatch struct {
	writer     *gitWriter
	repository *gitwrite.Repository
	forge      forge.Repository // nil: pull requests are not possible
	snapshot   *gitwrite.Snapshot
	owns       func() bool
	author     gitwrite.Signature

	tasks []*task
	pulls []*pullRequest
	// open has all open pull requests by their head; nil until they are listed.
	open map[string]*forge.PullRequest
	// openErr is the error of listing them.
	openErr error
	// removals are the branches that the next push deletes.
	removals []string
	division division
	repaired bool // the mirror was made again
}

// Examine looks up the pull requests for which something changed, with one listing
// for all. It sends no request if nothing changed.
func (w *gitWriter) Examine(ctx context.Context, job Job) Batch {
	b := &gitBatch{
		writer: w, repository: job.Repository, forge: w.forge(job.Repository),
		snapshot: job.Snapshot, owns: job.Owns,
	}

	for _, work := range job.Works {
		t := &task{Work: work, outcome: Outcome{Application: work.Application}}
		t.pending = work.PullRequest == nil
		b.tasks = append(b.tasks, t)
	}

	b.groupPullRequests()
	for _, p := range b.pulls {
		b.advance(ctx, p, step.looksUp)
	}

	return b
}

// Write commits and pushes all branches at once. It starts from the heads of the
// snapshot. If a head has moved, Write repeats the edits on the new head.
func (b *gitBatch) Write(ctx context.Context) {
	for _, p := range b.pulls {
		b.advance(ctx, p, func(s step) bool { return !s.proposes() })
		p.startCommit()
	}

	b.commit(ctx)
	for _, p := range b.pulls {
		b.collectProposed(p)
	}
}

// Texts returns the pull requests that will be opened or edited.
func (b *gitBatch) Texts() []Text {
	var needed []Text
	for _, p := range b.pulls {
		if p.needsText() {
			needed = append(needed, Text{p.PullRequest, p.proposed})
		}
	}

	return needed
}

// Finish opens and edits pull requests, and deletes the branches that are no longer
// needed.
func (b *gitBatch) Finish(ctx context.Context) []Outcome {
	for _, p := range b.pulls {
		b.propose(ctx, p)
	}

	if len(b.removals) > 0 {
		b.attempt(ctx)
	}

	outcomes := make([]Outcome, len(b.tasks))
	for i, t := range b.tasks {
		outcomes[i] = t.outcome
	}

	if slices.ContainsFunc(outcomes, func(o Outcome) bool { return o.Kind == Failed }) {
		b.repository.Forget() // the heads may have moved
	}

	return outcomes
}

// maxAttempts limits how often a push is repeated after lost races.
const maxAttempts = 12

// commit creates and pushes the commits of all pending tasks, and deletes the
// branches that are no longer needed.
func (b *gitBatch) commit(ctx context.Context) {
	b.leaveAside()
	if b.isPending() {
		b.author = b.signature(ctx)
	}
	defer b.setAside()

	for attempt := 1; b.isPending() || len(b.removals) > 0; attempt++ {
		if err := ctx.Err(); err != nil {
			err = fmt.Errorf("it took too long: %w", err)
			b.failPending(b.failed("pushing", err, "it is tried again in the next cycle"))
			return
		}
		if attempt > maxAttempts+b.division.pushes {
			err := fmt.Errorf("others pushed first %d times in a row", maxAttempts)
			b.failPending(b.failed("pushing", err, "it is tried again in the next cycle"))
			return
		}

		if attempt > 1 && b.division.refused == 0 {
			pause(ctx, attempt)
		}
		if attempt > 1 || !b.headsAreHere() {
			if err := b.refresh(ctx); err != nil {
				b.failPending(err)
				return
			}
		}
		b.attempt(ctx)
	}
}

func (b *gitBatch) isPending() bool {
	return slices.ContainsFunc(b.tasks, func(t *task) bool { return t.pending })
}

// failed returns an error of the repository with its remedy.
func (b *gitBatch) failed(doing string, err error, remedy string) error {
	return &gitwrite.Error{Repository: b.repository.URL(), Doing: doing, Err: err, Remedy: remedy}
}

// failPending ends all pending tasks with an error. The next cycle deletes branches.
func (b *gitBatch) failPending(err error) {
	for _, t := range b.tasks {
		if t.pending {
			t.fail(err)
		}
	}
	b.removals = nil
}

// signature returns the author of commits: the configured one, else the account at
// the forge, else image-writeback.
func (b *gitBatch) signature(ctx context.Context) gitwrite.Signature {
	author := b.writer.options.Author
	if author.Name != "" && author.Email != "" {
		return author
	}

	var found gitwrite.Signature
	if b.forge != nil {
		found.Name, found.Email = b.forge.Author(ctx)
	}

	if found.Name == "" {
		found = gitwrite.Signature{Name: "image-writeback", Email: "image-writeback@localhost"}
	}

	if author.Name == "" {
		author.Name = found.Name
	}

	if author.Email == "" {
		author.Email = found.Email
	}

	return author
}

// pause waits for a random time, so that competing writers do not collide again.
func pause(ctx context.Context, attempt int) {
	longest := min(25*time.Millisecond<<attempt, 2*time.Second)
	timer := time.NewTimer(rand.N(longest)) //nolint:gosec // not a secret
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	}
}

// headsAreHere reports whether all heads that pending tasks build on are fetched.
func (b *gitBatch) headsAreHere() bool {
	for _, t := range b.tasks {
		for _, branch := range []string{t.Base, t.Write} {
			head := b.snapshot.Head(branch)
			if t.pending && !head.IsZero() && !b.repository.Has(head) {
				return false
			}
		}
	}
	return true
}

// refresh reads the heads again, and fetches new commits and the files to edit. It
// reconsiders pull requests: somebody may have pushed to their heads since the plan.
func (b *gitBatch) refresh(ctx context.Context) error {
	var wants []gitwrite.Want
	for _, t := range b.tasks {
		if t.pending {
			wants = append(wants, t.wants()...)
		}
	}

	snapshot, err := b.repository.Refresh(ctx, wants)
	if err != nil {
		return err
	}

	b.snapshot = snapshot

	for _, p := range b.pulls {
		if p.isPending() {
			b.readHeadAgain(p)
			b.advance(ctx, p, func(s step) bool { return !s.proposes() })
		}
	}

	return nil
}
