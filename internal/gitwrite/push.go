package gitwrite

import (
	"bytes"
	"context"
	"errors"

	"github.com/go-git/go-git/v5/plumbing"

	"github.com/liverty-music/image-writeback/internal/forge"
)

// send has the branches take the commits that were built, all by one push, or
// those that can be through the forge's API where that is asked for.
func (w *writing) send(ctx context.Context, stage *stage, updates map[string]*branchUpdate, order []string) {
	if api, ok := w.repo.forge.(forge.Committer); ok && w.repo.options.CommitViaAPI {
		order = w.commitBy(ctx, api, updates, order)
	}
	var sealed []string
	for _, branch := range order {
		u := updates[branch]
		if err := w.seal(stage, u); err != nil {
			w.failWorks(u.works(), err)
			continue
		}
		sealed = append(sealed, branch)
	}
	if len(sealed) > 0 {
		w.push(ctx, stage, updates, sealed)
	}
}

// push sends what was built and notes what became of it. What the server
// refused because a branch had moved stays pending.
func (w *writing) push(ctx context.Context, stage *stage, updates map[string]*branchUpdate, order []string) {
	refs := make([]refUpdate, len(order))
	for i, branch := range order {
		refs[i] = updates[branch].refUpdate
	}
	pack, err := stage.pack()
	if err != nil {
		w.failAll(&Error{Repository: w.repo.URL(), Doing: "packing the commits", Err: err})
		return
	}
	if !w.ours() {
		for _, branch := range order {
			for _, i := range updates[branch].works() {
				w.handOver(i)
			}
		}
		return
	}
	refused, pushErr := w.repo.remote.push(ctx, refs, pack)
	if errors.Is(pushErr, errNotUnpacked) { // it may take no thin packs
		if pack, err = stage.encode(stage.order, false); err == nil {
			refused, pushErr = w.repo.remote.push(ctx, refs, pack)
		}
	}
	if pushErr == nil && len(refused) == 0 {
		w.landed(stage, updates, order)
		return
	}
	// Ask the remote itself what holds now: a connection that broke may have
	// carried the push through, and a refusal is a lost race only where the
	// branch is elsewhere.
	h, err := w.repo.advertise(ctx)
	if err != nil {
		if pushErr == nil {
			pushErr = err
		}
		w.failAll(pushErr)
		return
	}
	var landed []string
	for _, branch := range order {
		u := updates[branch]
		switch {
		case h.branches[branch] == u.new: // zero where it was deleted and is gone
			landed = append(landed, branch)
		case h.branches[branch] != u.old: // a race: pending, on the new head
		case pushErr != nil:
			w.failWorks(u.works(), pushErr)
		case u.new.IsZero():
			w.notDeleted(branch, "the server refused: "+refused[branch])
		default:
			w.failWorks(u.works(), &Error{Repository: w.repo.URL(), Doing: "pushing to " + branch, Err: errors.New("the server refused: " + refused[branch]),
				Remedy: "allow the App or user to push to this branch (branch protection, rulesets, hooks), or deliver by pull request"})
		}
	}
	if len(landed) > 0 {
		w.landed(stage, updates, landed)
	}
}

func (w *writing) failWorks(works []int, err error) {
	for _, i := range works {
		w.pending[i], w.outcomes[i].Err, w.outcomes[i].Commit = false, err, ""
	}
}

// landed notes pushed branches, and keeps what was pushed, so that the next
// cycle need not fetch it.
func (w *writing) landed(stage *stage, updates map[string]*branchUpdate, branches []string) {
	var heads []plumbing.Hash
	for _, branch := range branches {
		heads = append(heads, updates[branch].new)
	}
	pack, err := stage.kept(heads)
	kept := err == nil && (len(pack) == 0 || w.repo.mirror.add(bytes.NewReader(pack)) == nil)
	for _, branch := range branches {
		u := updates[branch]
		if u.new.IsZero() {
			delete(w.heads.branches, branch)
			delete(w.repo.seen, branch)
			continue
		}
		if kept {
			// Without it the next cycle fetches, no more.
			_ = w.repo.mirror.setHead(branch, u.new)
		}
		w.heads.branches[branch] = u.new
		for _, i := range u.works() {
			w.pending[i] = false
		}
	}
}
