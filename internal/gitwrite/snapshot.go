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

// Want requests a file at the head of a branch: the first of Names that exists in a
// folder.
type Want struct {
	Branch string // empty: the default branch
	Folder string // from the root; "." is the root
	Names  string // file names, separated by "/", in order of preference
}

// File is the answer to a [Want].
type File struct {
	Branch string // resolved
	Path   string
	Data   []byte
	// Others has the names in the folder, if none of the wanted files exists.
	Others []string
}

// Snapshot is the state of a repository at one moment.
type Snapshot struct {
	heads *heads
	files map[Want]File
	errs  map[Want]error
}

// File returns the answer to a want that was passed to [Repository.Read]. The error
// wraps [ErrNoBranch], [ErrNoFile] or [ErrSymlink], or is a *limit.Error.
func (s *Snapshot) File(w Want) (File, error) {
	file, asked := s.files[w]
	if !asked {
		return File{}, fmt.Errorf("%s was not asked for", path.Join(w.Folder, w.Names))
	}

	return file, s.errs[w]
}

// Branch resolves the empty name to the default branch, and reports whether the
// branch exists.
func (s *Snapshot) Branch(name string) (string, bool) {
	if name == "" {
		name = s.heads.defaultBranch
	}
	_, ok := s.heads.branches[name]
	return name, ok
}

// Head returns the newest commit of a branch; zero if the branch does not exist.
func (s *Snapshot) Head(branch string) Hash { return s.heads.branches[branch] }

// Refresh asks the remote for its heads again, and answers wants as [Repository.Read]
// does.
func (r *Repository) Refresh(ctx context.Context, wants []Want) (*Snapshot, error) {
	defer r.lock()()

	h, err := r.advertise(ctx)
	if err != nil {
		return nil, err
	}
	return r.recovered(ctx, func(ctx context.Context) (*Snapshot, error) { return r.read(ctx, h, wants) })
}

// Has reports whether the mirror has a commit with its trees.
func (r *Repository) Has(commit Hash) bool {
	r.mu.Lock()
	defer r.mu.Unlock()

	return r.mirror.has(commit)
}

// Read answers wants. It sends one request for the heads, or none if pushes are
// reported ([Repository.ReportHeads]), and at most two fetches: none if no head has
// moved and the mirror has the files.
func (r *Repository) Read(ctx context.Context, wants []Want) (*Snapshot, error) {
	defer r.lock()()
	h, fresh, err := r.currentHeads(ctx)
	if err != nil {
		return nil, err
	}

	snapshot, err := r.recovered(ctx, func(ctx context.Context) (*Snapshot, error) {
		snapshot, err := r.read(ctx, h, wants)
		if err != nil && !fresh && ctx.Err() == nil {
			if h, err = r.advertise(ctx); err != nil { // a push may not have been reported
				return nil, err
			}
			fresh = true
			snapshot, err = r.read(ctx, h, wants)
		}

		return snapshot, err
	})
	if err != nil {
		return nil, r.remote.failed("reading files", err)
	}

	return snapshot, nil
}

func (r *Repository) read(ctx context.Context, h *heads, wants []Want) (*Snapshot, error) {
	s := &Snapshot{heads: h, files: map[Want]File{}, errs: map[Want]error{}}
	var branches []string
	listed := map[string]bool{}
	for _, w := range wants {
		if branch, ok := s.Branch(w.Branch); ok && !listed[branch] {
			listed[branch] = true
			branches = append(branches, branch)
		}
	}

	if err := r.mirror.bringForward(ctx, r.remote, h, branches); err != nil {
		return nil, err
	}

	r.kept.noteRead(branches, wants)
	trees := newObjects(r.mirror)
	found := map[Want]object.TreeEntry{}
	var blobs []plumbing.Hash
	for _, w := range wants {
		branch, _ := s.Branch(w.Branch)
		if err := r.mirror.refused[h.branches[branch]]; err != nil {
			s.files[w], s.errs[w] = File{Branch: branch}, err
			continue
		}
		file, entry, err := s.locate(trees, w)
		if isLocal(err) {
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
		file := s.files[w]
		if err := r.mirror.refused[h.branches[file.Branch]]; err != nil { // with all of its files
			s.errs[w] = err
			continue
		}
		file.Data, s.errs[w] = trees.blob(entry.Hash, file.Path)
		if s.errs[w] != nil && !isLimit(s.errs[w]) {
			return nil, s.errs[w]
		}
		s.files[w] = file
	}

	return s, nil
}

// locate finds the file of a want. It needs only the trees.
func (s *Snapshot) locate(trees *objects, w Want) (File, object.TreeEntry, error) {
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
		return file, object.TreeEntry{}, fmt.Errorf("%w: %s is not a folder", ErrNoFile, w.Folder)
	}

	var noFile error // what has the name of a file, and is none
	for name := range strings.SplitSeq(w.Names, "/") {
		file.Path = path.Join(w.Folder, name)
		entry, err := trees.find(commit.TreeHash, file.Path)
		switch {
		case err == nil && entry.Mode != filemode.Dir:
			return file, entry, nil
		case err == nil:
			noFile = fmt.Errorf("%w: %s is a folder", ErrNoFile, file.Path)
		case !errors.Is(err, ErrNoFile):
			return file, entry, err
		case entry.Mode == filemode.Submodule:
			noFile = err
		}
	}
	if noFile != nil {
		file.Path = ""
		return file, object.TreeEntry{}, noFile
	}

	if tree, err := trees.tree(folder.Hash); err == nil {
		for _, e := range tree.Entries {
			file.Others = append(file.Others, e.Name)
		}
	}

	file.Path = ""
	first, _, _ := strings.Cut(w.Names, "/")
	return file, object.TreeEntry{}, fmt.Errorf("%w: %s", ErrNoFile, path.Join(w.Folder, first))
}
