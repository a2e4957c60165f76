package gitwrite

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
)

// TestAMirrorStaysSmall compacts a mirror between pushes, in memory and in a folder,
// for servers with and without partial clone: nothing is fetched for it, pushes of
// others are still noticed, and unneeded objects are dropped.
func TestAMirrorStaysSmall(t *testing.T) {
	for _, partial := range []bool{true, false} {
		for _, dir := range []string{"", t.TempDir()} {
			git := startGit(t, partial, 5)
			r := open(t, newService(t, Options{CacheDir: dir}), git.URLOf(repo))
			version := 0
			push := func(file int) {
				t.Helper()
				file, version = file%5, version+1
				old := "v0"
				if version > 5 {
					old = fmt.Sprint("v", version-5)
				}
				noError(t, writeAll(r, setTag(fmt.Sprintf("f%d/k.yaml", file), old, fmt.Sprint("v", version))))
			}
			for i := range 5 {
				push(i)
			}
			fetches := git.Count("fetch")
			for i := range 15 {
				if i%4 == 0 {
					r.mirror.packs = maxPacks + 1
				}
				push(i)
			}
			if n := git.Count("fetch") - fetches; n != 0 {
				t.Errorf("partial %t, folder %t: %d fetches", partial, dir != "", n)
			}
			if got := subjects(t, git, "main"); len(got) != 21 {
				t.Errorf("partial %t, folder %t: %d commits", partial, dir != "", len(got))
			}
			if r.mirror.packs > 7 {
				t.Errorf("%d packs", r.mirror.packs)
			}
			if err := git.Commit(repo, "main", "By somebody else",
				map[string]string{"f3/other.yaml": "a: b\n"}); err != nil {
				t.Fatal(err)
			}
			r.mirror.packs = maxPacks + 1
			push(20)
			if n := git.Count("fetch") - fetches; n != 1 {
				t.Errorf("partial %t, folder %t: %d fetches after a push by somebody else", partial, dir != "", n)
			}
			if out, err := git.Run(repo, "fsck", "--strict"); err != nil {
				t.Errorf("%v: %s", err, out)
			}
		}
	}
}

// TestADamagedMirrorIsDropped deletes a pack right before the mirror is compacted: the
// mirror is created again.
func TestADamagedMirrorIsDropped(t *testing.T) {
	git := startGit(t, true, 3)
	r := open(t, newService(t, Options{CacheDir: t.TempDir()}), git.URLOf(repo))
	noError(t, writeAll(r, setTag("f1/k.yaml", "v0", "v1")))
	r.mirror.packs = maxPacks + 1
	if err := os.RemoveAll(filepath.Join(r.mirror.dir, "objects", "pack")); err != nil {
		t.Fatal(err)
	}
	noError(t, writeAll(r, setTag("f2/k.yaml", "v0", "v1")))
	if got := subjects(t, git, "main"); len(got) != 3 {
		t.Errorf("%q", got)
	}
}
