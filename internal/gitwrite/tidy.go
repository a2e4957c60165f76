package gitwrite

import (
	"cmp"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/gofrs/flock"
)

// A folder with mirrors is tidied once an hour: those go that no process has opened for
// keepUnused, and if all need more than mostOnDisk, those that were opened first.
const (
	tidyEvery  = time.Hour
	keepUnused = 30 * 24 * time.Hour
	mostOnDisk = 10 << 30
)

// storedMirror is a mirror in the cache folder. Its lock is next to it, and was changed
// when it was opened last.
type storedMirror struct {
	dir    string
	opened time.Time
	size   int64
}

// tidy removes mirrors from a cache folder. Those that a process uses stay. What cannot
// be read or removed stays as well.
func tidy(cacheDir string, now time.Time, most int64) {
	const suffix = ".lock"
	locks, _ := filepath.Glob(filepath.Join(cacheDir, "*.git"+suffix))
	var all []storedMirror
	var total int64
	for _, lock := range locks {
		if info, err := os.Stat(lock); err == nil {
			m := storedMirror{strings.TrimSuffix(lock, suffix), info.ModTime(), 0}
			m.size = sizeOf(m.dir)
			total += m.size
			all = append(all, m)
		}
	}

	slices.SortFunc(all, func(a, b storedMirror) int { return cmp.Compare(a.opened.UnixNano(), b.opened.UnixNano()) })
	for _, m := range all {
		if now.Sub(m.opened) < keepUnused && total <= most {
			return
		}

		lock := flock.New(m.dir + suffix)
		if locked, err := lock.TryLock(); err != nil || !locked {
			continue
		}
		if os.RemoveAll(m.dir) == nil {
			_ = os.Remove(lock.Path())
			total -= m.size
		}
		_ = lock.Unlock()
	}
}

// sizeOf is how many bytes the files of a folder have, as far as it can be read.
func sizeOf(dir string) int64 {
	var size int64
	_ = filepath.WalkDir(dir, func(_ string, entry fs.DirEntry, err error) error {
		if err != nil {
			return nil //nolint:nilerr // the rest counts
		}
		if info, err := entry.Info(); err == nil && info.Mode().IsRegular() {
			size += info.Size()
		}

		return nil
	})

	return size
}
