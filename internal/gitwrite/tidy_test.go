package gitwrite

import (
	"path/filepath"
	"slices"
	"testing"
	"time"
)

// TestTheCacheFolderIsBounded has mirrors that nobody opens any more, and more of them
// than there is room for.
func TestTheCacheFolderIsBounded(t *testing.T) {
	git := startGit(t, true, 1)
	dir := t.TempDir()
	folders := func() []string {
		all, err := filepath.Glob(filepath.Join(dir, "*.git"))
		noError(t, err)
		for i := range all {
			all[i] = filepath.Base(all[i])
		}

		return all
	}
	service := newService(t, Options{CacheDir: dir})
	first := open(t, service, git.URLOf(repo))
	noError(t, writeAll(first, setTag("f0/k.yaml", "v0", "v1")))
	old := folders()
	service.Close()

	now := time.Now()
	tidy(dir, now.Add(keepUnused-time.Hour), mostOnDisk)
	if got := folders(); !slices.Equal(got, old) {
		t.Errorf("%q is gone", old)
	}

	// It is in use: it stays, however large it is.
	service = newService(t, Options{CacheDir: dir})
	open(t, service, git.URLOf("other/"+repo))
	open(t, service, git.URLOf(repo))
	tidy(dir, now.Add(2*keepUnused), 0)
	if got := folders(); len(got) != 2 {
		t.Errorf("%q; two are in use", got)
	}
	service.Close()

	// The one that was opened last stays.
	var total int64
	for _, folder := range folders() {
		total += sizeOf(filepath.Join(dir, folder))
	}
	tidy(dir, now, total-1)
	if got := folders(); !slices.Equal(got, old) {
		t.Errorf("%q is left; want %q", got, old)
	}
	tidy(dir, now.Add(keepUnused+time.Hour), mostOnDisk)
	if got := folders(); len(got) > 0 {
		t.Errorf("%q is left after a month", got)
	}
}
