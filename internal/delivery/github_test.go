package delivery

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/liverty-music/image-writeback/internal/forge/github"
	"github.com/liverty-music/image-writeback/internal/gitwrite"
	"github.com/liverty-music/image-writeback/internal/image"
	"github.com/liverty-music/image-writeback/internal/plan"
	"github.com/liverty-music/image-writeback/internal/sandbox/forge"
	sandboxgit "github.com/liverty-music/image-writeback/internal/sandbox/git"
)

// startHub serves a repository with GitHub in front of it.
func startHub(t *testing.T, n int) (*sandboxgit.Server, *forge.GitHub, *github.Client) {
	t.Helper()
	git := startGit(t, true, n)
	hub, err := forge.NewGitHub(git)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(hub.Close)
	if err := hub.Check("../../bin"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		for _, deviation := range hub.Deviations() {
			t.Error(deviation)
		}
	})
	key := filepath.Join(t.TempDir(), "app.pem")
	if err := os.WriteFile(key, hub.PrivateKey, 0o600); err != nil {
		t.Fatal(err)
	}
	client, err := github.New(github.Options{APIURL: hub.URL, AppID: forge.AppID, PrivateKeyFile: key})
	if err != nil {
		t.Fatal(err)
	}
	return git, hub, client
}

// at configures a Service to find pull requests at a GitHub.
func at(hub *github.Client) Options {
	return Options{Forge: hub.Repository}
}

// propose returns a setTag from v0, delivered by pull request.
func propose(file, to string) plan.Work {
	const from = "v0"
	w := setTag(file, from, to)
	w.Write = "image-writeback/argocd/" + filepath.Dir(file)
	w.Planned = []image.Change{{File: file, Image: "ghcr.io/o/app", Alias: "app", Old: image.ParseVersion(from),
		New: image.ParseVersion(to)}}
	w.PullRequest = &plan.PullRequest{
		Title:     fmt.Sprintf("%s: %s → %s", file, from, to),
		Body:      "now " + to,
		Labels:    []string{"deploy"},
		OwnBranch: true,
	}
	return w
}

func TestAPullRequestIsOpenedOnceAndUpdated(t *testing.T) {
	git, hub, client := startHub(t, 1)
	service := newService(t, at(client))
	r := open(t, service, git.URLOf(repo))
	outcomes := writeAll(t, r, propose("f0/k.yaml", "v1"))
	noErrors(t, outcomes)
	pulls := hub.Pulls(repo)
	if len(pulls) != 1 || pulls[0].Title != "f0/k.yaml: v0 → v1" || pulls[0].Base != "main" ||
		pulls[0].Labels[0] != "deploy" || outcomes[0].PullRequestURL != pulls[0].URL {
		t.Fatalf("pull requests: %+v, outcome %+v", pulls, outcomes[0])
	}
	author, err := git.Run(repo, "log", "-1", "--format=%an <%ae>", pulls[0].Head)
	const bot = "image-writeback[bot] <90210+image-writeback[bot]@users.noreply.127.0.0.1>"
	if err != nil || strings.TrimSpace(author) != bot {
		t.Errorf("author %q, %v", author, err)
	}
	// A newer candidate updates the same pull request, on the newest base.
	if err := git.Commit(repo, "main", "By hand", map[string]string{"other": "x"}); err != nil {
		t.Fatal(err)
	}
	noErrors(t, writeAll(t, r, propose("f0/k.yaml", "v2")))
	pulls = hub.Pulls(repo)
	if len(pulls) != 1 || pulls[0].Title != "f0/k.yaml: v0 → v2" || !strings.HasPrefix(pulls[0].Body, "now v2\n") {
		t.Errorf("pull requests: %+v", pulls)
	}
	if got := subjects(t, git, pulls[0].Head); len(got) != 3 || got[1] != "By hand" {
		t.Errorf("commits of the head: %q", got)
	}
	if show(t, git, "main", "f0/k.yaml") != "tag: v0\n" {
		t.Error("the base was changed")
	}
}

// notOpened makes GitHub refuse to open pull requests.
func notOpened(w http.ResponseWriter, r *http.Request) bool {
	if r.Method != http.MethodPost || !strings.HasSuffix(r.URL.Path, "/pulls") {
		return false
	}
	http.Error(w, `{"message":"down"}`, http.StatusBadGateway)
	return true
}

func TestAPullRequestThatWasNotOpenedYetIs(t *testing.T) {
	git, hub, client := startHub(t, 1)
	hub.Fault = notOpened // as when killed between the push and the pull request
	outcomes := writeAll(t, open(t, newService(t, at(client)), git.URLOf(repo)), propose("f0/k.yaml", "v1"))
	if err := outcomes[0].Err; err == nil || !strings.Contains(err.Error(), "502") {
		t.Fatalf("outcome %+v", outcomes[0])
	}
	hub.Fault = nil
	proposed := propose("f0/k.yaml", "v1")
	proposed.Proposed = true // as a plan finds it
	r := open(t, newService(t, at(client)), git.URLOf(repo))
	pushes := git.Count("push")
	for range 3 {
		noErrors(t, writeAll(t, r, proposed))
	}
	if len(hub.Pulls(repo)) != 1 || git.Count("push") != pushes {
		t.Errorf("%d pull requests, %d pushes", len(hub.Pulls(repo)), git.Count("push")-pushes)
	}
}

// TestTheNextPullRequestThatWasNotOpenedYetIs is the same for one that was
// opened before and merged.
func TestTheNextPullRequestThatWasNotOpenedYetIs(t *testing.T) {
	git, hub, client := startHub(t, 1)
	r := open(t, newService(t, at(client)), git.URLOf(repo))
	noErrors(t, writeAll(t, r, propose("f0/k.yaml", "v1")))
	if err := hub.ClosePull(repo, 1, true); err != nil {
		t.Fatal(err)
	}
	if err := git.Commit(repo, "main", "Back to v0", map[string]string{"f0/k.yaml": "tag: v0\n"}); err != nil {
		t.Fatal(err)
	}
	hub.Fault = notOpened
	if outcomes := writeAll(t, r, propose("f0/k.yaml", "v2")); outcomes[0].Err == nil {
		t.Fatalf("outcome %+v", outcomes[0])
	}
	hub.Fault = nil
	proposed := propose("f0/k.yaml", "v2")
	proposed.Proposed = true
	noErrors(t, writeAll(t, r, proposed))
	if pulls := hub.Pulls(repo); len(pulls) != 2 || pulls[1].State != "open" {
		t.Errorf("pull requests: %+v", pulls)
	}
}

func TestAClosedPullRequestIsNotOpenedAgain(t *testing.T) {
	git, hub, client := startHub(t, 1)
	noErrors(t, writeAll(t, open(t, newService(t, at(client)), git.URLOf(repo)), propose("f0/k.yaml", "v1")))
	if err := hub.ClosePull(repo, 1, false); err != nil {
		t.Fatal(err)
	}
	if _, err := git.Run(repo, "update-ref", "-d", "refs/heads/image-writeback/argocd/f0"); err != nil {
		t.Fatal(err)
	}
	r := open(t, newService(t, at(client)), git.URLOf(repo)) // after a restart
	outcomes := writeAll(t, r, propose("f0/k.yaml", "v1"))
	noErrors(t, outcomes)
	if len(hub.Pulls(repo)) != 1 || !strings.Contains(outcomes[0].Note, "closed without merging") {
		t.Errorf("%d pull requests, outcome %+v", len(hub.Pulls(repo)), outcomes[0])
	}
	noErrors(t, writeAll(t, r, propose("f0/k.yaml", "v2")))
	if pulls := hub.Pulls(repo); len(pulls) != 2 || pulls[1].Title != "f0/k.yaml: v0 → v2" {
		t.Errorf("pull requests: %+v", pulls)
	}
}

func TestAPersonsCommitOnTheHeadIsLeftAlone(t *testing.T) {
	git, _, client := startHub(t, 1)
	r := open(t, newService(t, at(client)), git.URLOf(repo))
	noErrors(t, writeAll(t, r, propose("f0/k.yaml", "v1")))
	head := "image-writeback/argocd/f0"
	if err := git.Commit(repo, head, "Mine", map[string]string{"mine": "x"}); err != nil {
		t.Fatal(err)
	}
	before, _ := git.Head(repo, head)
	outcomes := writeAll(t, r, propose("f0/k.yaml", "v2"))
	after, _ := git.Head(repo, head)
	if !strings.Contains(outcomes[0].Note, "left alone") || before != after {
		t.Errorf("outcome %+v, head %s → %s", outcomes[0], before, after)
	}
}

func TestPullRequestsAndCommitsGoInOnePush(t *testing.T) {
	git, hub, client := startHub(t, 20)
	var works []plan.Work
	for i := range 20 {
		file := fmt.Sprintf("f%d/k.yaml", i)
		if i%2 == 0 {
			works = append(works, setTag(file, "v0", "v1"))
		} else {
			works = append(works, propose(file, "v1"))
		}
	}
	noErrors(t, writeAll(t, open(t, newService(t, at(client)), git.URLOf(repo)), works...))
	if git.Count("push") != 1 || len(hub.Pulls(repo)) != 10 || len(subjects(t, git, "main")) != 11 {
		t.Errorf("%d pushes, %d pull requests, %d commits", git.Count("push"), len(hub.Pulls(repo)),
			len(subjects(t, git, "main")))
	}
}

func TestGitHubErrorsSayWhatToDo(t *testing.T) {
	git, hub, client := startHub(t, 1)
	for status, want := range map[int]string{401: "privateKeyFile", 403: "Pull requests: read",
		404: "install the App", 422: "GitHub's message", 503: "next cycle"} {
		hub.Fault = func(w http.ResponseWriter, r *http.Request) bool {
			if !strings.HasSuffix(r.URL.Path, "/pulls") {
				return false
			}
			w.WriteHeader(status)
			_, _ = fmt.Fprint(w, `{"message":"no"}`)
			return true
		}
		outcomes := writeAll(t, open(t, newService(t, at(client)), git.URLOf(repo)), propose("f0/k.yaml", "v1"),
			setTag("f0/k.yaml", "v9", "v9"))
		err := outcomes[0].Err
		if err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), fmt.Sprint(status)) {
			t.Errorf("%d: %v; want %q", status, err, want)
		}
		if err != nil && strings.Contains(err.Error(), hub.Token()) {
			t.Errorf("%d: the error holds the token", status)
		}
		if outcomes[1].Err != nil {
			t.Errorf("%d: the commit failed too: %v", status, outcomes[1].Err)
		}
	}
}

func TestAToken(t *testing.T) {
	git, hub, _ := startHub(t, 1)
	file := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(file, []byte(hub.Token()+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	client, err := github.New(github.Options{APIURL: hub.URL, TokenFile: file})
	if err != nil {
		t.Fatal(err)
	}
	r := open(t, newService(t, at(client)), git.URLOf(repo))
	noErrors(t, writeAll(t, r, propose("f0/k.yaml", "v1")))
	if len(hub.Pulls(repo)) != 1 {
		t.Errorf("pull requests: %+v", hub.Pulls(repo))
	}
}

// TestAmendedIsNotOurs checks that our trailer alone does not make a commit ours.
func TestAmendedIsNotOurs(t *testing.T) {
	person := gitwrite.Signature{Name: "Ada", Email: "ada@example.com"}
	we := gitwrite.Signature{Name: "image-writeback", Email: "x@localhost"}
	const message = "build: x\n\ntext\n\nImage-Writeback: a b c -> d\nSigned-off-by: x\n"
	for name, c := range map[string]struct {
		author, committer gitwrite.Signature
		message           string
		want              bool
	}{
		"ours":         {we, we, message, true},
		"amended":      {we, person, message, false},
		"no trailer":   {we, we, "build: x\n\ntext\n", false},
		"quoted above": {person, person, message + "\nMy own words.\n", false},
	} {
		if got := madeByUs(c.author, c.committer, c.message); got != c.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}

func TestWithoutABotUserCommitsGoOn(t *testing.T) {
	git, hub, client := startHub(t, 1)
	hub.Fault = func(w http.ResponseWriter, r *http.Request) bool {
		if r.URL.Path != "/app" {
			return false
		}
		w.WriteHeader(http.StatusInternalServerError)
		return true
	}
	r := open(t, newService(t, Options{Forge: at(client).Forge,
		Author: gitwrite.Signature{Email: "bot@example.com"}}), git.URLOf(repo))
	noErrors(t, writeAll(t, r, setTag("f0/k.yaml", "v0", "v1")))
	author, err := git.Run(repo, "log", "-1", "--format=%an <%ae>", "main")
	if err != nil || strings.TrimSpace(author) != "image-writeback <bot@example.com>" {
		t.Errorf("author %q, %v", author, err)
	}
}
