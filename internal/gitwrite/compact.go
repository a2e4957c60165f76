package gitwrite

import (
	"bytes"
	"slices"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/filemode"
	"github.com/go-git/go-git/v5/plumbing/format/packfile"
)

// maxPacks limits the size of a mirror: after this many fetches and pushes, it is
// compacted.
const maxPacks = 200

// compact keeps only the objects of branches that still exist: the newest commit of
// each branch, its trees, and the blobs of these trees that the mirror has. It fetches
// nothing. A damaged mirror is dropped as a whole.
func (m *mirror) compact(branches map[string]plumbing.Hash) error {
	heads := map[string]plumbing.Hash{}
	for branch := range branches {
		if head := m.head(branch); !head.IsZero() {
			heads[branch] = head
		}
	}

	shallows, err := m.store.Shallow()
	if err != nil {
		return m.reset()
	}

	keep := &reachable{objects: newObjects(m), has: map[plumbing.Hash]bool{}}
	for _, head := range heads {
		if err := keep.commit(head); err != nil {
			return m.reset()
		}
	}

	var pack bytes.Buffer
	if _, err := packfile.NewEncoder(&pack, m.store, false).Encode(keep.all, 0); err != nil {
		return m.reset()
	}

	if err := m.reset(); err != nil || len(heads) == 0 {
		return err
	}

	if err := m.add(&pack); err != nil {
		return m.reset()
	}

	if err := m.store.SetShallow(m.ends(shallows, heads, keep)); err != nil {
		return err
	}

	for branch, head := range heads {
		if err := m.setHead(branch, head); err != nil {
			return err
		}
	}

	return nil
}

// ends returns the commits at which the kept history ends.
func (m *mirror) ends(before []plumbing.Hash, heads map[string]plumbing.Hash, kept *reachable) []plumbing.Hash {
	var ends []plumbing.Hash
	for _, hash := range before {
		if kept.has[hash] {
			ends = append(ends, hash)
		}
	}

	// The parent of a commit that was created here may be missing. The commit is then an
	// end, too.
	for _, head := range heads {
		commit, err := newObjects(m).commit(head)
		if err != nil || len(commit.ParentHashes) == 0 || kept.has[commit.ParentHashes[0]] {
			continue
		}
		if !slices.Contains(ends, head) {
			ends = append(ends, head)
		}
	}

	return ends
}

// reachable collects the objects that are reachable from commits.
type reachable struct {
	objects *objects
	has     map[plumbing.Hash]bool
	all     []plumbing.Hash
}

// add adds an object, and reports whether it is new.
func (r *reachable) add(hash plumbing.Hash) bool {
	if r.has[hash] {
		return false
	}
	r.has[hash] = true
	r.all = append(r.all, hash)
	return true
}

func (r *reachable) commit(hash plumbing.Hash) error {
	commit, err := r.objects.commit(hash)
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

	tree, err := r.objects.tree(hash)
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
			if !r.has[entry.Hash] && r.objects.mirror.has(entry.Hash) {
				r.add(entry.Hash)
			}
		}
	}

	return nil
}
