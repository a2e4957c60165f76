package gitwrite

import (
	"fmt"
	"strings"
	"testing"

	"github.com/go-git/go-git/v5/plumbing"
)

// TestALargeRepositoryCostsItsTrees compares a repository of 500 files with one of
// 50,000, a hundred in each folder: the requests are the same, only the file to edit
// is fetched, and four objects are pushed.
func TestALargeRepositoryCostsItsTrees(t *testing.T) {
	for _, n := range []int{500, 50_000} {
		git := startGit(t, true, 0)
		files := map[string]string{}
		for i := range n {
			files[fmt.Sprintf("d%d/f%d.yaml", i/100, i)] = "tag: v0\n"
		}
		if err := git.Commit(repo, "main", "Many files", files); err != nil {
			t.Fatal(err)
		}
		r := open(t, newService(t, Options{}), git.URLOf(repo))
		noError(t, writeAll(r, setTag("d3/f321.yaml", "v0", "v1")))
		if a, f, p := git.Count("advertise"), git.Count("fetch"), git.Count("push"); a != 1 || f != 2 || p != 1 {
			t.Errorf("%d files: %d advertisements, %d fetches, %d pushes", n, a, f, p)
		}
		pushed, err := git.Run(repo, "rev-list", "--objects", "main", "^main^")
		if err != nil || strings.Count(pushed, "\n") != 4 {
			t.Errorf("%d files: pushed (%v)\n%s", n, err, pushed)
		}
		// Both commits, the trees of the first with those that were changed, and
		// the file before and after.
		for kind, want := range map[plumbing.ObjectType]int{plumbing.CommitObject: 2,
			plumbing.TreeObject: n/100 + 1 + 2, plumbing.BlobObject: 2} {
			objects, err := r.mirror.store.IterEncodedObjects(kind)
			if err != nil {
				t.Fatal(err)
			}
			got := 0
			if err := objects.ForEach(func(plumbing.EncodedObject) error { got++; return nil }); err != nil {
				t.Fatal(err)
			}
			if got != want {
				t.Errorf("%d files: the mirror has %d × %s, want %d", n, got, kind, want)
			}
		}
	}
}
