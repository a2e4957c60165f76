package gitwrite

import (
	"fmt"
	"path"
	"sort"
	"strings"
	"time"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/filemode"
	"github.com/go-git/go-git/v5/plumbing/object"
)

// stage holds objects that were made and are not pushed yet, above a mirror.
type stage struct {
	mirror *mirror
	made   map[plumbing.Hash]plumbing.EncodedObject
	order  []plumbing.Hash
	trees  map[plumbing.Hash]*object.Tree
}

func newStage(m *mirror) *stage {
	return &stage{mirror: m, made: map[plumbing.Hash]plumbing.EncodedObject{}, trees: map[plumbing.Hash]*object.Tree{}}
}

func (s *stage) object(kind plumbing.ObjectType, hash plumbing.Hash) (plumbing.EncodedObject, error) {
	if o, ok := s.made[hash]; ok {
		return o, nil
	}
	return s.mirror.object(kind, hash)
}

func (s *stage) put(o plumbing.EncodedObject) plumbing.Hash {
	hash := o.Hash()
	if _, ok := s.made[hash]; !ok {
		s.made[hash] = o
		s.order = append(s.order, hash)
	}
	return hash
}

func (s *stage) commit(hash plumbing.Hash) (*object.Commit, error) {
	o, err := s.object(plumbing.CommitObject, hash)
	if err != nil {
		return nil, err
	}
	return object.DecodeCommit(nil, o)
}

func (s *stage) tree(hash plumbing.Hash) (*object.Tree, error) {
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

// blob reads a file.
func (s *stage) blob(hash plumbing.Hash) ([]byte, error) {
	o, err := s.object(plumbing.BlobObject, hash)
	if err != nil {
		return nil, err
	}
	return content(o)
}

// find walks a path down from a tree. It refuses symbolic links and
// submodules on the way and at its end: what is written must be in this
// repository, where its path says.
func (s *stage) find(root plumbing.Hash, file string) (object.TreeEntry, error) {
	entry := object.TreeEntry{Mode: filemode.Dir, Hash: root}
	walked := ""
	if file == "." {
		return entry, nil
	}
	for name := range strings.SplitSeq(file, "/") {
		if entry.Mode != filemode.Dir {
			return entry, fmt.Errorf("%w: %s is no folder", ErrNoFile, walked)
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

// replace puts a blob in the place of a file and returns the new root tree.
// Modes stay; a file and folders that are not there yet are made.
func (s *stage) replace(root plumbing.Hash, file string, blob plumbing.Hash) (plumbing.Hash, error) {
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
		return root, fmt.Errorf("%w: %s is in the way of a file to be made", ErrNoFile, name)
	}
	if deeper {
		var err error
		if blob, err = s.replace(changed.Entries[i].Hash, rest, blob); err != nil {
			return root, err
		}
	}
	changed.Entries[i].Hash = blob
	sort.Sort(object.TreeEntrySorter(changed.Entries))
	o := &plumbing.MemoryObject{}
	if err := changed.Encode(o); err != nil {
		return root, err
	}
	hash := s.put(o)
	s.trees[hash] = changed
	return hash, nil
}

// file puts content in the place of a file, or makes it, and returns the new
// root tree.
func (s *stage) file(root plumbing.Hash, file string, data []byte) (plumbing.Hash, error) {
	blob := &plumbing.MemoryObject{}
	blob.SetType(plumbing.BlobObject)
	if _, err := blob.Write(data); err != nil {
		return root, err
	}
	return s.replace(root, file, s.put(blob))
}

// seal makes a commit of a tree.
func (s *stage) seal(parent, root plumbing.Hash, message string, author Signature, signer *Signer, now time.Time) (plumbing.Hash, error) {
	signature := object.Signature{Name: author.Name, Email: author.Email, When: now}
	commit := &object.Commit{Author: signature, Committer: signature, Message: message, TreeHash: root, ParentHashes: []plumbing.Hash{parent}}
	o, err := signer.encode(commit)
	if err != nil {
		return plumbing.ZeroHash, err
	}
	return s.put(o), nil
}
