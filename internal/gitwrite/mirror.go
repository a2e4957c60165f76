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
	"time"

	"github.com/go-git/go-billy/v5/osfs"
	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/cache"
	"github.com/go-git/go-git/v5/plumbing/format/packfile"
	"github.com/go-git/go-git/v5/storage"
	"github.com/go-git/go-git/v5/storage/filesystem"
	"github.com/go-git/go-git/v5/storage/memory"
	"github.com/gofrs/flock"

	"github.com/liverty-music/image-writeback/internal/limit"
)

// mirror holds objects of the remote: for each branch a commit with all of its trees,
// and the requested blobs. It is only a cache.
type mirror struct {
	limits    *limits
	dir       string // empty: in memory
	temporary bool   // the folder goes with the process
	store     storage.Storer
	lock      *flock.Flock
	remade    error // why the folder was made again when it was opened
	packs     int
	objects   int
	bytes     int64 // of the objects, decompressed

	// large has the files that are not here because they are too large, with their
	// size; unknownSize: that is not known.
	large map[plumbing.Hash]int64
	// refused has the heads of branches that are too large, each with the limit.
	refused map[plumbing.Hash]error
	late    bool // there was no time for the files that were asked for last
	// incomplete is set if not all objects of a pack are here.
	incomplete bool
}

const (
	unknownSize = -1
	maxLarge    = 10_000 // files in large; if there are more, some are fetched again
)

// openMirror opens the mirror of a repository. If another process has locked it, the
// mirror is in memory.
func openMirror(cacheDir, address string, l *limits) (*mirror, error) {
	m := &mirror{limits: l, large: map[plumbing.Hash]int64{}, refused: map[plumbing.Hash]error{}}
	if cacheDir == "" {
		m.store = memory.NewStorage()
		return m, nil
	}

	sum := sha256.Sum256([]byte(address))
	dir := filepath.Join(cacheDir, hex.EncodeToString(sum[:8])+".git")
	if err := os.MkdirAll(cacheDir, 0o700); err != nil {
		return nil, err
	}

	lock := flock.New(dir + ".lock")
	locked, err := lock.TryLock()
	if err != nil {
		return nil, err
	}

	if !locked {
		m.store = memory.NewStorage()
		return m, nil
	}

	m.dir, m.lock = dir, lock
	now := time.Now()
	_ = os.Chtimes(lock.Path(), now, now) // see tidy
	indexes, _ := filepath.Glob(filepath.Join(m.dir, "objects", "pack", "*.idx"))
	for _, index := range indexes {
		if info, err := os.Stat(index); err == nil {
			m.objects += int(info.Size() / indexEntry)
		}
	}
	m.packs = len(indexes)
	if err := m.open(); err != nil {
		if m.reset() != nil {
			m.close()
			return nil, err
		}
		m.remade = err
	}

	return m, nil
}

// indexEntry is about how many bytes an object needs in the index of a pack.
const indexEntry = 28

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

	m.openStore()
	return nil
}

// openStore opens the folder. The indexes of packs are read when they are needed.
func (m *mirror) openStore() {
	m.store = filesystem.NewStorage(osfs.New(m.dir), cache.NewObjectLRU(maxObject))
}

func (m *mirror) close() {
	if m.temporary {
		_ = os.RemoveAll(m.dir)
		_ = os.Remove(m.lock.Path())
	}
	if m.lock != nil {
		_ = m.lock.Unlock()
	}
}

// forget makes it an empty mirror in memory.
func (m *mirror) forget() {
	m.dir, m.lock, m.temporary = "", nil, false
	m.large, m.refused = map[plumbing.Hash]int64{}, map[plumbing.Hash]error{}
	_ = m.reset() // does not fail in memory
}

// rest frees the memory that is not needed until the next request.
func (m *mirror) rest() {
	if m.dir != "" && m.objects > maxIndexed {
		m.openStore()
	}
}

// maxIndexed is how many objects of a folder are found without reading indexes again.
const maxIndexed = 20_000

// size is about how many bytes of memory the mirror needs.
func (m *mirror) size() int64 {
	if m.dir == "" {
		return m.bytes + int64(m.objects)*objectSize
	}

	return int64(min(m.objects, maxIndexed)) * 2 * indexEntry
}

// objectSize is about how many bytes an object in memory needs besides its content.
const objectSize = 300

// reset drops all objects.
func (m *mirror) reset() error {
	m.packs, m.objects, m.bytes, m.incomplete = 0, 0, 0, false
	m.large = map[plumbing.Hash]int64{}
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
	return local(m.store.SetReference(plumbing.NewHashReference(plumbing.NewBranchReferenceName(branch), hash)))
}

func (m *mirror) has(hash plumbing.Hash) bool { return m.store.HasEncodedObject(hash) == nil }

// add stores a pack completely or not at all, but for files that are too large.
func (m *mirror) add(pack io.Reader) error {
	received, err := newSpool(func(w io.Writer) error {
		_, err := io.Copy(w, pack)
		return err
	})
	if err != nil {
		return err
	}
	defer received.close()

	m.packs++
	if received.size == 0 {
		return nil
	}
	return m.unpack(received)
}

// unpack stores the objects of a pack that are needed.
func (m *mirror) unpack(pack *spool) error {
	content, err := surveyPack(pack, pack.size, m.limits.Limits)
	if err != nil {
		return err
	}

	if content.dropped {
		if pack, err = newSpool(func(w io.Writer) error { return content.trim(pack, w) }); err != nil {
			return err
		}
		defer pack.close()
		m.noteLarge(content.large)
		m.incomplete = true
	}

	objects := content.count()
	if m.dir == "" && m.bytes+content.kept > m.limits.Memory/maxShare {
		if err := m.toDisk(); err != nil {
			return err
		}
	}
	m.objects, m.bytes = m.objects+objects, m.bytes+content.kept

	if content.kept > m.limits.Memory/maxShare || objects > maxIndexed { // one at a time, since that needs memory
		_ = m.limits.unpacking.Acquire(context.Background(), 1) // does not fail without an end
		defer m.limits.unpacking.Release(1)
	}

	err = packfile.UpdateObjectStorage(m.store, pack.reader())
	if errors.Is(err, packfile.ErrEmptyPackfile) {
		return nil
	}

	return local(err) // the pack itself has been looked at
}

// maxShare is which part of the memory one mirror may use.
const maxShare = 16

// noteLarge notes files that are too large.
func (m *mirror) noteLarge(files map[plumbing.Hash]int64) {
	if len(m.large)+len(files) > maxLarge {
		clear(m.large)
	}
	for hash, size := range files {
		if len(m.large) < maxLarge {
			m.large[hash] = size
		}
	}
}

// toDisk moves the mirror to a temporary folder. If it has objects already, the
// error is [plumbing.ErrObjectNotFound]: they are fetched again.
func (m *mirror) toDisk() error {
	dir, lock, err := temporaryFolder()
	if err != nil {
		return fmt.Errorf("the repository is too large for memory, and cannot be kept in a temporary folder: %w", err)
	}

	moved := m.objects > 0
	m.dir, m.lock, m.temporary = dir, lock, true
	if err := m.reset(); err != nil {
		return err
	}
	if moved {
		return fmt.Errorf("the mirror has moved to a folder: %w", plumbing.ErrObjectNotFound)
	}

	return nil
}

// isLimit reports whether something is larger than its limit.
func isLimit(err error) bool {
	var exceeded *limit.Error

	return errors.As(err, &exceeded)
}

// object returns an object of the mirror.
func (m *mirror) object(kind plumbing.ObjectType, hash plumbing.Hash) (plumbing.EncodedObject, error) {
	stored, err := m.store.EncodedObject(kind, hash)
	if err != nil {
		return nil, &mirrorError{fmt.Errorf("object %s: %w", hash, err)}
	}
	if m.dir == "" || stored.Size() > m.limits.FileSize.Max && stored.Type() == plumbing.BlobObject {
		return stored, nil
	}

	// A disk may return something else than what was written.
	data, err := content(stored)
	if err == nil && plumbing.ComputeHash(stored.Type(), data) != hash {
		err = errors.New("it has another content")
	}
	if err != nil {
		return nil, &mirrorError{fmt.Errorf("object %s: %w", hash, err)}
	}
	read := &plumbing.MemoryObject{}
	read.SetType(stored.Type())
	_, err = read.Write(data)

	return read, err
}

// tooLarge returns the error for a file.
func (m *mirror) tooLarge(name string, size int64) error {
	exceeded := m.limits.FileSize.TooLarge(name)
	if size != unknownSize {
		exceeded.What = fmt.Sprintf("%s has %s, more than the limit of %s", name, limit.Bytes(size),
			limit.Bytes(m.limits.FileSize.Max))
	}

	return exceeded
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
