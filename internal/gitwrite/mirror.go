package gitwrite

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"

	"github.com/go-git/go-billy/v5/osfs"
	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/cache"
	"github.com/go-git/go-git/v5/plumbing/format/packfile"
	"github.com/go-git/go-git/v5/storage"
	"github.com/go-git/go-git/v5/storage/filesystem"
	"github.com/go-git/go-git/v5/storage/memory"
	"github.com/gofrs/flock"
)

// mirror holds objects of the remote: for each branch a commit with all of its trees,
// and the requested blobs. It is only a cache.
type mirror struct {
	dir   string // empty: in memory
	store storage.Storer
	lock  *flock.Flock
	packs int
}

// openMirror opens the mirror of a repository. If another process has locked it, the
// mirror is in memory.
func openMirror(cacheDir, address string) (*mirror, error) {
	m := &mirror{}
	if cacheDir == "" {
		m.store = memory.NewStorage()
		return m, nil
	}

	sum := sha256.Sum256([]byte(address))
	m.dir = filepath.Join(cacheDir, hex.EncodeToString(sum[:8])+".git")
	if err := os.MkdirAll(cacheDir, 0o700); err != nil {
		return nil, err
	}

	m.lock = flock.New(m.dir + ".lock")
	locked, err := m.lock.TryLock()
	if err != nil {
		return nil, err
	}

	if !locked {
		return &mirror{store: memory.NewStorage()}, nil
	}

	packs, _ := filepath.Glob(filepath.Join(m.dir, "objects", "pack", "*.pack"))
	m.packs = len(packs)
	if err := m.open(); err != nil {
		return nil, err
	}

	return m, nil
}

// open turns the folder into a bare repository, which git itself can read.
func (m *mirror) open() error {
	for _, dir := range []string{"objects/pack", "refs/heads"} {
		if err := os.MkdirAll(filepath.Join(m.dir, dir), 0o700); err != nil {
			return err
		}
	}

	for name, content := range map[string]string{
		"HEAD":   "ref: refs/heads/main\n",
		"config": "[core]\n\trepositoryformatversion = 0\n\tbare = true\n",
	} {
		if err := os.WriteFile(filepath.Join(m.dir, name), []byte(content), 0o600); err != nil {
			return err
		}
	}

	m.store = filesystem.NewStorage(osfs.New(m.dir), cache.NewObjectLRUDefault())
	return nil
}

func (m *mirror) close() {
	if m.lock != nil {
		_ = m.lock.Unlock()
	}
}

// reset drops all objects.
func (m *mirror) reset() error {
	m.packs = 0
	if m.dir == "" {
		m.store = memory.NewStorage()
		return nil
	}
	if err := os.RemoveAll(m.dir); err != nil {
		return err
	}
	return m.open()
}

// head returns the commit that the mirror has for a branch, with its trees.
func (m *mirror) head(branch string) plumbing.Hash {
	ref, err := m.store.Reference(plumbing.NewBranchReferenceName(branch))
	if err != nil {
		return plumbing.ZeroHash
	}
	return ref.Hash()
}

func (m *mirror) setHead(branch string, hash plumbing.Hash) error {
	return m.store.SetReference(plumbing.NewHashReference(plumbing.NewBranchReferenceName(branch), hash))
}

func (m *mirror) has(hash plumbing.Hash) bool { return m.store.HasEncodedObject(hash) == nil }

// add stores a pack completely or not at all.
func (m *mirror) add(pack io.Reader) error {
	m.packs++
	err := packfile.UpdateObjectStorage(m.store, pack)
	if errors.Is(err, packfile.ErrEmptyPackfile) {
		return nil
	}
	return err
}

// bringForward gets the newest commits of branches with their trees, with at most one
// fetch.
func (m *mirror) bringForward(ctx context.Context, r *remote, h *heads, branches []string) error {
	if m.packs > maxPacks {
		if err := m.compact(h.branches); err != nil {
			return err
		}
	}

	// The mirror has all trees only for commits that are the head of a branch.
	asked := map[plumbing.Hash]bool{}
	for _, head := range m.heads() {
		asked[head] = m.has(head)
	}

	var request fetchRequest
	for _, branch := range branches {
		if head := h.branches[branch]; !asked[head] {
			asked[head] = true
			request.wants = append(request.wants, head)
		}
	}

	if len(request.wants) > 0 {
		if err := m.fetchCommits(ctx, r, h, request); err != nil {
			return err
		}
	}

	for _, branch := range branches {
		if m.head(branch) != h.branches[branch] {
			if err := m.setHead(branch, h.branches[branch]); err != nil {
				return err
			}
		}
	}

	return nil
}

// heads returns the heads of all branches in the mirror.
func (m *mirror) heads() []plumbing.Hash {
	var all []plumbing.Hash
	listed := map[plumbing.Hash]bool{}
	refs, err := m.store.IterReferences()
	if err != nil {
		return nil
	}

	_ = refs.ForEach(func(ref *plumbing.Reference) error {
		if ref.Type() == plumbing.HashReference && !listed[ref.Hash()] {
			listed[ref.Hash()] = true
			all = append(all, ref.Hash())
		}
		return nil
	})
	return all
}

func (m *mirror) fetchCommits(ctx context.Context, r *remote, h *heads, request fetchRequest) error {
	shallows, err := m.store.Shallow()
	if err != nil {
		return err
	}

	request.haves, request.shallows, request.noBlobs = m.heads(), shallows, h.filter
	if h.shallow {
		request.depth = 1
	}

	update, err := r.fetch(ctx, request, m.add)
	if err != nil {
		return err
	}

	for _, hash := range update.Shallows {
		if !slices.Contains(shallows, hash) {
			shallows = append(shallows, hash)
		}
	}

	shallows = slices.DeleteFunc(shallows, func(hash plumbing.Hash) bool {
		return slices.Contains(update.Unshallows, hash)
	})
	return m.store.SetShallow(shallows)
}

// fetchBlobs gets blobs with at most one fetch. If the server does not send single
// blobs, this and later fetches get commits with all of their blobs.
func (m *mirror) fetchBlobs(
	ctx context.Context, r *remote, h *heads, branches []string, blobs []plumbing.Hash,
) error {
	var request fetchRequest
	asked := map[plumbing.Hash]bool{}
	for _, blob := range blobs {
		if !asked[blob] && !m.has(blob) {
			asked[blob] = true
			request.wants = append(request.wants, blob)
		}
	}

	if len(request.wants) == 0 {
		return nil
	}

	if h.filter {
		_, err := r.fetch(ctx, request, m.add)
		if err == nil || ctx.Err() != nil {
			return err
		}
		r.noBlobWants, h.filter = true, false
	}

	if err := m.reset(); err != nil {
		return err
	}

	return m.bringForward(ctx, r, h, branches)
}

// object returns an object of the mirror.
func (m *mirror) object(kind plumbing.ObjectType, hash plumbing.Hash) (plumbing.EncodedObject, error) {
	object, err := m.store.EncodedObject(kind, hash)
	if err != nil {
		return nil, fmt.Errorf("object %s: %w", hash, err)
	}
	return object, nil
}

func content(object plumbing.EncodedObject) ([]byte, error) {
	reader, err := object.Reader()
	if err != nil {
		return nil, err
	}
	defer func() { _ = reader.Close() }()
	var b bytes.Buffer
	_, err = b.ReadFrom(reader)
	return b.Bytes(), err
}
