package delivery

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/liverty-music/image-writeback/internal/forge"
	"github.com/liverty-music/image-writeback/internal/gitwrite"
	"github.com/liverty-music/image-writeback/internal/image"
	"github.com/liverty-music/image-writeback/internal/plan"
	"github.com/liverty-music/image-writeback/internal/sandbox/git"
	"github.com/liverty-music/image-writeback/internal/spec"
)

// settledWork returns the work of propose after the base has its change.
func settledWork(file string) plan.Work {
	w := propose(file, "v1")
	w.Settled, w.Planned = true, nil
	return w
}

func headOf(t *testing.T, git *git.Server, branch string) string {
	t.Helper()
	head, err := git.Head(repo, branch)
	if err != nil {
		return ""
	}
	return head
}

// TestAHundredPullRequests counts the requests for a hundred pull requests of one
// repository: one listing, one push for all branches, and those of each creation.
func TestAHundredPullRequests(t *testing.T) {
	git, hub, client := startHub(t, 100)
	var works []plan.Work
	for i := range 100 {
		works = append(works, propose(fmt.Sprintf("f%d/k.yaml", i), "v1"))
	}
	r := open(t, newService(t, at(client)), git.URLOf(repo))
	noErrors(t, writeAll(t, r, works...))
	if len(hub.Pulls(repo)) != 100 {
		t.Fatalf("%d pull requests", len(hub.Pulls(repo)))
	}
	// 100 listings are for the closed pull requests of a head.
	for kind, want := range map[string]int{"GET pulls": 1 + 100, "POST pulls": 100, "POST labels": 100,
		"PATCH pulls": 0, "GET comments": 0} {
		if got := hub.Count(kind); got != want {
			t.Errorf("%d × %s, want %d", got, kind, want)
		}
	}
	t.Logf("100 pull requests: %d push, %d listing, %d × closed ones of a head, %d × opened, %d × labelled",
		git.Count("push"), 1, hub.Count("GET pulls")-1, hub.Count("POST pulls"), hub.Count("POST labels"))
	if git.Count("push") != 1 {
		t.Errorf("%d pushes", git.Count("push"))
	}
	// Without a change, no request is sent. After one change, all are listed once.
	for i := range works {
		works[i].Proposed = true
	}
	noErrors(t, writeAll(t, r, works...))
	if got := hub.Count("GET pulls"); got != 101 || git.Count("push") != 1 {
		t.Errorf("%d listings and %d pushes for nothing", got-101, git.Count("push")-1)
	}
	works[7] = propose("f7/k.yaml", "v2")
	noErrors(t, writeAll(t, r, works...))
	if hub.Count("GET pulls") != 102 || hub.Count("PATCH pulls") != 1 || git.Count("push") != 2 {
		t.Errorf("%d listings, %d edits, %d pushes", hub.Count("GET pulls")-101, hub.Count("PATCH pulls"),
			git.Count("push")-1)
	}
}

// TestTextsShowWhatWasWritten holds that a text is asked for after the commits have
// landed, and for what they changed: not for a change that another work has made.
func TestTextsShowWhatWasWritten(t *testing.T) {
	git, hub, client := startHub(t, 1)
	r := open(t, newService(t, at(client)), git.URLOf(repo))
	shared := &plan.PullRequest{OwnBranch: true, Title: "planned"}
	works := []plan.Work{propose("f0/k.yaml", "v1"), propose("f0/k.yaml", "v1")}
	for i := range works {
		works[i].Write, works[i].PullRequest = "updates", shared
	}
	examine := func() Batch {
		t.Helper()
		snapshot, err := r.Read(t.Context(), []gitwrite.Want{wantFile("f0/k.yaml")})
		if err != nil {
			t.Fatal(err)
		}
		return r.delivery.Examine(t.Context(), Job{
			Method: spec.MethodGit, Works: works, Owns: alone, Repository: r.Repository, Snapshot: snapshot,
		})
	}

	git.Fault = func(w http.ResponseWriter, r *http.Request) bool {
		if !strings.HasSuffix(r.URL.Path, "git-receive-pack") {
			return false
		}
		http.Error(w, "no", http.StatusForbidden)
		return true
	}
	batch := examine()
	batch.Write(t.Context())
	if texts := batch.Texts(); len(texts) != 0 {
		t.Errorf("a push that fails asks for %+v", texts)
	}
	batch.Finish(t.Context())

	git.Fault = nil
	batch = examine()
	batch.Write(t.Context())
	texts := batch.Texts()
	if len(texts) != 1 || texts[0].Request != shared || len(texts[0].Changes) != 1 {
		t.Fatalf("%+v", texts)
	}
	texts[0].Request.Title, texts[0].Request.Body = "written", "body"
	batch.Finish(t.Context())
	if pulls := hub.Pulls(repo); len(pulls) != 1 || pulls[0].Title != "written" {
		t.Errorf("%+v", pulls)
	}
}

// TestOnePullRequestForSeveral checks that Applications with the same head share a
// pull request, which is updated when one of them no longer needs it.
func TestOnePullRequestForSeveral(t *testing.T) {
	git, hub, client := startHub(t, 3)
	shared := &plan.PullRequest{OwnBranch: true, Title: "3 changes", Body: "all"}
	works := []plan.Work{propose("f0/k.yaml", "v1"), propose("f1/k.yaml", "v1"), propose("f2/k.yaml", "v1")}
	for i := range works {
		works[i].Write, works[i].PullRequest = "updates", shared
	}
	r := open(t, newService(t, at(client)), git.URLOf(repo))
	outcomes := writeAll(t, r, works...)
	noErrors(t, outcomes)
	if pulls := hub.Pulls(repo); len(pulls) != 1 || pulls[0].Title != "3 changes" ||
		len(subjects(t, git, "updates")) != 4 || !outcomes[0].Opened || !outcomes[1].Opened ||
		outcomes[2].PullRequestURL == "" {
		t.Fatalf("%+v, %+v", pulls, outcomes)
	}
	if err := git.Commit(repo, "main", "By hand", map[string]string{"f1/k.yaml": "tag: v1\n"}); err != nil {
		t.Fatal(err)
	}
	works[0].Proposed, works[2].Proposed = true, true
	works[1].Settled, works[1].Planned = true, nil
	shared.Title = "2 changes"
	noErrors(t, writeAll(t, r, works...))
	// two of ours, and main's two
	if pulls := hub.Pulls(repo); len(pulls) != 1 || pulls[0].Title != "2 changes" ||
		len(subjects(t, git, "updates")) != 4 {
		t.Errorf("%+v, commits %q", pulls, subjects(t, git, "updates"))
	}
	other := propose("f0/k.yaml", "v1")
	other.Write, other.Base = "updates", "stage"
	outcomes = writeAll(t, r, works[2], other)
	if outcomes[0].Err != nil || outcomes[1].Err == nil ||
		!strings.Contains(outcomes[1].Err.Error(), "give each its own branch") {
		t.Errorf("%+v", outcomes)
	}
}

// TestAnotherBranchSupersedes checks that a pull request from another branch for the
// same images is closed, unless a person has commits on it.
func TestAnotherBranchSupersedes(t *testing.T) {
	git, hub, client := startHub(t, 2)
	r := open(t, newService(t, at(client)), git.URLOf(repo))
	from := func(branch, file, to string) plan.Work {
		w := propose(file, to)
		w.Write, w.PullRequest.OwnBranch = branch, false
		return w
	}
	noErrors(t, writeAll(t, r, from("v1", "f0/k.yaml", "v1"), from("other", "f1/k.yaml", "v1")))
	noErrors(t, writeAll(t, r, from("v2", "f0/k.yaml", "v2")))
	if err := git.Commit(repo, "v2", "A person's", map[string]string{"mine": "x"}); err != nil {
		t.Fatal(err)
	}
	noErrors(t, writeAll(t, r, from("v3", "f0/k.yaml", "v3")))
	var got []string
	for _, p := range hub.Pulls(repo) {
		got = append(got, fmt.Sprint(p.Head, " ", p.State, " ", len(p.Comments)))
	}
	if strings.Join(got, ", ") != "v1 closed 1, other open 0, v2 open 0, v3 open 0" || headOf(t, git, "v1") != "" ||
		headOf(t, git, "v2") == "" {
		t.Errorf("%q", got)
	}
	if said := hub.Pulls(repo)[0].Comments[0].Body; !strings.HasPrefix(said, "Superseded by http") {
		t.Errorf("%q", said)
	}
}

// TestTheBaseIsNeverForced pushes a person's commit to a base and to a head right
// before our push: neither commit is lost.
func TestTheBaseIsNeverForced(t *testing.T) {
	for _, branch := range []string{"main", "image-writeback/argocd/f0"} {
		git, hub, client := startHub(t, 1)
		r := open(t, newService(t, at(client)), git.URLOf(repo))
		noErrors(t, writeAll(t, r, propose("f0/k.yaml", "v1")))
		faster := false
		git.Fault = func(_ http.ResponseWriter, request *http.Request) bool {
			if strings.HasSuffix(request.URL.Path, "/git-receive-pack") && !faster {
				faster = true
				if err := git.Commit(repo, branch, "A person's", map[string]string{"mine": "x"}); err != nil {
					t.Error(err)
				}
			}
			return false
		}
		noErrors(t, writeAll(t, r, propose("f0/k.yaml", "v2"), setTag("f0/k.yaml", "v0", "v3")))
		if !faster || show(t, git, branch, "mine") != "x" {
			t.Errorf("%s: the person's commit is lost", branch)
		}
		pull := hub.Pulls(repo)[0]
		if theirs := branch != "main"; theirs != (len(pull.Comments) == 1) ||
			theirs == strings.Contains(pull.Title, "v2") {
			t.Errorf("%s: %+v", branch, pull)
		}
	}
}

// TestABranchOfAnotherName checks a branch that may have other people's commits below
// our newest one. It is rebuilt only if all commits are ours.
func TestABranchOfAnotherName(t *testing.T) {
	for _, theirs := range []bool{false, true} {
		git, hub, client := startHub(t, 1)
		r := open(t, newService(t, at(client)), git.URLOf(repo))
		named := func(to string) plan.Work {
			w := propose("f0/k.yaml", to)
			w.Write, w.PullRequest.OwnBranch = "develop", false
			return w
		}
		if theirs {
			if _, err := git.Run(repo, "branch", "develop", "main"); err != nil {
				t.Fatal(err)
			}
			if err := git.Commit(repo, "develop", "A person's", map[string]string{"mine": "x"}); err != nil {
				t.Fatal(err)
			}
			direct := setTag("f0/k.yaml", "v0", "v1") // committed straight to develop
			direct.Write = "develop"
			noErrors(t, writeAll(t, r, direct))
			if _, err := hub.OpenPull(repo, "develop", "main", "Develop"); err != nil {
				t.Fatal(err)
			}
		} else {
			noErrors(t, writeAll(t, r, named("v1")))
		}
		if err := git.Commit(repo, "main", "Moves on", map[string]string{"other": "x"}); err != nil {
			t.Fatal(err)
		}
		noErrors(t, writeAll(t, open(t, newService(t, at(client)), git.URLOf(repo)), named("v2")))
		got := show(t, git, "develop", "f0/k.yaml")
		if theirs && (got != "tag: v1\n" || show(t, git, "develop", "mine") != "x") || !theirs && got != "tag: v2\n" {
			t.Errorf("theirs %v: %q", theirs, got)
		}
		// Merged or not, a branch whose name we did not generate is never deleted.
		if err := git.Commit(repo, "main", "By hand", map[string]string{"f0/k.yaml": "tag: v2\n"}); err != nil {
			t.Fatal(err)
		}
		w := settledWork("f0/k.yaml")
		w.Write, w.PullRequest.OwnBranch = "develop", false
		noErrors(t, writeAll(t, r, w))
		if headOf(t, git, "develop") == "" ||
			hub.Pulls(repo)[0].State != map[bool]string{true: "open", false: "closed"}[theirs] {
			t.Errorf("theirs %v: %+v", theirs, hub.Pulls(repo)[0])
		}
	}
}

// TestABranchThatMayNotBeDeletedStays checks that its deletion is tried only once.
func TestABranchThatMayNotBeDeletedStays(t *testing.T) {
	git, hub, client := startHub(t, 1)
	if _, err := git.Run(repo, "config", "receive.denyDeletes", "true"); err != nil {
		t.Fatal(err)
	}
	r := open(t, newService(t, at(client)), git.URLOf(repo))
	noErrors(t, writeAll(t, r, propose("f0/k.yaml", "v1")))
	if err := hub.ClosePull(repo, 1, true); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		outcomes := writeAll(t, r, settledWork("f0/k.yaml"))
		if !strings.Contains(outcomes[0].Note, "could not be deleted") ||
			!strings.Contains(outcomes[0].Note, "delete it by hand") {
			t.Errorf("%+v", outcomes[0])
		}
	}
	if git.Count("push") != 2 {
		t.Errorf("%d pushes", git.Count("push"))
	}
}

// TestADeletionThatFailsIsTriedAgain lets the push fail that deletes an unneeded
// branch.
func TestADeletionThatFailsIsTriedAgain(t *testing.T) {
	git, hub, client := startHub(t, 1)
	r := open(t, newService(t, at(client)), git.URLOf(repo))
	work := propose("f0/k.yaml", "v1")
	noErrors(t, writeAll(t, r, work))
	if err := hub.ClosePull(repo, 1, true); err != nil {
		t.Fatal(err)
	}
	git.Fault = func(w http.ResponseWriter, request *http.Request) bool {
		if !strings.HasSuffix(request.URL.Path, "/git-receive-pack") {
			return false
		}
		w.WriteHeader(http.StatusBadGateway)
		return true
	}
	_ = writeAll(t, r, settledWork("f0/k.yaml"))
	git.Fault = nil
	noErrors(t, writeAll(t, r, settledWork("f0/k.yaml")))
	if got := headOf(t, git, work.Write); got != "" {
		t.Errorf("the branch is still there, at %s", got)
	}
}

// TestAutoMergeFollowsTheBase checks that a head is rebuilt whenever the base moves:
// many repositories do not merge branches that are behind.
func TestAutoMergeFollowsTheBase(t *testing.T) {
	for _, auto := range []bool{false, true} {
		git, hub, client := startHub(t, 1)
		r := open(t, newService(t, at(client)), git.URLOf(repo))
		work := propose("f0/k.yaml", "v1")
		work.PullRequest.AutoMerge = auto
		noErrors(t, writeAll(t, r, work))
		work.Proposed = true
		before := headOf(t, git, work.Write)
		noErrors(t, writeAll(t, r, work))
		if headOf(t, git, work.Write) != before {
			t.Error("it is made again for nothing")
		}
		if err := git.Commit(repo, "main", "Elsewhere", map[string]string{"other": "x"}); err != nil {
			t.Fatal(err)
		}
		noErrors(t, writeAll(t, r, work))
		if after := headOf(t, git, work.Write); (after != before) != auto || hub.Pulls(repo)[0].AutoMerge != auto {
			t.Errorf("auto-merge %v: head %s → %s, %+v", auto, before, after, hub.Pulls(repo)[0])
		}
	}
}

// TestRecords checks how pull requests are recognised; see proposalRecord.
func TestRecords(t *testing.T) {
	c := image.Change{File: "k.yaml", Image: "ghcr.io/o/app", Old: image.ParseVersion("v1"),
		New: image.ParseVersion("v2")}
	m := proposalRecord{Key: "k", Changes: []string{changeID(c)}}
	body := withRecord("Text.\n", m)
	got, ok := recordOf(body)
	if !ok || got.Key != "k" || !strings.HasPrefix(body, "Text.\n\n<!-- ") || strings.Count(body, "-->") != 1 {
		t.Errorf("%q", body)
	}
	if again := withRecord(body, m); again != body {
		t.Errorf("%q", again)
	}
	newer := c
	newer.New = image.ParseVersion("v3")
	pull := func(number int, body, title string, merged bool) forge.PullRequest {
		return forge.PullRequest{Number: number, Body: body, Title: title, Merged: merged}
	}
	withdrawn := m
	withdrawn.Withdrawn = true
	for name, c := range map[string]struct {
		closed []forge.PullRequest
		change image.Change
		want   int // number of the one that declined it
	}{
		"declined":                {[]forge.PullRequest{pull(3, body, "", false)}, c, 3},
		"another version":         {[]forge.PullRequest{pull(3, body, "", false)}, newer, 0},
		"merged, then taken back": {[]forge.PullRequest{pull(3, body, "", true)}, c, 0},
		"declined, later merged":  {[]forge.PullRequest{pull(4, body, "", true), pull(3, body, "", false)}, c, 0},
		"merged, later declined":  {[]forge.PullRequest{pull(4, body, "", false), pull(3, body, "", true)}, c, 4},
		"declined before another one": {[]forge.PullRequest{pull(4, withRecord("", proposalRecord{}), "", false),
			pull(3, body, "", false)}, c, 3},
		"withdrawn by us":           {[]forge.PullRequest{pull(3, withRecord("", withdrawn), "", false)}, c, 0},
		"a text without its record": {[]forge.PullRequest{pull(3, "Mine.", "title", false)}, c, 3},
		"another title":             {[]forge.PullRequest{pull(3, "Mine.", "other", false)}, c, 0},
		"none":                      {nil, c, 0},
	} {
		got := declinedBy(c.closed, []image.Change{c.change}, "title")
		if got == nil && c.want != 0 || got != nil && got.Number != c.want {
			t.Errorf("%s: %+v", name, got)
		}
	}
}

// TestAForgeThatIsDownStopsNoCommit lets GitHub's API fail while git works.
func TestAForgeThatIsDownStopsNoCommit(t *testing.T) {
	git, hub, client := startHub(t, 2)
	r := open(t, newService(t, at(client)), git.URLOf(repo))
	noErrors(t, writeAll(t, r, propose("f0/k.yaml", "v1")))
	hub.Fault = func(w http.ResponseWriter, _ *http.Request) bool {
		w.WriteHeader(http.StatusBadGateway)
		return true
	}
	outcomes := writeAll(t, r, propose("f0/k.yaml", "v2"), settledWork("f1/k.yaml"), setTag("f1/k.yaml", "v0", "v1"))
	var failed *forge.Error
	if !errors.As(outcomes[0].Err, &failed) || !errors.As(outcomes[1].Err, &failed) || outcomes[2].Err != nil ||
		show(t, git, "main", "f1/k.yaml") != "tag: v1\n" {
		t.Errorf("%+v", outcomes)
	}
}
