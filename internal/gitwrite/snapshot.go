package gitwrite

import (
	"context"
	"errors"
	"fmt"
	"path"
	"strings"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/filemode"
	"github.com/go-git/go-git/v5/plumbing/object"
)

// Want asks for the first of several files that a folder has, at the head of a
// branch.
type Want struct {
	Branch string // empty: the default branch
	Folder string // from the root; "." is the root
	Names  string // file names, separated by "/", most wanted first
}

// File is what a Want was answered with.
type File struct {
	Branch string // resolved
	Path   string
	Data   []byte
	// Others are the names in the folder, for a message where none fits.
	Others []string
}

// Snapshot is a repository at one moment.
type Snapshot struct {
	heads *heads
	files map[Want]File
	errs  map[Want]error
}

// File returns the answer to a Want that was asked for. The error wraps
// ErrNoBranch, ErrNoFile or ErrSymlink.
func (s *Snapshot) File(w Want) (File, error) { return s.files[w], s.errs[w] }

// Branch resolves the empty name to the default branch, and tells whether
// there is such a branch.
func (s *Snapshot) Branch(name string) (string, bool) {
	if name == "" {
		name = s.heads.defaultBranch
	}
	_, ok := s.heads.branches[name]
	return name, ok
}

// Read answers wants with one reference advertisement, or none where we would
// have been told of pushes, and at most two fetches: none where no head moved
// and the files are known.
func (r *Repository) Read(ctx context.Context, wants []Want) (*Snapshot, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	h, fresh, err := r.currentHeads(ctx)
	if err != nil {
		return nil, err
	}
	snapshot, err := r.read(ctx, h, wants)
	if err != nil && !fresh && ctx.Err() == nil {
		if h, err = r.advertise(ctx); err != nil { // what we were told may not be all
			return nil, err
		}
		snapshot, err = r.read(ctx, h, wants)
	}
	if errors.Is(err, plumbing.ErrObjectNotFound) {
		// The mirror is damaged or was cut short: it is only a cache.
		if err := r.mirror.reset(); err != nil {
			return nil, r.remote.failed("resetting git.cacheDir", err)
		}
		snapshot, err = r.read(ctx, h, wants)
	}
	if err != nil {
		return nil, r.remote.failed("reading files", err)
	}
	return snapshot, nil
}

func (r *Repository) read(ctx context.Context, h *heads, wants []Want) (*Snapshot, error) {
	s := &Snapshot{heads: h, files: map[Want]File{}, errs: map[Want]error{}}
	var branches []string
	seen := map[string]bool{}
	for _, w := range wants {
		if branch, ok := s.Branch(w.Branch); ok && !seen[branch] {
			seen[branch] = true
			branches = append(branches, branch)
		}
	}
	if err := r.mirror.bringForward(ctx, r.remote, h, branches); err != nil {
		return nil, err
	}
	r.heads.read(branches, wants)
	trees := newStage(r.mirror)
	found := map[Want]object.TreeEntry{}
	var blobs []plumbing.Hash
	for _, w := range wants {
		file, entry, err := s.locate(trees, w)
		if errors.Is(err, plumbing.ErrObjectNotFound) {
			return nil, err
		}
		s.files[w], s.errs[w] = file, err
		if err == nil {
			found[w] = entry
			blobs = append(blobs, entry.Hash)
		}
	}
	if err := r.mirror.fetchBlobs(ctx, r.remote, h, branches, blobs); err != nil {
		return nil, err
	}
	for w, entry := range found {
		data, err := trees.blob(entry.Hash)
		if err != nil {
			return nil, err
		}
		file := s.files[w]
		file.Data = data
		s.files[w] = file
	}
	return s, nil
}

// locate finds the file of a want by the trees alone.
func (s *Snapshot) locate(trees *stage, w Want) (File, object.TreeEntry, error) {
	branch, ok := s.Branch(w.Branch)
	file := File{Branch: branch}
	if !ok {
		return file, object.TreeEntry{}, fmt.Errorf("%w: %s", ErrNoBranch, branch)
	}
	commit, err := trees.commit(s.heads.branches[branch])
	if err != nil {
		return file, object.TreeEntry{}, err
	}
	folder, err := trees.find(commit.TreeHash, w.Folder)
	if err != nil {
		return file, object.TreeEntry{}, err
	}
	if folder.Mode != filemode.Dir {
		return file, object.TreeEntry{}, fmt.Errorf("%w: %s is no folder", ErrNoFile, w.Folder)
	}
	for name := range strings.SplitSeq(w.Names, "/") {
		file.Path = path.Join(w.Folder, name)
		entry, err := trees.find(commit.TreeHash, file.Path)
		if err == nil && entry.Mode != filemode.Dir {
			return file, entry, nil
		}
		if err != nil && !errors.Is(err, ErrNoFile) {
			return file, entry, err
		}
	}
	if tree, err := trees.tree(folder.Hash); err == nil {
		for _, e := range tree.Entries {
			file.Others = append(file.Others, e.Name)
		}
	}
	file.Path = ""
	return file, object.TreeEntry{}, fmt.Errorf("%w: %s", ErrNoFile, path.Join(w.Folder, strings.Split(w.Names, "/")[0]))
}

// splitPath splits a file's path into its folder, "." for the root, and name.
func splitPath(file string) (folder, name string) {
	return path.Dir(file), path.Base(file)
}
