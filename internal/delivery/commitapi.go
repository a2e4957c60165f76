package delivery

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/liverty-music/image-writeback/internal/forge"
	"github.com/liverty-music/image-writeback/internal/gitwrite"
)

// asideSuffix ends the name of the branch that commits are made on where the head
// of an open pull request is made again: GitHub closes a pull request whose head is
// put back to its base, even for a moment.
const asideSuffix = ".new"

// apiUpdate is a branch whose commits the forge's API makes.
type apiUpdate struct {
	*branchUpdate
	// on is the branch that the commits are made on: the branch itself, or one aside.
	on string
}

// commitByAPI makes commits by the forge's API, one request for each. It returns
// the branches that are left to be pushed: those to be deleted, and those with a
// file whose mode the API cannot write. Branches that do not exist yet, or are made
// again, are moved by a push before and after.
func (b *gitBatch) commitByAPI(
	ctx context.Context, committer forge.Committer, updates []*branchUpdate,
) (rest []*branchUpdate) {
	var byAPI []apiUpdate
	var before []gitwrite.RefUpdate
	for _, u := range updates {
		if !canCommitByAPI(u) {
			rest = append(rest, u)
			continue
		}
		update := apiUpdate{u, u.Branch}
		switch {
		case u.Old.IsZero():
			before = append(before, gitwrite.RefUpdate{Branch: u.Branch, New: u.parent})
		case u.Old != u.parent:
			update.on = u.Branch + asideSuffix
			if old := b.snapshot.Head(update.on); old != u.parent { // else the program ended right here before
				before = append(before, gitwrite.RefUpdate{Branch: update.on, Old: old, New: u.parent})
			}
		}
		byAPI = append(byAPI, update)
	}

	if err := b.moveBefore(ctx, before); err != nil {
		for _, u := range byAPI {
			u.fail(err)
		}
		return rest
	}

	var aside []apiUpdate
	for _, u := range byAPI {
		switch {
		case !b.commitDrafts(ctx, committer, u):
		case u.on != u.Branch:
			aside = append(aside, u)
		default:
			b.repository.NoteHead(b.snapshot, u.Branch, u.New)
			b.accepted(u.branchUpdate)
		}
	}

	b.moveAfter(ctx, aside)
	return rest
}

// canCommitByAPI reports whether the API can make the commits of a branch. Where it
// cannot because of a file, the outcomes say so.
func canCommitByAPI(u *branchUpdate) bool {
	i := slices.IndexFunc(u.drafts, func(d *draft) bool { return d.notRegular != "" })
	if i < 0 {
		return len(u.drafts) > 0
	}
	for _, t := range u.tasks() {
		t.outcome.ByPush = fmt.Sprintf("%s has another mode than 100644, which GitHub's API cannot write, "+
			"so the commit was pushed and GitHub has not signed it", u.drafts[i].notRegular)
	}
	return false
}

// moveBefore moves branches to the commits that new ones are made on.
func (b *gitBatch) moveBefore(ctx context.Context, refs []gitwrite.RefUpdate) error {
	if len(refs) == 0 {
		return nil
	}

	if !b.owns() {
		return b.failed("committing", errors.New("another replica has taken over"), "nothing is to be done")
	}

	refused, err := b.repository.MoveBranches(ctx, b.snapshot, refs)
	if err != nil {
		return err
	}

	for branch, why := range refused {
		return b.failed("making branch "+branch, errors.New("the server refused: "+why),
			"allow the App or user to make this branch; it is tried again in the next cycle")
	}

	return nil
}

// commitDrafts makes the commits of one branch, one after the other. It returns
// false where the tasks have failed, or wait to be tried again.
func (b *gitBatch) commitDrafts(ctx context.Context, committer forge.Committer, u apiUpdate) bool {
	if !b.owns() {
		u.handOver()
		return false
	}

	u.New = u.parent
	for i, d := range u.drafts {
		hash, err := committer.Commit(ctx, u.on, u.New.String(), d.message, d.files)
		switch {
		case errors.Is(err, forge.ErrConflict):
			return false // a lost race: the tasks stay pending
		case err != nil:
			for _, rest := range u.drafts[i:] {
				for _, t := range rest.tasks {
					t.fail(err)
				}
			}
			return false
		}
		u.New = gitwrite.ParseHash(hash)
		for _, t := range d.tasks {
			t.outcome.Commit, t.outcome.Kind = hash, Committed
			t.pending = t.PullRequest != nil // the head of a pull request is made as a whole
		}
	}

	return true
}

// moveAfter moves heads to what was made aside, unless somebody has pushed to them
// in between, and deletes the branches aside.
func (b *gitBatch) moveAfter(ctx context.Context, aside []apiUpdate) {
	if len(aside) == 0 {
		return
	}

	var refs []gitwrite.RefUpdate
	for _, u := range aside {
		refs = append(refs, u.RefUpdate, gitwrite.RefUpdate{Branch: u.on, Old: u.New})
	}

	refused, err := b.repository.MoveBranches(ctx, b.snapshot, refs)
	for _, u := range aside {
		switch {
		case err != nil:
			u.fail(err)
		case refused[u.Branch] == "":
			b.accepted(u.branchUpdate)
		}
	}
}
