package gitwrite

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/liverty-music/image-writeback/internal/sandbox/git"
)

const repo = "o/manifests"

// startGit serves a repository with n small files f0/k.yaml, f1/k.yaml, ….
func startGit(t *testing.T, partial bool, n int) *git.Server {
	t.Helper()
	git, err := git.New(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(git.Close)
	files := map[string]string{"link": "link:f0/k.yaml", "linked": "link:f0"}
	for i := range n {
		files[fmt.Sprintf("f%d/k.yaml", i)] = "tag: v0\n"
	}
	if err := git.Create(repo, partial, files); err != nil {
		t.Fatal(err)
	}
	return git
}

func newService(t *testing.T, options Options) *Service {
	t.Helper()
	s := New(options)
	t.Cleanup(s.Close)
	return s
}

func open(t *testing.T, s *Service, url string) *Repository {
	t.Helper()
	r, err := s.Open(context.Background(), Access{URL: url})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func wantFile(file string) Want {
	return Want{Folder: filepath.Dir(file), Names: filepath.Base(file)}
}

// edit replaces one tag with another in a file of main.
type edit struct{ file, from, to string }

func setTag(file, from, to string) edit { return edit{file, from, to} }

// write reads the files of edits, creates a commit for each from template, and pushes
// all of them at once. It skips files without the old tag.
func write(r *Repository, template NewCommit, edits ...edit) error {
	var wants []Want
	for _, e := range edits {
		wants = append(wants, wantFile(e.file))
	}
	snapshot, err := r.Read(context.Background(), wants)
	if err != nil {
		return err
	}

	stage := r.NewStage()
	old := snapshot.Head("main")
	template.Parent, template.Time = old, time.Now()
	for _, e := range edits {
		if err := addEdit(stage, &template, e); err != nil {
			return err
		}
	}
	if template.Parent == old {
		return nil
	}
	updates := []RefUpdate{{Branch: "main", Old: old, New: template.Parent}}
	result := r.Push(context.Background(), snapshot, stage, updates)[0]
	if result.Status == PushRaced {
		return errors.New("somebody else was faster")
	}
	return result.Err
}

// addEdit adds a commit with one edit to a stage, on the parent of next, which it
// moves to the new commit.
func addEdit(stage *Stage, next *NewCommit, e edit) error {
	parent, err := stage.Commit(next.Parent)
	if err != nil {
		return err
	}
	file, err := stage.ReadFile(parent.Tree, e.file)
	if err != nil {
		return err
	}
	from, to := []byte("tag: "+e.from+"\n"), []byte("tag: "+e.to+"\n")
	if !bytes.Contains(file.Data, from) {
		return nil
	}
	if next.Tree, err = stage.WriteFile(parent.Tree, e.file, bytes.Replace(file.Data, from, to, 1)); err != nil {
		return err
	}
	next.Message = "Set " + e.file + " to " + e.to + "\n"
	next.Parent, err = stage.AddCommit(*next)
	return err
}

// writeAll is write with an author.
func writeAll(r *Repository, edits ...edit) error {
	return write(r, NewCommit{Author: Signature{"image-writeback", "image-writeback@localhost"}}, edits...)
}

func noError(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Error(err)
	}
}

func subjects(t *testing.T, git *git.Server, branch string) []string {
	t.Helper()
	s, err := git.Subjects(repo, branch)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func show(t *testing.T, git *git.Server, file string) string {
	t.Helper()
	s, err := git.Show(repo, "main", file)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestIdleNeedsNoFetch(t *testing.T) {
	for _, cached := range []bool{false, true} {
		t.Run(fmt.Sprintf("cacheDir=%v", cached), func(t *testing.T) {
			git := startGit(t, true, 2)
			options := Options{}
			if cached {
				options.CacheDir = t.TempDir()
			}
			service := newService(t, options)
			noError(t, writeAll(open(t, service, git.URLOf(repo)), setTag("f0/k.yaml", "v0", "v1")))
			fetches, pushes := git.Count("fetch"), git.Count("push")
			if cached { // another process takes over
				service.Close()
				service = newService(t, options)
			}
			noError(t, writeAll(open(t, service, git.URLOf(repo)), setTag("f0/k.yaml", "v0", "v1")))
			if git.Count("fetch") != fetches || git.Count("push") != pushes {
				t.Errorf("%d more fetches, %d more pushes", git.Count("fetch")-fetches, git.Count("push")-pushes)
			}
			// A moved head costs one fetch of commits and one of the blob.
			if err := git.Commit(repo, "main", "By hand",
				map[string]string{"f0/k.yaml": "tag: v0\n# by hand\n"}); err != nil {
				t.Fatal(err)
			}
			noError(t, writeAll(open(t, service, git.URLOf(repo)), setTag("f0/k.yaml", "v0", "v2")))
			if got := show(t, git, "f0/k.yaml"); got != "tag: v2\n# by hand\n" {
				t.Errorf("file: %q", got)
			}
			if more := git.Count("fetch") - fetches; more > 2 {
				t.Errorf("%d fetches for one moved head", more)
			}
		})
	}
}

func TestADamagedCacheIsMadeAnew(t *testing.T) {
	git := startGit(t, true, 1)
	dir := t.TempDir()
	service := newService(t, Options{CacheDir: dir})
	noError(t, writeAll(open(t, service, git.URLOf(repo)), setTag("f0/k.yaml", "v0", "v1")))
	service.Close()
	packs, err := filepath.Glob(filepath.Join(dir, "*.git", "objects", "pack", "*"))
	if err != nil || len(packs) == 0 {
		t.Fatalf("no packs in the cache: %v", err)
	}
	for _, pack := range packs {
		if err := os.Remove(pack); err != nil {
			t.Fatal(err)
		}
	}
	noError(t, writeAll(open(t, newService(t, Options{CacheDir: dir}), git.URLOf(repo)),
		setTag("f0/k.yaml", "v1", "v2")))
	if got := show(t, git, "f0/k.yaml"); got != "tag: v2\n" {
		t.Errorf("file: %q", got)
	}
}

func TestPathsThatLeaveTheRepositoryAreRefused(t *testing.T) {
	git := startGit(t, true, 1)
	r := open(t, newService(t, Options{}), git.URLOf(repo))
	wants := map[Want]error{
		{Folder: "linked", Names: "k.yaml"}:                    ErrSymlink,
		{Folder: ".", Names: "link"}:                           ErrSymlink,
		{Folder: "f0", Names: "none.yaml"}:                     ErrNoFile,
		{Folder: "none", Names: "k.yaml"}:                      ErrNoFile,
		{Folder: "f0/k.yaml", Names: "k.yaml"}:                 ErrNoFile,
		{Folder: "..", Names: "k.yaml"}:                        ErrNoFile,
		{Branch: "none", Folder: "f0", Names: "k.yaml"}:        ErrNoBranch,
		{Branch: "main", Folder: "f0", Names: "a.yaml/k.yaml"}: nil,
	}
	var list []Want
	for w := range wants {
		list = append(list, w)
	}
	snapshot, err := r.Read(context.Background(), list)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := snapshot.File(Want{Folder: "f0", Names: "other.yaml"}); err == nil {
		t.Error("a file that nobody asked for is there")
	}
	for w, want := range wants {
		if file, err := snapshot.File(w); !errors.Is(err, want) || err == nil && string(file.Data) != "tag: v0\n" {
			t.Errorf("%+v: %+v, %v; want %v", w, file, err, want)
		}
	}
}

// TestNamesOfNoFiles reads what has the name of a file, and is a folder or a submodule.
func TestNamesOfNoFiles(t *testing.T) {
	git := startGit(t, true, 1)
	if err := git.Commit(repo, "main", "A folder", map[string]string{"a/kustomization.yaml/x": "1"}); err != nil {
		t.Fatal(err)
	}
	head, err := git.Run(repo, "rev-parse", "main")
	if err != nil {
		t.Fatal(err)
	}
	tree, err := git.Run(repo, "rev-parse", "main^{tree}")
	if err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{
		{"read-tree", strings.TrimSpace(tree)},
		{"update-index", "--add", "--cacheinfo", "160000," + strings.TrimSpace(head) + ",b/kustomization.yaml"},
	} {
		if _, err := git.Run(repo, args...); err != nil {
			t.Fatal(err)
		}
	}
	if tree, err = git.Run(repo, "write-tree"); err != nil {
		t.Fatal(err)
	}
	commit, err := git.Run(repo, "commit-tree", "-m", "A submodule", strings.TrimSpace(tree))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := git.Run(repo, "update-ref", "refs/heads/main", strings.TrimSpace(commit)); err != nil {
		t.Fatal(err)
	}

	a := Want{Folder: "a", Names: "kustomization.yaml/kustomization.yml"}
	b := Want{Folder: "b", Names: "kustomization.yaml/kustomization.yml"}
	snapshot, err := open(t, newService(t, Options{}), git.URLOf(repo)).Read(t.Context(), []Want{a, b})
	if err != nil {
		t.Fatal(err)
	}
	for want, says := range map[Want]string{
		a: "a/kustomization.yaml is a folder", b: "b/kustomization.yaml is a submodule; annotate git-repository",
	} {
		if _, err := snapshot.File(want); !errors.Is(err, ErrNoFile) || !strings.Contains(err.Error(), says) {
			t.Errorf("%v, want %s", err, says)
		}
	}
}

func TestErrorsSayWhatToDoAndHoldNoCredentials(t *testing.T) {
	git := startGit(t, true, 1)
	git.Allow = func(user, password string) bool { return user == "ada" && password == "s3cret-password" }
	withCredentials := func(user, password string) string {
		return strings.Replace(git.URLOf(repo), "http://", "http://"+user+":"+password+"@", 1)
	}
	read := func(url string) error {
		r, err := newService(t, Options{}).Open(context.Background(), Access{URL: url})
		if err != nil {
			return err
		}
		_, err = r.Read(context.Background(), []Want{wantFile("f0/k.yaml")})
		return err
	}
	if err := read(withCredentials("ada", "s3cret-password")); err != nil {
		t.Errorf("user and password of the URL: %v", err)
	}
	t.Run("user and password of a Secret beat the URL's", func(t *testing.T) {
		service := newService(t, Options{Credentials: func(_ context.Context, access Access) (Credentials, error) {
			if access.From != "secret:argocd/git" {
				return Credentials{}, errors.New("another Secret is asked for")
			}
			return Credentials{Username: "ada", Password: "s3cret-password"}, nil
		}})
		r, err := service.Open(context.Background(),
			Access{URL: withCredentials("ada", "wr0ng-password"), From: "secret:argocd/git"})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := r.Read(context.Background(), []Want{wantFile("f0/k.yaml")}); err != nil {
			t.Error(err)
		}
		r, err = service.Open(context.Background(), Access{URL: git.URLOf(repo), From: "secret:argocd/none"})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := r.Read(context.Background(), []Want{wantFile("f0/k.yaml")}); err == nil ||
			!strings.Contains(err.Error(), "finding its credentials: another Secret is asked for") {
			t.Error(err)
		}
	})
	for name, c := range map[string]struct{ url, want string }{
		"wrong password": {withCredentials("ada", "wr0ng-password"), "rejected the ones"},
		"no server":      {"http://ada:wr0ng-password@127.0.0.1:1/o/r.git", "can be reached"},
		"no repository": {strings.Replace(withCredentials("ada", "s3cret-password"), "manifests", "none", 1),
			"was not found"},
		"no URL": {"http://ada:wr0ng-password@[::1/o/r.git", "is invalid"},
		"file":   {"file:///tmp/wr0ng-password", "the protocol file is not supported"},
	} {
		err := read(c.url)
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v; want %q", name, err, c.want)
		}
		if err != nil && name != "file" && strings.Contains(err.Error(), "-password") {
			t.Errorf("%s: the error holds the password: %v", name, err)
		}
	}
}

// TestServersThatGiveOutLess uses servers that omit files on request, but send single
// objects only if a commit reaches them, or not at all.
func TestServersThatGiveOutLess(t *testing.T) {
	for name, settings := range map[string][]string{
		"as GitHub advertises": {"uploadpack.allowFilter", "uploadpack.allowTipSHA1InWant",
			"uploadpack.allowReachableSHA1InWant"},
		"no single objects":      {"uploadpack.allowFilter"},
		"none of the extensions": nil,
		"promises broken":        {"uploadpack.allowFilter", "uploadpack.allowAnySHA1InWant"},
		"filters refused":        {"uploadpack.allowFilter", "uploadpack.allowAnySHA1InWant"},
	} {
		t.Run(name, func(t *testing.T) {
			git := startGit(t, false, 2)
			for _, key := range settings {
				if _, err := git.Run(repo, "config", key, "true"); err != nil {
					t.Fatal(err)
				}
			}
			switch name {
			case "promises broken":
				git.Fault = refuseSingleObjects
			case "filters refused":
				git.Fault = refuseFilters
			}
			r := open(t, newService(t, Options{}), git.URLOf(repo))
			for i := range 3 { // it is learned once
				noError(t, writeAll(r, setTag("f0/k.yaml", fmt.Sprintf("v%d", i), fmt.Sprintf("v%d", i+1))))
				if err := git.Commit(repo, "main", "By hand",
					map[string]string{"f1/k.yaml": fmt.Sprintf("n: %d\n", i)}); err != nil {
					t.Fatal(err)
				}
			}
			if got := show(t, git, "f0/k.yaml"); got != "tag: v3\n" {
				t.Errorf("file: %q", got)
			}
			t.Logf("%d fetches for three cycles", git.Count("fetch"))
		})
	}
}

// refuseFilters refuses fetches that leave files out.
func refuseFilters(w http.ResponseWriter, r *http.Request) bool {
	if !strings.HasSuffix(r.URL.Path, "/git-upload-pack") {
		return false
	}
	body, err := io.ReadAll(r.Body)
	if err == nil && bytes.Contains(body, []byte("filter blob:none")) {
		http.Error(w, "no filters", http.StatusInternalServerError)
		return true
	}
	r.Body = io.NopCloser(bytes.NewReader(body))
	return false
}

// TestServersWithoutHEAD reads the default branch of servers that do not name it.
func TestServersWithoutHEAD(t *testing.T) {
	for name, c := range map[string]struct {
		branches []string
		want     string
	}{
		"main":            {[]string{"main", "other"}, "main"},
		"master":          {[]string{"master", "other"}, "master"},
		"both, one apart": {[]string{"main", "master"}, "main"}, // HEAD is there
		"neither":         {[]string{"trunk", "other"}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			git := startGit(t, true, 1)
			head, err := git.Run(repo, "rev-parse", "main")
			if err != nil {
				t.Fatal(err)
			}
			for _, branch := range c.branches {
				if _, err := git.Run(repo, "branch", "-f", branch, "main"); branch != "main" && err != nil {
					t.Fatal(err)
				}
			}
			if name == "both, one apart" {
				if err := git.Commit(repo, "master", "Apart", map[string]string{"x": "1"}); err != nil {
					t.Fatal(err)
				}
			}
			if _, err := git.Run(repo, "update-ref", "--no-deref", "HEAD", strings.TrimSpace(head)); err != nil {
				t.Fatal(err)
			}
			if !slices.Contains(c.branches, "main") {
				if _, err := git.Run(repo, "branch", "-D", "main"); err != nil {
					t.Fatal(err)
				}
			}

			r := open(t, newService(t, Options{}), git.URLOf(repo))
			snapshot, err := r.Read(t.Context(), []Want{wantFile("f0/k.yaml")})
			if err != nil {
				t.Fatal(err)
			}
			if got, ok := snapshot.Branch(""); got != c.want || ok != (c.want != "") {
				t.Errorf("%q, %t", got, ok)
			}
		})
	}
}

// refuseSingleObjects refuses fetches that are not for the newest commit of a branch.
func refuseSingleObjects(w http.ResponseWriter, r *http.Request) bool {
	if !strings.HasSuffix(r.URL.Path, "/git-upload-pack") {
		return false
	}
	body, err := io.ReadAll(r.Body)
	if err == nil && !bytes.Contains(body, []byte("deepen")) {
		http.Error(w, "not our ref", http.StatusInternalServerError)
		return true
	}
	r.Body = io.NopCloser(bytes.NewReader(body))
	return false
}
