package secretfile

import (
	"os"
	"path/filepath"
	"testing"
	"time"
)

// replacing returns what puts a text into data/token in a folder.
func replacing(t *testing.T, dir string) (put func(text string)) {
	t.Helper()
	version := 0

	return func(text string) {
		t.Helper()
		version++
		folder := filepath.Join(dir, string(rune('a'+version)))
		link := filepath.Join(dir, "new")
		for _, err := range []error{
			os.Mkdir(folder, 0o700), os.WriteFile(filepath.Join(folder, "token"), []byte(text), 0o600),
			os.Symlink(folder, link), os.Rename(link, filepath.Join(dir, "data")),
		} {
			if err != nil {
				t.Fatal(err)
			}
		}
	}
}

// TestAFileThatIsReplaced replaces a file as Kubernetes does: a link leads to another
// folder from one moment to the next.
func TestAFileThatIsReplaced(t *testing.T) {
	dir := t.TempDir()
	put := replacing(t, dir)
	name := filepath.Join(dir, "data", "token")
	if _, err := Open(name, Text(name)); err == nil {
		t.Error("there is no file")
	}
	put("one\n")
	f, err := Open(name, Text(name))
	if err != nil {
		t.Fatal(err)
	}
	clock := time.Now()
	f.now = func() time.Time { return clock }
	is := func(want string) {
		t.Helper()
		if got := f.Current(); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}

	is("one")
	put("two")
	is("one") // it was looked at a moment ago
	clock = clock.Add(life)
	is("two")

	put("three")
	if got := f.Refused(); got != "three" {
		t.Error(got)
	}
	put("four")
	if got := f.Refused(); got != "three" { // within a minute
		t.Error(got)
	}
	clock = clock.Add(patience)
	if got := f.Refused(); got != "four" {
		t.Error(got)
	}

	put(" \n") // it is being written, or a mistake
	clock = clock.Add(life)
	is("four")
	if err := os.Remove(filepath.Join(dir, "data")); err != nil {
		t.Fatal(err)
	}
	clock = clock.Add(patience)
	is("four")
	if got := Fixed("x").Refused(); got != "x" {
		t.Error(got)
	}
}
