package gitwrite

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/liverty-music/image-writeback/internal/forge"
)

// maxAttempts bounds how often a push is made anew after lost races.
const maxAttempts = 12

// writing is one Write under way.
type writing struct {
	repo     *Repository
	author   Signature
	works    []Work
	outcomes []Outcome
	pending  []bool // works that are not decided yet
	requests []*request
	open     map[string]*forge.PullRequest // by head, once they were asked for
	removals []string                      // branches to be deleted
	heads    *heads
	ours     func() bool
}

// Write commits works and pushes them, all branches at once, and sees to
// their pull requests. It begins at the heads of snapshot; where one has
// moved, the edits are made anew. There is an Outcome for each work, in order.
// ours is asked right before whatever changes the remote whether the repository
// is still ours to write to: the process may have been halted for long.
func (r *Repository) Write(ctx context.Context, snapshot *Snapshot, works []Work, ours func() bool) []Outcome {
	r.mu.Lock()
	defer r.mu.Unlock()
	w := &writing{repo: r, works: works, outcomes: make([]Outcome, len(works)), pending: make([]bool, len(works)), heads: snapshot.heads, ours: ours}
	for i := range works {
		w.outcomes[i].Application = works[i].Application
	}
	w.gather()
	w.consult(ctx)
	if slices.Contains(w.pending, true) {
		w.author = r.signature(ctx)
	}
	for attempt := 1; slices.Contains(w.pending, true) || len(w.removals) > 0; attempt++ {
		if err := ctx.Err(); err != nil {
			w.failAll(r.remote.failed("pushing", err))
			break
		}
		if attempt > maxAttempts {
			w.failAll(&Error{Repository: r.URL(), Doing: "pushing", Err: fmt.Errorf("others pushed faster %d times in a row", maxAttempts), Remedy: "it is tried again in the next cycle"})
			break
		}
		if attempt > 1 {
			w.wait(ctx, attempt)
		}
		if attempt > 1 || !w.headsKnown() {
			if err := w.bringForward(ctx); err != nil {
				w.failAll(err)
				break
			}
		}
		w.attempt(ctx)
	}
	w.offer(ctx)
	if len(w.removals) > 0 {
		w.attempt(ctx)
	}
	if slices.ContainsFunc(w.outcomes, func(o Outcome) bool { return o.Err != nil }) {
		r.heads.heads = nil // something was not as we believed
	}
	return w.outcomes
}

// signature is the author of commits: the configured one, else who we are at
// the forge, else image-writeback.
func (r *Repository) signature(ctx context.Context) Signature {
	author := r.options.Author
	if author.Name != "" && author.Email != "" {
		return author
	}
	found := Signature{}
	if r.forge != nil {
		found.Name, found.Email = r.forge.Author(ctx)
	}
	if found.Name == "" {
		found = Signature{Name: "image-writeback", Email: "image-writeback@localhost"}
	}
	if author.Name == "" {
		author.Name = found.Name
	}
	if author.Email == "" {
		author.Email = found.Email
	}
	return author
}

// wait lets competing writers out of step.
func (w *writing) wait(ctx context.Context, attempt int) {
	longest := min(25*time.Millisecond<<attempt, 2*time.Second)
	timer := time.NewTimer(rand.N(longest)) //nolint:gosec // a pause is no secret
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	}
}

func (w *writing) failAll(err error) {
	for i := range w.works {
		if w.pending[i] {
			w.pending[i], w.outcomes[i].Err, w.outcomes[i].Commit = false, err, ""
		}
	}
	w.removals = nil // the next cycle sees to them
}

// handOver notes that a work is another replica's by now.
func (w *writing) handOver(i int) {
	w.pending[i], w.outcomes[i].Commit, w.outcomes[i].Changes = false, "", nil
	w.outcomes[i].Note = "another replica has taken over its repository"
}

// headsKnown tells whether the heads that works build on were all read.
func (w *writing) headsKnown() bool {
	for i, work := range w.works {
		for _, branch := range []string{work.Base, work.Write} {
			if head, ok := w.heads.branches[branch]; ok && w.pending[i] && !w.repo.mirror.has(head) {
				return false
			}
		}
	}
	return true
}

// bringForward asks for the heads again and fetches what is new, with the
// blobs that are to be edited.
func (w *writing) bringForward(ctx context.Context) error {
	h, err := w.repo.advertise(ctx)
	if err != nil {
		return err
	}
	w.heads = h
	var wants []Want
	for i, work := range w.works {
		if w.pending[i] {
			folder, name := splitPath(work.File)
			for _, branch := range []string{work.Base, work.Write} {
				wants = append(wants, Want{Branch: branch, Folder: folder, Names: name})
			}
		}
	}
	if _, err = w.repo.read(ctx, h, wants); err != nil {
		return err
	}
	return w.recheck(ctx)
}
