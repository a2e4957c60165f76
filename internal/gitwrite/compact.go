package gitwrite

import (
	"bytes"
	"slices"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/filemode"
	"github.com/go-git/go-git/v5/plumbing/format/packfile"
)

// maxPacks bounds a mirror: after so many fetches and pushes, what no branch
// leads to any more is dropped.
const maxPacks = 200

// compact keeps of the mirror what branches lead to that are there still: the
// newest commit of each, its trees, and the blobs of them that are known.
// Nothing is fetched for it. A mirror that is not whole is dropped.
func (m *mirror) compact(branches map[string]plumbing.Hash) error {
	known := map[string]plumbing.Hash{}
	for branch := range branches {
		if head := m.head(branch); !head.IsZero() {
			known[branch] = head
		}
	}
	shallows, err := m.store.Shallow()
	if err != nil {
		return m.reset()
	}
	keep := &reachable{stage: newStage(m), seen: map[plumbing.Hash]bool{}}
	for _, head := range known {
		if err := keep.commit(head); err != nil {
			return m.reset()
		}
	}
	var pack bytes.Buffer
	if _, err := packfile.NewEncoder(&pack, m.store, false).Encode(keep.all, 0); err != nil {
		return m.reset()
	}
	if err := m.reset(); err != nil || len(known) == 0 {
		return err
	}
	if err := m.add(&pack); err != nil {
		return m.reset()
	}
	ends := shallows[:0]
	for _, hash := range shallows {
		if keep.seen[hash] {
			ends = append(ends, hash)
		}
	}
	// A commit that we made has its parent nowhere: it is an end as well.
	for _, head := range known {
		if commit, err := newStage(m).commit(head); err == nil && len(commit.ParentHashes) > 0 && !keep.seen[commit.ParentHashes[0]] && !slices.Contains(ends, head) {
			ends = append(ends, head)
		}
	}
	if err := m.store.SetShallow(ends); err != nil {
		return err
	}
	for branch, head := range known {
		if err := m.setHead(branch, head); err != nil {
			return err
		}
	}
	return nil
}

// reachable collects objects.
type reachable struct {
	stage *stage
	seen  map[plumbing.Hash]bool
	all   []plumbing.Hash
}

// add notes an object, and tells whether it is new.
func (r *reachable) add(hash plumbing.Hash) bool {
	if r.seen[hash] {
		return false
	}
	r.seen[hash] = true
	r.all = append(r.all, hash)
	return true
}

func (r *reachable) commit(hash plumbing.Hash) error {
	commit, err := r.stage.commit(hash)
	if err != nil {
		return err
	}
	r.add(hash)
	return r.tree(commit.TreeHash)
}

func (r *reachable) tree(hash plumbing.Hash) error {
	if !r.add(hash) {
		return nil
	}
	tree, err := r.stage.tree(hash)
	if err != nil {
		return err
	}
	for _, entry := range tree.Entries {
		switch entry.Mode {
		case filemode.Dir:
			if err := r.tree(entry.Hash); err != nil {
				return err
			}
		case filemode.Submodule:
		default:
			if !r.seen[entry.Hash] && r.stage.mirror.has(entry.Hash) {
				r.add(entry.Hash)
			}
		}
	}
	return nil
}
