package delivery

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/liverty-music/image-writeback/internal/forge"
	"github.com/liverty-music/image-writeback/internal/gitwrite"
)

// asideSuffix ends the name of the temporary branch on which the head of an open
// pull request is rebuilt: GitHub closes a pull request whose head is reset to its
// base, even for a moment.
const asideSuffix = ".new"

// apiUpdate is a branch whose commits the forge's API creates.
type apiUpdate struct {
	*branchUpdate
	// on is the branch that receives the commits: the branch itself, or a temporary one.
	on string
}

// commitByAPI creates commits through the forge's API, with one request for each. It
// returns the branches that must be pushed instead: branches to delete, and branches
// with a file whose mode the API cannot write. A branch that is new or rebuilt is
// moved by a push before the commits, and a rebuilt one by another push after them.
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
			if old := b.snapshot.Head(update.on); old != u.parent { // equal: an earlier run stopped here
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

// canCommitByAPI reports whether the API can create the commits of a branch. If a
// file prevents it, the outcomes say so.
func canCommitByAPI(u *branchUpdate) bool {
	i := slices.IndexFunc(u.drafts, func(d *draft) bool { return d.notRegular != "" })
	if i < 0 {
		return len(u.drafts) > 0
	}
	for _, t := range u.tasks() {
		t.outcome.ByPush = fmt.Sprintf("%s does not have the mode 100644, and GitHub's API cannot write other modes, "+
			"so the commit was pushed and is not signed by GitHub", u.drafts[i].notRegular)
	}
	return false
}

// moveBefore moves branches to the parents of their new commits.
func (b *gitBatch) moveBefore(ctx context.Context, refs []gitwrite.RefUpdate) error {
	if len(refs) == 0 {
		return nil
	}

	if !b.owns() {
		return b.failed("committing", errors.New("another replica has taken over"), "no action is needed")
	}

	refused, err := b.repository.MoveBranches(ctx, b.snapshot, refs)
	if err != nil {
		return err
	}

	for branch, why := range refused {
		return b.failed("creating branch "+branch, errors.New("the server refused: "+why),
			"allow the App or user to create this branch; it is tried again in the next cycle")
	}

	return nil
}

// commitDrafts creates the commits of one branch, one after the other. It returns
// false if the tasks failed, or stay pending for another attempt.
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
			b.commitRefused(u, i, err)
			return false
		}
		u.New = gitwrite.ParseHash(hash)
		for _, t := range d.tasks {
			t.outcome.Commit, t.outcome.Kind = hash, Committed
			t.pending = t.PullRequest != nil // all commits of a head count, or none
		}
	}

	return true
}

// commitRefused ends the tasks of a commit that the forge did not make. Those after
// it are tried again without it, unless the forge has refused another one before.
func (b *gitBatch) commitRefused(u apiUpdate, i int, err error) {
	b.division.refused++
	last := i + 1
	if u.drafts[i].tasks[0].PullRequest != nil || b.division.refused > 1 {
		last = len(u.drafts)
	}

	for _, d := range u.drafts[i:last] {
		for _, t := range d.tasks {
			t.fail(err)
		}
	}
}

// moveAfter moves heads to the commits on their temporary branches, unless somebody
// has pushed to the heads in between, and deletes the temporary branches.
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
