package gitwrite

import (
	"bytes"
	"crypto/sha1" //nolint:gosec // git's
	"fmt"
	"strings"
	"testing"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/format/packfile"
)

// TestDeltas checks that the delta of a changed tree results in that tree, at either
// end of the copied pieces.
func TestDeltas(t *testing.T) {
	for _, size := range []int{20, 21, 300, 0x10000, 0x10000 + 20, 200_000} {
		base := bytes.Repeat([]byte("0123456789abcdef"), size/16+1)[:size]
		for _, at := range []int{0, 1, 0x100, size / 2, 0x10000, size - 20} {
			if at < 0 || at+20 > size {
				continue
			}
			hash := plumbing.NewHash(strings.Repeat("f0", 20))
			want := bytes.Clone(base)
			copy(want[at:], hash[:])
			got, err := packfile.PatchDelta(base, replaceHash(size, at, hash))
			if err != nil || !bytes.Equal(got, want) {
				t.Errorf("%d bytes, at %d: %v", size, at, err)
			}
		}
	}
}

// TestThousandsSideBySide creates many commits in a folder with many subfolders: the
// push is small and passes git fsck, and the next cycle continues from the kept
// objects.
func TestThousandsSideBySide(t *testing.T) {
	git := startGit(t, true, 3)
	files := map[string]string{}
	for i := range 3000 {
		files[fmt.Sprintf("apps/a%d/k.yaml", i)] = "tag: v0\n"
	}
	if err := git.Commit(repo, "main", "Many", files); err != nil {
		t.Fatal(err)
	}
	r := open(t, newService(t, Options{}), git.URLOf(repo))
	// the last as it was at first
	for round, versions := range [][2]string{{"v0", "v1"}, {"v1", "v2"}, {"v2", "v0"}} {
		var edits []edit
		for i := range 120 {
			edits = append(edits, setTag(fmt.Sprintf("apps/a%d/k.yaml", i*7), versions[0], versions[1]))
		}
		fetches := git.Count("fetch")
		noError(t, writeAll(r, edits...))
		if round > 0 && git.Count("fetch") != fetches {
			t.Errorf("round %d: %d fetches", round, git.Count("fetch")-fetches)
		}
		if got := show(t, git, "apps/a7/k.yaml"); got != "tag: "+versions[1]+"\n" {
			t.Errorf("round %d: %q", round, got)
		}
	}
	if out, err := git.Run(repo, "fsck", "--full", "--strict"); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
	if n := len(subjects(t, git, "main")); n != 362 {
		t.Errorf("%d commits", n)
	}
}

// TestThePackIsSmall counts the bytes for 200 commits in a folder of 2,000.
func TestThePackIsSmall(t *testing.T) {
	git := startGit(t, true, 2000)
	r := open(t, newService(t, Options{}), git.URLOf(repo))
	snapshot, err := r.Read(t.Context(), []Want{wantFile("f0/k.yaml")})
	if err != nil {
		t.Fatal(err)
	}
	s := newObjects(r.mirror)
	commit, err := s.commit(snapshot.heads.branches["main"])
	if err != nil {
		t.Fatal(err)
	}
	root := commit.TreeHash
	for i := range 200 {
		if root, err = s.file(root, fmt.Sprintf("f%d/k.yaml", i), fmt.Appendf(nil, "tag: %d\n", i)); err != nil {
			t.Fatal(err)
		}
	}
	thin, err := s.pack()
	if err != nil {
		t.Fatal(err)
	}
	whole, err := s.encode(s.order, false)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("200 trees of 2,000 entries: %d KB, whole %d KB", len(thin)/1000, len(whole)/1000)
	if len(thin)*10 > len(whole) {
		t.Errorf("%d bytes of %d", len(thin), len(whole))
	}
}

// TestEmptyPack checks that emptyPack is a pack without objects, with its checksum.
func TestEmptyPack(t *testing.T) {
	if sum := sha1.Sum(emptyPack[:12]); !bytes.Equal(sum[:], emptyPack[12:]) { //nolint:gosec // git's
		t.Errorf("the checksum is %x", sum)
	}
}
