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
	"strings"
	"sync"
	"testing"

	"github.com/liverty-music/image-writeback/internal/image"
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
	message, err := ParseMessage("")
	if err != nil {
		t.Fatal(err)
	}
	options.Message = message
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

// setTag replaces one tag by another, and does nothing where neither is there.
func setTag(file, from, to string) Work {
	return Work{Application: "argocd/" + file, Name: file, Base: "main", File: file, Edit: func(old []byte) ([]byte, []image.Change, error) {
		if !bytes.Contains(old, []byte("tag: "+from+"\n")) {
			return old, nil, nil
		}
		return bytes.Replace(old, []byte("tag: "+from+"\n"), []byte("tag: "+to+"\n"), 1), []image.Change{{File: file, Image: "ghcr.io/o/app", Alias: "app", Old: image.ParseVersion(from), New: image.ParseVersion(to)}}, nil
	}}
}

func wantFile(file string) Want {
	return Want{Folder: filepath.Dir(file), Names: filepath.Base(file)}
}

// alone is for a process that has no other replicas.
func alone() bool { return true }

// writeAll reads and writes works as a cycle does.
func writeAll(t *testing.T, r *Repository, works ...Work) []Outcome {
	t.Helper()
	var wants []Want
	for _, w := range works {
		wants = append(wants, wantFile(w.File))
		if w.Write != "" {
			head := wantFile(w.File)
			head.Branch = w.Write
			wants = append(wants, head)
		}
	}
	snapshot, err := r.Read(context.Background(), wants)
	if err != nil {
		t.Fatal(err)
	}
	return r.Write(context.Background(), snapshot, works, alone)
}

func noErrors(t *testing.T, outcomes []Outcome) {
	t.Helper()
	for _, o := range outcomes {
		if o.Err != nil {
			t.Errorf("%s: %v", o.Application, o.Err)
		}
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

func show(t *testing.T, git *git.Server, branch, file string) string {
	t.Helper()
	s, err := git.Show(repo, branch, file)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestOneCommitForEachWorkAndOnePush(t *testing.T) {
	for _, partial := range []bool{true, false} {
		t.Run(fmt.Sprintf("partial=%v", partial), func(t *testing.T) {
			git := startGit(t, partial, 3)
			r := open(t, newService(t, Options{SignOff: true}), git.URLOf(repo))
			noErrors(t, writeAll(t, r, setTag("f0/k.yaml", "v0", "v1"), setTag("f2/k.yaml", "v0", "v1")))
			if got := subjects(t, git, "main"); len(got) != 3 || got[0] != "build: automatic update of f2/k.yaml" {
				t.Errorf("commits: %q", got)
			}
			if got := show(t, git, "main", "f0/k.yaml") + show(t, git, "main", "f1/k.yaml"); got != "tag: v1\ntag: v0\n" {
				t.Errorf("files: %q", got)
			}
			if git.Count("push") != 1 || git.Count("fetch") > 2 {
				t.Errorf("%d pushes, %d fetches", git.Count("push"), git.Count("fetch"))
			}
			message, err := git.Run(repo, "log", "-1", "--format=%B", "main")
			if err != nil {
				t.Fatal(err)
			}
			want := `build: automatic update of f2/k.yaml

updates image o/app tag 'v0' to 'v1'

Image-Writeback: f2/k.yaml ghcr.io/o/app v0 -> v1
Signed-off-by: image-writeback <image-writeback@localhost>`
			if strings.TrimSpace(message) != want {
				t.Errorf("message:\n%s", message)
			}
			trailers, err := git.Run(repo, "log", "-1", "--format=%(trailers:key=Image-Writeback,valueonly)", "main")
			if err != nil || strings.TrimSpace(trailers) != "f2/k.yaml ghcr.io/o/app v0 -> v1" {
				t.Errorf("git reads the trailer as %q (%v)", trailers, err)
			}
			if out, err := git.Run(repo, "fsck", "--strict"); err != nil {
				t.Errorf("fsck: %s %v", out, err)
			}
		})
	}
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
			noErrors(t, writeAll(t, open(t, service, git.URLOf(repo)), setTag("f0/k.yaml", "v0", "v1")))
			fetches, pushes := git.Count("fetch"), git.Count("push")
			if cached { // another process takes over
				service.Close()
				service = newService(t, options)
			}
			noErrors(t, writeAll(t, open(t, service, git.URLOf(repo)), setTag("f0/k.yaml", "v0", "v1")))
			if git.Count("fetch") != fetches || git.Count("push") != pushes {
				t.Errorf("%d more fetches, %d more pushes", git.Count("fetch")-fetches, git.Count("push")-pushes)
			}
			// A head that moved costs one fetch of commits, and one of the blob.
			if err := git.Commit(repo, "main", "By hand", map[string]string{"f0/k.yaml": "tag: v0\n# by hand\n"}); err != nil {
				t.Fatal(err)
			}
			noErrors(t, writeAll(t, open(t, service, git.URLOf(repo)), setTag("f0/k.yaml", "v0", "v2")))
			if got := show(t, git, "main", "f0/k.yaml"); got != "tag: v2\n# by hand\n" {
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
	noErrors(t, writeAll(t, open(t, service, git.URLOf(repo)), setTag("f0/k.yaml", "v0", "v1")))
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
	noErrors(t, writeAll(t, open(t, newService(t, Options{CacheDir: dir}), git.URLOf(repo)), setTag("f0/k.yaml", "v1", "v2")))
	if got := show(t, git, "main", "f0/k.yaml"); got != "tag: v2\n" {
		t.Errorf("file: %q", got)
	}
}

// TestRaces has two updaters and a person push to one branch at the same
// moment: every commit of all of them must be there.
func TestRaces(t *testing.T) {
	const rounds, each = 4, 5
	git := startGit(t, true, 2*each+1)
	var group sync.WaitGroup
	for updater := range 2 {
		service := newService(t, Options{})
		group.Go(func() {
			r := open(t, service, git.URLOf(repo))
			for round := range rounds {
				var works []Work
				for i := range each {
					works = append(works, setTag(fmt.Sprintf("f%d/k.yaml", updater*each+i), fmt.Sprintf("v%d", round), fmt.Sprintf("v%d", round+1)))
				}
				noErrors(t, writeAll(t, r, works...))
			}
		})
	}
	group.Go(func() {
		for i := range 20 {
			if err := pushAsPerson(git, fmt.Sprintf("By hand %d", i), fmt.Sprintf("n: %d\n", i)); err != nil {
				t.Error(err)
			}
		}
	})
	group.Wait()
	count := map[string]int{}
	for _, s := range subjects(t, git, "main") {
		count[s]++
	}
	for i := range 2 * each {
		file := fmt.Sprintf("f%d/k.yaml", i)
		if got := show(t, git, "main", file); got != fmt.Sprintf("tag: v%d\n", rounds) {
			t.Errorf("%s: %q", file, got)
		}
		if n := count["build: automatic update of "+file]; n != rounds {
			t.Errorf("%d commits for %s, want %d", n, file, rounds)
		}
	}
	for i := range 20 {
		if count[fmt.Sprintf("By hand %d", i)] != 1 {
			t.Errorf("the person's commit %d is not there", i)
		}
	}
}

// pushAsPerson commits on the newest head, as often as it takes.
func pushAsPerson(git *git.Server, message, content string) error {
	var err error
	for range 100 {
		// fast-import refuses to drop commits that came in between.
		if err = git.Commit(repo, "main", message, map[string]string{"hand.yaml": content}); err == nil {
			return nil
		}
	}
	return err
}

// TestALostRaceIsEditedAnew lets a person win just before each push.
func TestALostRaceIsEditedAnew(t *testing.T) {
	git := startGit(t, true, 1)
	times := 0
	git.BeforePush = func(string) {
		if times++; times <= 3 {
			if err := git.Commit(repo, "main", "By hand", map[string]string{"f0/k.yaml": fmt.Sprintf("tag: v0\nhand: %d\n", times)}); err != nil {
				t.Error(err)
			}
		}
	}
	noErrors(t, writeAll(t, open(t, newService(t, Options{}), git.URLOf(repo)), setTag("f0/k.yaml", "v0", "v1")))
	if got := show(t, git, "main", "f0/k.yaml"); got != "tag: v1\nhand: 3\n" {
		t.Errorf("file: %q", got)
	}
	if got := subjects(t, git, "main"); len(got) != 5 {
		t.Errorf("commits: %q", got)
	}
}

func TestWhatSomebodyElseSetStays(t *testing.T) {
	git := startGit(t, true, 1)
	once := sync.Once{}
	git.BeforePush = func(string) {
		once.Do(func() {
			if err := git.Commit(repo, "main", "By hand", map[string]string{"f0/k.yaml": "tag: v7\n"}); err != nil {
				t.Error(err)
			}
		})
	}
	outcomes := writeAll(t, open(t, newService(t, Options{}), git.URLOf(repo)), setTag("f0/k.yaml", "v0", "v1"))
	noErrors(t, outcomes)
	if got := show(t, git, "main", "f0/k.yaml"); got != "tag: v7\n" || outcomes[0].Commit != "" || outcomes[0].Note == "" {
		t.Errorf("file %q, outcome %+v", got, outcomes[0])
	}
}

// TestABrokenConnectionIsNoSecondCommit cuts the answer to a push that went through.
func TestABrokenConnectionIsNoSecondCommit(t *testing.T) {
	git := startGit(t, true, 1)
	cut := true
	git.Fault = func(_ http.ResponseWriter, r *http.Request) bool {
		if !strings.HasSuffix(r.URL.Path, "/git-receive-pack") || !cut {
			return false
		}
		cut = false
		git.ServeHTTP(discard{}, r)
		panic(http.ErrAbortHandler)
	}
	outcomes := writeAll(t, open(t, newService(t, Options{}), git.URLOf(repo)), setTag("f0/k.yaml", "v0", "v1"))
	noErrors(t, outcomes)
	if got := subjects(t, git, "main"); len(got) != 2 || outcomes[0].Commit == "" {
		t.Errorf("commits %q, outcome %+v", got, outcomes[0])
	}
}

type discard struct{}

func (discard) Header() http.Header         { return http.Header{} }
func (discard) Write(p []byte) (int, error) { return len(p), nil }
func (discard) WriteHeader(int)             {}

func TestARefusedBranchDoesNotStopAnother(t *testing.T) {
	git := startGit(t, true, 2)
	hook := "#!/bin/sh\ncase $1 in refs/heads/main) echo 'GH006: Protected branch update failed' >&2; exit 1;; esac\n"
	if err := os.WriteFile(filepath.Join(git.Root, repo+".git", "hooks", "update"), []byte(hook), 0o755); err != nil {
		t.Fatal(err)
	}
	other := setTag("f1/k.yaml", "v0", "v1")
	other.Write = "staging"
	outcomes := writeAll(t, open(t, newService(t, Options{}), git.URLOf(repo)), setTag("f0/k.yaml", "v0", "v1"), other)
	if err := outcomes[0].Err; err == nil || !strings.Contains(err.Error(), "GH006") || !strings.Contains(err.Error(), "branch protection") {
		t.Errorf("error: %v", err)
	}
	if outcomes[1].Err != nil || show(t, git, "staging", "f1/k.yaml") != "tag: v1\n" {
		t.Errorf("the other branch: %+v", outcomes[1])
	}
}

func TestAWriteBranchIsMadeAndContinued(t *testing.T) {
	git := startGit(t, true, 1)
	r := open(t, newService(t, Options{}), git.URLOf(repo))
	for i := range 2 {
		work := setTag("f0/k.yaml", fmt.Sprintf("v%d", i), fmt.Sprintf("v%d", i+1))
		work.Write = "updates"
		noErrors(t, writeAll(t, r, work))
	}
	if got := subjects(t, git, "updates"); len(got) != 3 {
		t.Errorf("commits on updates: %q", got)
	}
	if got := subjects(t, git, "main"); len(got) != 1 {
		t.Errorf("commits on main: %q", got)
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
	for w, want := range wants {
		if file, err := snapshot.File(w); !errors.Is(err, want) || err == nil && string(file.Data) != "tag: v0\n" {
			t.Errorf("%+v: %+v, %v; want %v", w, file, err, want)
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
		r, err := service.Open(context.Background(), Access{URL: withCredentials("ada", "wr0ng-password"), From: "secret:argocd/git"})
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
		if _, err := r.Read(context.Background(), []Want{wantFile("f0/k.yaml")}); err == nil || !strings.Contains(err.Error(), "finding its credentials: another Secret is asked for") {
			t.Error(err)
		}
	})
	for name, c := range map[string]struct{ url, want string }{
		"wrong password": {withCredentials("ada", "wr0ng-password"), "refuses ours"},
		"no server":      {"http://ada:wr0ng-password@127.0.0.1:1/o/r.git", "can be reached"},
		"no repository":  {strings.Replace(withCredentials("ada", "s3cret-password"), "manifests", "none", 1), "was not found"},
		"no URL":         {"http://ada:wr0ng-password@[::1/o/r.git", "cannot be read"},
		"file":           {"file:///tmp/wr0ng-password", "no protocol"},
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

// TestServersThatGiveOutLess has servers which leave files out on request but
// hand out single objects only where a commit reaches them, or not at all.
func TestServersThatGiveOutLess(t *testing.T) {
	for name, settings := range map[string][]string{
		"as GitHub advertises":   {"uploadpack.allowFilter", "uploadpack.allowTipSHA1InWant", "uploadpack.allowReachableSHA1InWant"},
		"no single objects":      {"uploadpack.allowFilter"},
		"none of the extensions": nil,
		"promises broken":        {"uploadpack.allowFilter", "uploadpack.allowAnySHA1InWant"},
	} {
		t.Run(name, func(t *testing.T) {
			git := startGit(t, false, 2)
			for _, key := range settings {
				if _, err := git.Run(repo, "config", key, "true"); err != nil {
					t.Fatal(err)
				}
			}
			if name == "promises broken" {
				git.Fault = refuseSingleObjects
			}
			r := open(t, newService(t, Options{}), git.URLOf(repo))
			for i := range 3 { // it is learned once
				noErrors(t, writeAll(t, r, setTag("f0/k.yaml", fmt.Sprintf("v%d", i), fmt.Sprintf("v%d", i+1))))
				if err := git.Commit(repo, "main", "By hand", map[string]string{"f1/k.yaml": fmt.Sprintf("n: %d\n", i)}); err != nil {
					t.Fatal(err)
				}
			}
			if got := show(t, git, "main", "f0/k.yaml"); got != "tag: v3\n" {
				t.Errorf("file: %q", got)
			}
			t.Logf("%d fetches for three cycles", git.Count("fetch"))
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
