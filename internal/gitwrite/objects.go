package gitwrite

import (
	"bytes"
	"fmt"
	"path"
	"slices"
	"sort"
	"strconv"
	"strings"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/filemode"
	"github.com/go-git/go-git/v5/plumbing/format/packfile"
	"github.com/go-git/go-git/v5/plumbing/object"
)

// objects has the objects of a mirror, and new objects that are not pushed yet.
type objects struct {
	mirror *mirror
	made   map[plumbing.Hash]*made
	order  []plumbing.Hash
	trees  map[plumbing.Hash]*object.Tree
}

func newObjects(m *mirror) *objects {
	return &objects{mirror: m, made: map[plumbing.Hash]*made{}, trees: map[plumbing.Hash]*object.Tree{}}
}

// content returns the content of an object, which is new or in the mirror.
func (s *objects) content(hash plumbing.Hash) ([]byte, error) {
	o := s.made[hash]
	switch {
	case o == nil:
		mirrored, err := s.mirror.object(plumbing.AnyObject, hash)
		if err != nil {
			return nil, err
		}
		return content(mirrored)
	case o.content != nil:
		return o.content, nil
	}

	base, err := s.content(o.base)
	if err != nil {
		return nil, err
	}

	return packfile.PatchDelta(base, o.delta)
}

func (s *objects) object(kind plumbing.ObjectType, hash plumbing.Hash) (plumbing.EncodedObject, error) {
	if s.made[hash] == nil {
		return s.mirror.object(kind, hash)
	}

	data, err := s.content(hash)
	if err != nil {
		return nil, err
	}

	o := &plumbing.MemoryObject{}
	o.SetType(kind)
	_, err = o.Write(data)
	return o, err
}

// put adds a new object, unless it was added before.
func (s *objects) put(hash plumbing.Hash, o *made) plumbing.Hash {
	if s.made[hash] == nil {
		s.made[hash] = o
		s.order = append(s.order, hash)
	}
	return hash
}

func (s *objects) commit(hash plumbing.Hash) (*object.Commit, error) {
	o, err := s.object(plumbing.CommitObject, hash)
	if err != nil {
		return nil, err
	}
	return object.DecodeCommit(nil, o)
}

func (s *objects) tree(hash plumbing.Hash) (*object.Tree, error) {
	if t, ok := s.trees[hash]; ok {
		return t, nil
	}

	o, err := s.object(plumbing.TreeObject, hash)
	if err != nil {
		return nil, err
	}

	t, err := object.DecodeTree(nil, o)
	if err == nil {
		s.trees[hash] = t
	}

	return t, err
}

// blob reads a file; name is its path. The error is a [limit.Error] if it is too large.
func (s *objects) blob(hash plumbing.Hash, name string) ([]byte, error) {
	if size, large := s.mirror.large[hash]; large {
		return nil, s.mirror.tooLarge(name, size)
	}

	o, err := s.object(plumbing.BlobObject, hash)
	if err != nil {
		return nil, err
	}
	if o.Size() > s.mirror.limits.FileSize.Max {
		return nil, s.mirror.tooLarge(name, o.Size())
	}

	return content(o)
}

// find follows a path down from a tree. It rejects symbolic links and submodules in
// the path and at its end, so that a write changes this repository, at exactly this
// path.
func (s *objects) find(root plumbing.Hash, file string) (object.TreeEntry, error) {
	entry := object.TreeEntry{Mode: filemode.Dir, Hash: root}
	walked := ""
	if file == "." {
		return entry, nil
	}

	for name := range strings.SplitSeq(file, "/") {
		if entry.Mode != filemode.Dir {
			return entry, fmt.Errorf("%w: %s is not a folder", ErrNoFile, walked)
		}
		tree, err := s.tree(entry.Hash)
		if err != nil {
			return entry, err
		}
		walked = path.Join(walked, name)
		i := position(tree, name)
		if i < 0 {
			return entry, fmt.Errorf("%w: %s", ErrNoFile, walked)
		}
		entry = tree.Entries[i]
		switch entry.Mode {
		case filemode.Symlink:
			return entry, fmt.Errorf("%w: %s; write to the file that it points to", ErrSymlink, walked)
		case filemode.Submodule:
			return entry, fmt.Errorf("%w: %s is a submodule; annotate git-repository with its own", ErrNoFile, walked)
		}
	}

	return entry, nil
}

func position(tree *object.Tree, name string) int {
	for i := range tree.Entries {
		if tree.Entries[i].Name == name {
			return i
		}
	}
	return -1
}

// replace sets the blob of a file and returns the new root tree. It keeps modes, and
// creates a missing file and missing folders.
func (s *objects) replace(root plumbing.Hash, file string, blob plumbing.Hash) (plumbing.Hash, error) {
	tree := &object.Tree{}
	if !root.IsZero() {
		var err error
		if tree, err = s.tree(root); err != nil {
			return root, err
		}
	}

	name, rest, deeper := strings.Cut(file, "/")
	changed := &object.Tree{Entries: append([]object.TreeEntry(nil), tree.Entries...)}
	i := position(changed, name)
	if i < 0 {
		i = len(changed.Entries)
		mode := filemode.Regular
		if deeper {
			mode = filemode.Dir
		}
		changed.Entries = append(changed.Entries, object.TreeEntry{Name: name, Mode: mode})
	}

	if deeper != (changed.Entries[i].Mode == filemode.Dir) {
		kind := "folder"
		if deeper {
			kind = "file"
		}
		return root, fmt.Errorf("%w: it cannot be created, because %s is a %s", ErrNoFile, name, kind)
	}

	if deeper {
		var err error
		if blob, err = s.replace(changed.Entries[i].Hash, rest, blob); err != nil {
			return root, err
		}
	}

	changed.Entries[i].Hash = blob
	if i < len(tree.Entries) {
		if hash, ok := s.follow(root, tree, changed, i); ok {
			return hash, nil
		}
	}

	sort.Sort(object.TreeEntrySorter(changed.Entries))
	o := &plumbing.MemoryObject{}
	if err := changed.Encode(o); err != nil {
		return root, err
	}

	data, err := content(o)
	if err != nil {
		return root, err
	}

	hash := s.put(o.Hash(), &made{kind: plumbing.TreeObject, content: data})
	s.trees[hash] = changed
	return hash, nil
}

// follow adds the tree changed, which differs from the tree before, whose hash is root,
// only in the hash of the i-th entry. It then keeps root only as a delta of its own
// predecessor. ok is false if root is not encoded as git encodes trees today.
func (s *objects) follow(root plumbing.Hash, before, changed *object.Tree, i int) (hash plumbing.Hash, ok bool) {
	data, err := s.content(root)
	if err != nil {
		return hash, false
	}

	at := 0
	for n, e := range changed.Entries[:i+1] {
		at += len(strconv.FormatUint(uint64(e.Mode), 8)) + len(" ") + len(e.Name) + len("\x00")
		if n < i {
			at += len(e.Hash)
		}
	}

	old, now := before.Entries[i].Hash, changed.Entries[i].Hash
	if len(data) < at+len(old) || !bytes.Equal(data[at:at+len(old)], old[:]) {
		return hash, false
	}

	data = slices.Clone(data)
	copy(data[at:], now[:])
	hash = plumbing.ComputeHash(plumbing.TreeObject, data)
	o := &made{kind: plumbing.TreeObject, content: data}
	last := s.made[root]
	// An object of the mirror never becomes a delta: others may be deltas of it.
	if !s.mirror.has(hash) && (last == nil || last.depth < maxDepth) {
		o.base, o.delta, o.depth = root, replaceHash(len(data), at, now), 1
		if last != nil {
			o.depth = last.depth + 1
		}
	}

	s.put(hash, o)
	s.trees[hash] = changed
	if last != nil && last.delta != nil && hash != root {
		last.content = nil
		delete(s.trees, root)
	}

	return hash, true
}

// file sets the content of a file, which it creates if needed, and returns the new root
// tree.
func (s *objects) file(root plumbing.Hash, file string, data []byte) (plumbing.Hash, error) {
	hash := plumbing.ComputeHash(plumbing.BlobObject, data)
	return s.replace(root, file, s.put(hash, &made{kind: plumbing.BlobObject, content: data}))
}

// addCommit adds a commit of a tree.
func (s *objects) addCommit(c NewCommit) (plumbing.Hash, error) {
	author := object.Signature{Name: c.Author.Name, Email: c.Author.Email, When: c.Time}
	commit := &object.Commit{
		Author: author, Committer: author, Message: c.Message,
		TreeHash: c.Tree, ParentHashes: []plumbing.Hash{c.Parent},
	}

	o, err := c.Signer.encode(commit)
	if err != nil {
		return plumbing.ZeroHash, err
	}

	data, err := content(o)
	return s.put(o.Hash(), &made{kind: plumbing.CommitObject, content: data}), err
}
