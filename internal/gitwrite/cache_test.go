package gitwrite

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/liverty-music/image-writeback/internal/sandbox"
)

// damages are what may become of a mirror in a folder.
var damages = map[string]func(dir string){
	"flipped bits in its packs": func(dir string) {
		for _, pack := range sandbox.Must(filepath.Glob(filepath.Join(dir, "objects", "pack", "*.pack"))) {
			data := sandbox.Must(os.ReadFile(pack))
			for i := 20; i < len(data)-20; i += 7 {
				data[i] ^= 0x10
			}
			sandbox.Check(os.Chmod(pack, 0o600))
			sandbox.Check(os.WriteFile(pack, data, 0o600))
		}
	},
	"packs that are cut off": func(dir string) {
		for _, pack := range sandbox.Must(filepath.Glob(filepath.Join(dir, "objects", "pack", "*.pack"))) {
			sandbox.Check(os.Truncate(pack, 30))
		}
	},
	"an index that is none": func(dir string) {
		for _, index := range sandbox.Must(filepath.Glob(filepath.Join(dir, "objects", "pack", "*.idx"))) {
			sandbox.Check(os.Chmod(index, 0o600))
			sandbox.Check(os.WriteFile(index, []byte("x"), 0o600))
		}
	},
	"packs that are gone": func(dir string) {
		for _, pack := range sandbox.Must(filepath.Glob(filepath.Join(dir, "objects", "pack", "*.pack"))) {
			sandbox.Check(os.Remove(pack))
		}
	},
	"all objects gone": func(dir string) { sandbox.Check(os.RemoveAll(filepath.Join(dir, "objects"))) },
	"a file instead of a folder": func(dir string) {
		sandbox.Check(os.RemoveAll(filepath.Join(dir, "objects")))
		sandbox.Check(os.WriteFile(filepath.Join(dir, "objects"), nil, 0o600))
	},
	"heads that are none": func(dir string) {
		sandbox.Check(os.WriteFile(filepath.Join(dir, "refs", "heads", "main"), []byte("x"), 0o600))
	},
	"a shallow file that is none": func(dir string) {
		sandbox.Check(os.WriteFile(filepath.Join(dir, "shallow"), []byte("x\n"), 0o600))
	},
	"everything gone": func(dir string) { sandbox.Check(os.RemoveAll(dir)) },
	"everything gone, and no folder can be made": func(dir string) {
		sandbox.Check(os.RemoveAll(filepath.Dir(dir)))
		sandbox.Check(os.WriteFile(filepath.Dir(dir), nil, 0o600))
	},
}

// TestADamagedMirrorIsMadeAgain damages the mirror of a repository, while the service runs
// and before it starts. It reads the repository all the same, at once, and writes to it.
func TestADamagedMirrorIsMadeAgain(t *testing.T) {
	for name, damage := range damages {
		for _, running := range []bool{true, false} {
			t.Run(name+map[bool]string{true: ", running"}[running], func(t *testing.T) {
				t.Parallel()
				git := startGit(t, true, 1)
				cache := filepath.Join(t.TempDir(), "cache")
				var told []CacheTrouble
				options := Options{CacheDir: cache, OnCacheTrouble: func(c CacheTrouble) { told = append(told, c) }}
				service := newService(t, options)
				r := open(t, service, git.URLOf(repo))
				noError(t, writeAll(r, setTag("f0/k.yaml", "v0", "v1")))
				dir := r.mirror.dir

				if running {
					damage(dir)
				} else {
					service.Close()
					damage(dir)
					r = open(t, newService(t, options), git.URLOf(repo))
				}
				if err := git.Commit(repo, "main", "Another", map[string]string{"other": "1\n"}); err != nil {
					t.Fatal(err)
				}
				snapshot := mustRead(t, r, map[string]string{"f0/k.yaml": "", "other": ""})
				for _, name := range []string{"f0/k.yaml", "other"} {
					if file, err := snapshot.File(wantFile(name)); err != nil || len(file.Data) == 0 {
						t.Errorf("%s: %v", name, err)
					}
				}
				err := writeAll(r, setTag("f0/k.yaml", "v1", "v2"))
				if err != nil && r.Repair(err) {
					err = writeAll(r, setTag("f0/k.yaml", "v1", "v2"))
				}
				noError(t, err)
				if got := show(t, git, "f0/k.yaml"); got != "tag: v2\n" {
					t.Errorf("git holds %q", got)
				}

				inMemory := strings.Contains(name, "no folder can be made")
				for _, trouble := range told {
					if !strings.Contains(trouble.String(), git.URLOf(repo)) {
						t.Errorf("%s", trouble)
					}
				}
				if inMemory != (r.mirror.dir == "") || inMemory && (len(told) == 0 || !told[len(told)-1].InMemory) {
					t.Errorf("the mirror is in %q; told %v", r.mirror.dir, told)
				}
			})
		}
	}
}
