package delivery

import (
	"net/http"
	"strings"
	"testing"

	"github.com/liverty-music/image-writeback/internal/forge/github"
	"github.com/liverty-music/image-writeback/internal/giturl"
	sandboxgit "github.com/liverty-music/image-writeback/internal/sandbox/git"
)

// viaAPI creates commits through GitHub's API.
func viaAPI(client *github.Client) Options {
	o := at(client)
	o.CommitViaAPI = true
	return o
}

// committers returns the committers of a branch's commits, newest first.
func committers(t *testing.T, git *sandboxgit.Server, branch string) string {
	t.Helper()
	out, err := git.Run(repo, "log", "--format=%an by %cn", "refs/heads/"+branch)
	if err != nil {
		t.Fatal(err)
	}
	return strings.Join(strings.Split(strings.TrimSpace(out), "\n"), ", ")
}

const byBot = "image-writeback[bot] by GitHub"

// TestCommitsThroughTheAPI checks the requests of both deliveries: one request for
// each commit, no push for a branch that exists, and for all new or rebuilt heads
// one push before and one after.
func TestCommitsThroughTheAPI(t *testing.T) {
	git, hub, client := startHub(t, 3)
	r := open(t, newService(t, viaAPI(client)), git.URLOf(repo))
	outcomes := writeAll(t, r, setTag("f0/k.yaml", "v0", "v1"), setTag("f1/k.yaml", "v0", "v1"))
	noErrors(t, outcomes)
	if got := committers(t, git, "main"); got != byBot+", "+byBot+", Ada by Ada" || git.Count("push") != 0 ||
		hub.Count("POST graphql") != 2 || outcomes[1].Commit != headOf(t, git, "main") {
		t.Errorf("%s; %d pushes, %d commits, %+v", got, git.Count("push"), hub.Count("POST graphql"), outcomes)
	}
	message, err := git.Run(repo, "log", "-1", "--format=%B", "main")
	if err != nil || !strings.HasPrefix(message, "build: automatic update of f1/k.yaml\n\nupdates image o/app") ||
		!strings.Contains(message, "\n\nImage-Writeback: f1/k.yaml ghcr.io/o/app v0 -> v1\n") {
		t.Errorf("%q, %v", message, err)
	}
	const head = "image-writeback/argocd/f2"
	noErrors(t, writeAll(t, r, propose("f2/k.yaml", "v1")))
	if got := committers(t, git, head); !strings.HasPrefix(got, byBot) || len(hub.Pulls(repo)) != 1 ||
		git.Count("push") != 1 {
		t.Errorf("%s; %+v, %d pushes", got, hub.Pulls(repo), git.Count("push"))
	}
	// A newer one, after a restart, on a base that has moved.
	if err := git.Commit(repo, "main", "Elsewhere", map[string]string{"other": "x"}); err != nil {
		t.Fatal(err)
	}
	r = open(t, newService(t, viaAPI(client)), git.URLOf(repo))
	noErrors(t, writeAll(t, r, propose("f2/k.yaml", "v2")))
	pulls := hub.Pulls(repo)
	if got := committers(t, git, head); !strings.HasPrefix(got, byBot+", Ada by Ada") || len(pulls) != 1 ||
		pulls[0].State != "open" || !strings.Contains(pulls[0].Title, "v2") ||
		headOf(t, git, head+asideSuffix) != "" || git.Count("push") != 3 {
		t.Errorf("%s; %+v, %d pushes", got, pulls, git.Count("push"))
	}
	// GitHub's commits for us count as ours, so the branch may be deleted.
	if err := hub.ClosePull(repo, 1, true); err != nil {
		t.Fatal(err)
	}
	noErrors(t, writeAll(t, r, settledWork("f2/k.yaml")))
	if headOf(t, git, head) != "" {
		t.Error("the branch stays after the merge")
	}
}

// TestAPIAndPeople lets a person push right before our commit: on a base, our commit
// is created again on top of theirs; a head is left to them from then on.
func TestAPIAndPeople(t *testing.T) {
	for _, branch := range []string{"main", "image-writeback/argocd/f0"} {
		git, hub, client := startHub(t, 1)
		r := open(t, newService(t, viaAPI(client)), git.URLOf(repo))
		noErrors(t, writeAll(t, r, propose("f0/k.yaml", "v1")))
		faster := false
		hub.Fault = func(_ http.ResponseWriter, request *http.Request) bool {
			if strings.HasSuffix(request.URL.Path, "/graphql") && !faster {
				faster = true
				if err := git.Commit(repo, branch, "A person's", map[string]string{"mine": "x"}); err != nil {
					t.Error(err)
				}
			}
			return false
		}
		noErrors(t, writeAll(t, r, propose("f0/k.yaml", "v2"), setTag("f0/k.yaml", "v0", "v3")))
		if !faster || show(t, git, branch, "mine") != "x" || show(t, git, "main", "f0/k.yaml") != "tag: v3\n" {
			t.Errorf("%s: the person's commit is lost, or ours", branch)
		}
		if got := headOf(t, git, "image-writeback/argocd/f0"+asideSuffix); got != "" {
			t.Errorf("%s: a branch aside is left", branch)
		}
	}
}

// TestCombined checks that all works on a branch get one commit, by push and by API.
func TestCombined(t *testing.T) {
	for _, api := range []bool{false, true} {
		git, hub, client := startHub(t, 5)
		o := at(client)
		o.Combined, o.CommitViaAPI = true, api
		r := open(t, newService(t, o), git.URLOf(repo))
		outcomes := writeAll(t, r, setTag("f0/k.yaml", "v0", "v1"), setTag("f1/k.yaml", "v0", "v1"),
			propose("f2/k.yaml", "v1"), setTag("f3/k.yaml", "v0", "v1"), setTag("f4/k.yaml", "v0", "v1"))
		noErrors(t, outcomes)
		got := subjects(t, git, "main")
		if len(got) != 2 || got[0] != "build: automatic update of 4 Applications" ||
			outcomes[0].Commit != outcomes[4].Commit || outcomes[0].Commit == "" || len(hub.Pulls(repo)) != 1 {
			t.Errorf("API %v: %q, %+v", api, got, outcomes)
		}
		files, err := git.Run(repo, "show", "--format=%B", "--name-only", "main")
		if err != nil || strings.Count(files, "/k.yaml\n") != 4 || strings.Count(files, "\nImage-Writeback: ") != 4 {
			t.Errorf("API %v: %s, %v", api, files, err)
		}
		if want := map[bool]int{false: 0, true: 2}[api]; hub.Count("POST graphql") != want {
			t.Errorf("%d commits by the API, want %d", hub.Count("POST graphql"), want)
		}
	}
}

// TestAnotherModeGoesByPush checks that a file keeps its mode, which needs a push.
func TestAnotherModeGoesByPush(t *testing.T) {
	git, hub, client := startHub(t, 2)
	blob, err := git.Run(repo, "rev-parse", "main:f1/k.yaml")
	if err != nil {
		t.Fatal(err)
	}
	if err := git.CommitMode(repo, "main", "f1/k.yaml", "100755", strings.TrimSpace(blob)); err != nil {
		t.Fatal(err)
	}
	r := open(t, newService(t, viaAPI(client)), git.URLOf(repo))
	outcomes := writeAll(t, r, setTag("f1/k.yaml", "v0", "v1"))
	noErrors(t, outcomes)
	mode, err := git.Run(repo, "ls-tree", "main", "f1/k.yaml")
	if err != nil || !strings.HasPrefix(mode, "100755 ") || hub.Count("POST graphql") != 0 ||
		!strings.Contains(outcomes[0].ByPush, "f1/k.yaml does not have the mode 100644") {
		t.Errorf("%s, %v, %+v", mode, err, outcomes[0])
	}
}

func TestAPIErrors(t *testing.T) {
	git, hub, client := startHub(t, 1)
	r := open(t, newService(t, viaAPI(client)), git.URLOf(repo))
	if _, _, err := client.Repository(giturl.Parse(git.URLOf(repo))).Login(t.Context(), ""); err != nil {
		t.Fatal(err)
	}
	hub.NotGranted = []string{"contents"} // since the token was given
	outcomes := writeAll(t, r, setTag("f0/k.yaml", "v0", "v1"))
	if err := outcomes[0].Err; err == nil || !strings.Contains(err.Error(),
		"repository permission Contents: read and write") || outcomes[0].Commit != "" {
		t.Errorf("%+v", outcomes[0])
	}
}
