package delivery

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/liverty-music/image-writeback/internal/forge"
	"github.com/liverty-music/image-writeback/internal/giturl"
	"github.com/liverty-music/image-writeback/internal/gitwrite"
	"github.com/liverty-music/image-writeback/internal/image"
	"github.com/liverty-music/image-writeback/internal/plan"
	"github.com/liverty-music/image-writeback/internal/sandbox/git"
	"github.com/liverty-music/image-writeback/internal/spec"
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

// services are the services that write to the repositories of a test.
type services struct {
	git      *gitwrite.Service
	delivery *Service
}

func newService(t *testing.T, options Options) services {
	t.Helper()
	message, err := ParseMessage("")
	if err != nil {
		t.Fatal(err)
	}
	options.Message = message
	s := services{gitwrite.New(gitwrite.Options{Login: loginBy(options.Forge)}), New(options)}
	t.Cleanup(s.git.Close)
	return s
}

// loginBy returns a login through the forge of a repository.
func loginBy(find func(address giturl.Address) forge.Repository) func(address giturl.Address) gitwrite.Login {
	return func(address giturl.Address) gitwrite.Login {
		if find == nil {
			return nil
		}
		at := find(address)
		if at == nil {
			return nil
		}
		return at.Login
	}
}

// target is a repository to write to.
type target struct {
	*gitwrite.Repository
	delivery *Service
}

func open(t *testing.T, s services, url string) target {
	t.Helper()
	r, err := s.git.Open(context.Background(), gitwrite.Access{URL: url})
	if err != nil {
		t.Fatal(err)
	}
	return target{r, s.delivery}
}

// setTag replaces one tag with another, and does nothing if the file has neither.
func setTag(file, from, to string) plan.Work {
	return plan.Work{Application: "argocd/" + file, Name: file, Base: "main", File: file,
		Edit: func(old []byte) ([]byte, []image.Change, error) {
			if !bytes.Contains(old, []byte("tag: "+from+"\n")) {
				return old, nil, nil
			}
			return bytes.Replace(old, []byte("tag: "+from+"\n"), []byte("tag: "+to+"\n"), 1),
				[]image.Change{{File: file, Image: "ghcr.io/o/app", Alias: "app", Old: image.ParseVersion(from),
					New: image.ParseVersion(to)}}, nil
		}}
}

func wantFile(file string) gitwrite.Want {
	return gitwrite.Want{Folder: filepath.Dir(file), Names: filepath.Base(file)}
}

// alone is the Owns of a process without other replicas.
func alone() bool { return true }

// writeAll reads and writes works as a cycle does. A pull request gets its body
// only if the batch requests it.
func writeAll(t *testing.T, r target, works ...plan.Work) []Outcome {
	t.Helper()
	var wants []gitwrite.Want
	bodies := map[*plan.PullRequest]string{}
	for _, w := range works {
		wants = append(wants, wantFile(w.File))
		if w.Write != "" {
			head := wantFile(w.File)
			head.Branch = w.Write
			wants = append(wants, head)
		}
		if p := w.PullRequest; p != nil && p.Body != "" {
			bodies[p], p.Body = p.Body, ""
		}
	}
	snapshot, err := r.Read(context.Background(), wants)
	if err != nil {
		t.Fatal(err)
	}

	batch := r.delivery.Examine(context.Background(), Job{
		Method: spec.MethodGit, Works: works, Owns: alone, Repository: r.Repository, Snapshot: snapshot,
	})
	batch.Write(context.Background())
	for _, text := range batch.Texts() {
		text.Request.Body = bodies[text.Request]
	}
	outcomes := batch.Finish(context.Background())
	for p, body := range bodies {
		p.Body = body
	}
	return outcomes
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
			got := show(t, git, "main", "f0/k.yaml") + show(t, git, "main", "f1/k.yaml")
			if got != "tag: v1\ntag: v0\n" {
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

// TestRaces lets two updaters and a person push to one branch at the same moment:
// no commit may be lost.
func TestRaces(t *testing.T) {
	const rounds, each = 4, 5
	git := startGit(t, true, 2*each+1)
	var group sync.WaitGroup
	for updater := range 2 {
		service := newService(t, Options{})
		group.Go(func() {
			r := open(t, service, git.URLOf(repo))
			for round := range rounds {
				var works []plan.Work
				for i := range each {
					works = append(works, setTag(fmt.Sprintf("f%d/k.yaml", updater*each+i), fmt.Sprintf("v%d", round),
						fmt.Sprintf("v%d", round+1)))
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

// pushAsPerson commits on the newest head, and repeats it until the push succeeds.
func pushAsPerson(git *git.Server, message, content string) error {
	var err error
	for range 100 {
		// fast-import refuses to drop commits that were pushed in between.
		if err = git.Commit(repo, "main", message, map[string]string{"hand.yaml": content}); err == nil {
			return nil
		}
	}
	return err
}

// TestALostRaceIsEditedAgain lets a person win just before each push.
func TestALostRaceIsEditedAgain(t *testing.T) {
	git := startGit(t, true, 1)
	times := 0
	git.BeforePush = func(string) {
		if times++; times <= 3 {
			if err := git.Commit(repo, "main", "By hand",
				map[string]string{"f0/k.yaml": fmt.Sprintf("tag: v0\nhand: %d\n", times)}); err != nil {
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
	if got := show(t, git, "main", "f0/k.yaml"); got != "tag: v7\n" || outcomes[0].Commit != "" ||
		outcomes[0].Note == "" {
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
	outcomes := writeAll(t, open(t, newService(t, Options{}), git.URLOf(repo)), setTag("f0/k.yaml", "v0", "v1"),
		other)
	if err := outcomes[0].Err; err == nil || !strings.Contains(err.Error(), "GH006") ||
		!strings.Contains(err.Error(), "branch protection") {
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
