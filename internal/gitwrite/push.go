package gitwrite

import (
	"bytes"
	"context"
	"errors"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/filemode"
	"github.com/go-git/go-git/v5/plumbing/format/packfile"
	"github.com/go-git/go-git/v5/storage/memory"
)

// send has the branches take the commits that were built, all by one push, or
// those that can be through the forge's API where that is asked for.
func (w *writing) send(ctx context.Context, stage *stage, updates map[string]*branchUpdate, order []string) {
	if api, ok := w.repo.forge.(CommitAPI); ok && w.repo.options.CommitViaAPI {
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
	if pushErr == nil && len(refused) == 0 {
		w.landed(stage, updates, order)
		return
	}
	// Ask the remote itself what holds now: a connection that broke may have
	// carried the push through, and a refusal is a lost race only where the
	// branch is elsewhere.
	h, err := w.repo.remote.advertise(ctx)
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

// pack encodes exactly the objects that were made. Small texts that changed
// in one line: a search for deltas would cost more than it saves.
func (s *stage) pack() ([]byte, error) { return s.encode(s.order) }

// kept encodes what the next cycle needs of what was made: all commits and
// blobs, and the trees of the newest commits alone. A folder with thousands of
// files has a tree for each commit that changes one of them.
func (s *stage) kept(heads []plumbing.Hash) ([]byte, error) {
	needed := map[plumbing.Hash]bool{}
	var walk func(tree plumbing.Hash)
	walk = func(hash plumbing.Hash) {
		if _, made := s.made[hash]; !made || needed[hash] {
			return // the mirror has it
		}
		needed[hash] = true
		if tree, err := s.tree(hash); err == nil {
			for _, e := range tree.Entries {
				if e.Mode == filemode.Dir {
					walk(e.Hash)
				}
			}
		}
	}
	for _, head := range heads {
		if commit, err := s.commit(head); err == nil {
			walk(commit.TreeHash)
		}
	}
	var objects []plumbing.Hash
	for _, hash := range s.order {
		if s.made[hash].Type() != plumbing.TreeObject || needed[hash] {
			objects = append(objects, hash)
		}
	}
	return s.encode(objects)
}

func (s *stage) encode(hashes []plumbing.Hash) ([]byte, error) {
	if len(hashes) == 0 {
		return nil, nil
	}
	objects := memory.NewStorage()
	for _, hash := range hashes {
		if _, err := objects.SetEncodedObject(s.made[hash]); err != nil {
			return nil, err
		}
	}
	var b bytes.Buffer
	_, err := packfile.NewEncoder(&b, objects, false).Encode(hashes, 0)
	return b.Bytes(), err
}
