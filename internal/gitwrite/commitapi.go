package gitwrite

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/go-git/go-git/v5/plumbing"

	"github.com/liverty-music/image-writeback/internal/forge"
)

// asideSuffix ends the name of the branch that commits are made on where the
// head of an open pull request is made anew: GitHub closes a pull request whose
// head is put back to its base, even for a moment.
const asideSuffix = ".new"

// commitBy makes commits through the forge's API, one request for each, and
// returns the branches that are left to be pushed: those to be deleted, and
// those with a file whose mode the API cannot write. Branches that do not exist
// yet, or are made anew, are put in place by a push before and after.
func (w *writing) commitBy(ctx context.Context, api forge.Committer, updates map[string]*branchUpdate, order []string) (rest []string) {
	var by []*branchUpdate
	on := map[*branchUpdate]string{} // the branch that the commits are made on
	var before []refUpdate
	for _, branch := range order {
		u := updates[branch]
		odd := slices.IndexFunc(u.drafts, func(d *draft) bool { return d.odd != "" })
		if len(u.drafts) == 0 || odd >= 0 {
			for _, i := range u.works() {
				w.outcomes[i].ByPush = fmt.Sprintf("%s has another mode than 100644, which GitHub's API cannot write, so the commit was pushed and GitHub has not signed it", u.drafts[odd].odd)
			}
			rest = append(rest, branch)
			continue
		}
		by = append(by, u)
		switch on[u] = u.branch; {
		case u.old.IsZero():
			before = append(before, refUpdate{branch: u.branch, new: u.parent})
		case u.old != u.parent:
			on[u] = u.branch + asideSuffix
			if old := w.heads.branches[on[u]]; old != u.parent { // we may have been killed here
				before = append(before, refUpdate{branch: on[u], old: old, new: u.parent})
			}
		}
	}
	if len(by) == 0 {
		return rest
	}
	if err := w.place(ctx, before); err != nil {
		for _, u := range by {
			w.failWorks(u.works(), err)
		}
		return rest
	}
	var after []refUpdate
	for _, u := range by {
		if !w.commitAll(ctx, api, u, on[u]) {
			continue
		}
		if on[u] != u.branch {
			after = append(after, u.refUpdate, refUpdate{branch: on[u], old: u.new})
			continue
		}
		w.committed(u)
	}
	w.swap(ctx, updates, after)
	return rest
}

// emptyPack is what goes with a push of commits that the server has.
var emptyPack = []byte("PACK\x00\x00\x00\x02\x00\x00\x00\x00\x02\x9d\x08\x82\x3b\xd8\xa8\xea\xb5\x10\xad\x6a\xc7\x5c\x82\x3c\xfd\x3e\xd3\x1e")

// place has branches point to commits that the server has.
func (w *writing) place(ctx context.Context, refs []refUpdate) error {
	if len(refs) == 0 {
		return nil
	}
	if !w.ours() {
		return &Error{Repository: w.repo.URL(), Doing: "committing", Err: errors.New("another replica has taken over"), Remedy: "nothing is to be done"}
	}
	refused, err := w.repo.remote.push(ctx, refs, emptyPack)
	if err != nil {
		return err
	}
	for branch, why := range refused {
		return &Error{Repository: w.repo.URL(), Doing: "making branch " + branch, Err: errors.New("the server refused: " + why), Remedy: "allow the App or user to make this branch; it is tried again in the next cycle"}
	}
	for _, ref := range refs {
		w.heads.branches[ref.branch] = ref.new
	}
	return nil
}

// commitAll makes the commits of one branch on a branch, one after the other.
// It returns false where the works have failed, or wait to be tried again.
func (w *writing) commitAll(ctx context.Context, api forge.Committer, u *branchUpdate, on string) bool {
	if !w.ours() {
		for _, i := range u.works() {
			w.handOver(i)
		}
		return false
	}
	u.new = u.parent
	for n, d := range u.drafts {
		hash, err := api.Commit(ctx, on, u.new.String(), d.message, d.files)
		switch {
		case errors.Is(err, forge.ErrConflict):
			return false // a lost race: pending, on the new head
		case err != nil:
			for _, rest := range u.drafts[n:] {
				w.failWorks(rest.works, err)
			}
			return false
		}
		u.new = plumbing.NewHash(hash)
		for _, i := range d.works {
			w.outcomes[i].Commit = hash
			w.pending[i] = w.works[i].PullRequest != nil // its head is made as a whole
		}
	}
	return true
}

// swap has heads point to what was made aside, unless somebody has pushed to
// them meanwhile, and deletes the branches aside.
func (w *writing) swap(ctx context.Context, updates map[string]*branchUpdate, after []refUpdate) {
	if len(after) == 0 {
		return
	}
	refused, err := w.repo.remote.push(ctx, after, emptyPack)
	for _, ref := range after {
		u := updates[ref.branch]
		switch {
		case u == nil: // one aside
		case err != nil:
			w.failWorks(u.works(), err)
		case refused[ref.branch] == "":
			w.committed(u)
		}
	}
}

// committed notes that a branch has its commits. Their objects are fetched in
// the next cycle.
func (w *writing) committed(u *branchUpdate) {
	w.heads.branches[u.branch] = u.new
	for _, i := range u.works() {
		w.pending[i] = false
	}
}
