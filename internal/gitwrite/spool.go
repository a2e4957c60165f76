package gitwrite

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/gofrs/flock"
)

// spool holds a pack until it is known what it has: a short one in memory, a long one
// in a temporary file.
type spool struct {
	io.ReaderAt
	size int64
	file *os.File // nil: in memory
}

// maxSpooled is how long a pack in memory may be.
const maxSpooled = 1 << 20

// newSpool writes what comes to a spool. Close it after use.
func newSpool(write func(io.Writer) error) (*spool, error) {
	w := &spoolWriter{}
	if err := write(w); err != nil {
		w.close()
		return nil, err
	}

	if w.file != nil {
		return &spool{w.file, w.size, w.file}, nil
	}

	return &spool{bytes.NewReader(w.memory.Bytes()), w.size, nil}, nil
}

// reader reads it from the beginning.
func (s *spool) reader() io.ReadSeeker { return io.NewSectionReader(s, 0, s.size) }

func (s *spool) close() {
	if s.file != nil {
		_ = s.file.Close()
		_ = os.Remove(s.file.Name())
	}
}

// spoolWriter moves to a file when it becomes long.
type spoolWriter struct {
	memory bytes.Buffer
	file   *os.File
	size   int64
}

// Write keeps what it gets.
func (w *spoolWriter) Write(p []byte) (int, error) {
	w.size += int64(len(p))
	if w.file == nil && w.size <= maxSpooled {
		return w.memory.Write(p)
	}

	if w.file == nil {
		file, err := os.CreateTemp("", "image-writeback-pack-")
		if err != nil {
			return 0, fmt.Errorf("writing a pack to a temporary file: %w", err)
		}
		w.file = file
		if _, err := file.Write(w.memory.Bytes()); err != nil {
			return 0, err
		}
		w.memory = bytes.Buffer{}
	}

	return w.file.Write(p)
}

func (w *spoolWriter) close() {
	if w.file != nil {
		(&spool{file: w.file}).close()
	}
}

// temporary is the prefix of folders for mirrors that are too large for memory.
const temporary = "image-writeback-mirror-"

// temporaryFolder creates a folder, and locks it. Folders of processes that were
// killed are removed.
func temporaryFolder() (dir string, lock *flock.Flock, _ error) {
	old, _ := filepath.Glob(filepath.Join(os.TempDir(), temporary+"*.lock"))
	for _, name := range old {
		stale := flock.New(name)
		if locked, err := stale.TryLock(); err == nil && locked {
			_ = os.RemoveAll(folderOf(name))
			_ = os.Remove(name)
			_ = stale.Unlock()
		}
	}

	file, err := os.CreateTemp("", temporary+"*.lock")
	if err != nil {
		return "", nil, err
	}
	_ = file.Close()

	lock = flock.New(file.Name())
	if locked, err := lock.TryLock(); err != nil || !locked {
		return "", nil, errors.Join(errors.New("the folder cannot be locked"), err)
	}

	return folderOf(file.Name()), lock, nil
}

// folderOf returns the folder that belongs to a lock.
func folderOf(lock string) string { return lock[:len(lock)-len(".lock")] + ".git" }
