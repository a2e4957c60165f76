package delivery

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"

	"github.com/liverty-music/image-writeback/internal/forge"
	"github.com/liverty-music/image-writeback/internal/gitwrite"
	"github.com/liverty-music/image-writeback/internal/image"
	"github.com/liverty-music/image-writeback/internal/plan"
)

// pullRequest is the pull request of one head branch, for all tasks that share it.
type pullRequest struct {
	*plan.PullRequest
	head, base string
	tasks      []*task
	// key identifies what the pull request should contain; see [keyOf].
	key   string
	state state
	// finished: there is nothing more to do in this cycle.
	finished bool

	open   *forge.PullRequest  // nil: none is open, or it was not looked up
	closed []forge.PullRequest // newest first
	// otherAuthor is somebody else who has a commit on the head.
	otherAuthor string
	// declinedBy is the newest pull request that was closed to decline the changes.
	declinedBy *forge.PullRequest
	// proposed has the changes that the pull request shows.
	proposed []image.Change
	opened   bool
	note     string // why nothing is committed
}

// lastState is the state of a pull request at the end of the previous cycle. If its
// head and key are the same again, no request is sent.
type lastState struct {
	head gitwrite.Hash // zero: the branch does not exist
	key  string
	url  string
	note string // why nothing was done
}

func (w *gitWriter) lastState(r *gitwrite.Repository, head string) (lastState, bool) {
	return w.last.Get(repositoryKey{r, head})
}

func (w *gitWriter) setLastState(r *gitwrite.Repository, head string, last lastState) {
	w.last.Add(repositoryKey{r, head}, last)
}

func (w *gitWriter) forgetLastState(r *gitwrite.Repository, head string) {
	w.last.Remove(repositoryKey{r, head})
}

// groupPullRequests groups the tasks by the head of their pull request, and computes
// the state of each pull request without sending requests.
func (b *gitBatch) groupPullRequests() {
	byHead := map[string]*pullRequest{}
	for _, t := range b.tasks {
		if t.PullRequest == nil {
			continue
		}
		p := byHead[t.Write]
		if p == nil {
			p = &pullRequest{PullRequest: t.PullRequest, head: t.Write, base: t.Base}
			byHead[t.Write] = p
			b.pulls = append(b.pulls, p)
		}
		if p.base != t.Base {
			err := fmt.Errorf("another Application proposes to merge it into %s, but this one into %s",
				p.base, t.Base)
			t.fail(b.failed("proposing from branch "+p.head, err,
				"give each its own branch, with the branch template or the annotation git-branch"))
			continue
		}
		p.tasks = append(p.tasks, t)
	}

	for _, p := range b.pulls {
		b.initialState(p)
	}
}

// initialState computes the state without sending requests.
func (b *gitBatch) initialState(p *pullRequest) {
	head := b.snapshot.Head(p.head)
	s := state{settled: true, headExists: !head.IsZero(), ownBranch: p.OwnBranch}
	proposed := true
	for _, t := range p.tasks {
		s.settled = s.settled && t.Settled
		proposed = proposed && t.Proposed
	}

	s.stale = !s.settled && (!proposed || p.AutoMerge && b.isBehind(p))

	p.key = keyOf(p, s.settled)
	last, ok := b.writer.lastState(b.repository, p.head)
	s.unchanged = ok && last.key == p.key && last.head == head && (!s.stale || last.note != "")
	p.state = s
}

// keyOf returns a key that differs whenever a pull request should contain something
// else: another text, base or change.
func keyOf(p *pullRequest, settled bool) string {
	sum := sha256.New()
	_, _ = fmt.Fprintf(sum, "%s\n%s\n%v\n", p.Key, p.base, settled)
	for _, c := range p.planned() {
		_, _ = fmt.Fprintf(sum, "%s %s\n", changeID(c), c.Old)
	}
	return hex.EncodeToString(sum.Sum(nil)[:8])
}

// planned returns the changes of all tasks.
func (p *pullRequest) planned() []image.Change {
	var all []image.Change
	for _, t := range p.tasks {
		all = append(all, t.Planned...)
	}
	return all
}

// isBehind reports whether the head is not built on the newest commit of its base.
func (b *gitBatch) isBehind(p *pullRequest) bool {
	stage := b.repository.NewStage()
	base := b.snapshot.Head(p.base)
	for at := b.snapshot.Head(p.head); ; {
		commit, err := stage.Commit(at)
		if err != nil || len(commit.Parents) != 1 || !madeByUs(commit.Author, commit.Committer, commit.Message) {
			return true
		}
		if at = commit.Parents[0]; at == base {
			return false
		}
	}
}

// needsText reports whether the pull request will be opened or edited.
func (p *pullRequest) needsText() bool {
	if p.finished || len(p.proposed) == 0 {
		return false
	}
	s := next(p.state)

	return s == stepOpen || s == stepEdit
}

// startCommit marks the tasks as pending if the next step is to commit.
func (p *pullRequest) startCommit() {
	if p.finished || next(p.state) != stepCommit {
		return
	}
	for _, t := range p.tasks {
		t.pending = !t.Settled
	}
}

func (p *pullRequest) isPending() bool {
	return slices.ContainsFunc(p.tasks, func(t *task) bool { return t.pending })
}

// fail ends a pull request with an error for all of its tasks.
func (p *pullRequest) fail(err error) {
	p.finished = true
	for _, t := range p.tasks {
		t.fail(err)
	}
}

// listOpen looks up the open pull request of a head. It lists all of them at once.
func (b *gitBatch) listOpen(ctx context.Context, p *pullRequest) error {
	if b.open == nil && b.openErr == nil {
		b.open, b.openErr = b.openPullRequests(ctx)
	}

	if b.openErr != nil {
		return b.openErr
	}

	p.open = b.open[p.head]
	p.state.open = p.openState()
	return nil
}

// openPullRequests returns the open pull requests by their head.
func (b *gitBatch) openPullRequests(ctx context.Context) (map[string]*forge.PullRequest, error) {
	if b.forge == nil {
		return nil, b.failed("opening a pull request",
			errors.New("the repository is not on GitHub or GitLab, or no credentials for it are configured"),
			"configure credentials for it")
	}

	listed, err := b.forge.OpenPullRequests(ctx)
	if err != nil {
		return nil, err
	}

	open := map[string]*forge.PullRequest{}
	for i := range listed {
		open[listed[i].Head] = &listed[i]
	}

	return open, nil
}

// openState returns the state of the open pull request. If its record has the
// current key, people's edits of the text are kept.
func (p *pullRequest) openState() openState {
	if p.open == nil {
		return openNone
	}
	record, _ := recordOf(p.open.Body)
	if record.Key != p.key || p.open.Base != p.base {
		return openOutdated
	}
	return p.completeState()
}

// completeState returns the state of an open pull request whose text is current.
func (p *pullRequest) completeState() openState {
	if p.open.Untouched { // the program may have stopped right after opening it
		return openUnfinished
	}
	return openCurrent
}

// findAuthors finds out who else has commits on a head. On a branch with a name that
// this program generated, only the newest commit is checked, because the branch is
// always rebuilt on the base. On other branches, all commits are checked.
func (b *gitBatch) findAuthors(ctx context.Context, p *pullRequest) (err error) {
	p.otherAuthor, err = b.otherAuthor(ctx, p)
	p.state.authors = authorsOnlyUs
	if p.otherAuthor != "" {
		p.state.authors = authorsOthers
	}
	return err
}

func (b *gitBatch) otherAuthor(ctx context.Context, p *pullRequest) (string, error) {
	newest, err := b.repository.NewStage().Commit(b.snapshot.Head(p.head))
	if err != nil {
		return "", err
	}

	if !madeByUs(newest.Author, newest.Committer, newest.Message) {
		return newest.Committer.Name, nil
	}

	if p.OwnBranch || len(newest.Parents) == 1 && newest.Parents[0] == b.snapshot.Head(p.base) {
		return "", nil
	}

	if p.open == nil {
		return "somebody (without an open pull request, only the newest commit can be checked)", nil
	}

	commits, err := b.forge.Commits(ctx, *p.open)
	if i := slices.IndexFunc(commits, isForeign); i >= 0 {
		return commits[i].CommitterName, nil
	}

	return "", err
}

// isForeign reports whether somebody else made a commit.
func isForeign(c forge.Commit) bool {
	author := gitwrite.Signature{Name: c.AuthorName, Email: c.AuthorEmail}
	committer := gitwrite.Signature{Name: c.CommitterName, Email: c.CommitterEmail}
	return !madeByUs(author, committer, c.Message)
}

// listClosed looks up the closed pull requests of a head, and finds out whether
// people declined the changes by closing one.
func (b *gitBatch) listClosed(ctx context.Context, p *pullRequest) (err error) {
	if p.closed, err = b.forge.ClosedPullRequests(ctx, p.head); err != nil {
		return err
	}
	p.declinedBy = declinedBy(p.closed, p.planned(), p.Title)
	p.state.closed = closedState{lookedUp: true, declined: p.declinedBy != nil}
	b.compareMerged(p)
	return nil
}

// compareMerged finds out whether the newest closed pull request was merged with the
// current head.
func (b *gitBatch) compareMerged(p *pullRequest) {
	p.state.closed.headMerged = len(p.closed) > 0 && p.closed[0].Merged &&
		p.closed[0].HeadSHA == b.snapshot.Head(p.head).String()
}

// readHeadAgain updates the state from a newer snapshot: somebody may have pushed to
// the head, or deleted it.
func (b *gitBatch) readHeadAgain(p *pullRequest) {
	p.state.headExists = !b.snapshot.Head(p.head).IsZero()
	p.state.authors = authorsUnknown
	b.compareMerged(p)
}
