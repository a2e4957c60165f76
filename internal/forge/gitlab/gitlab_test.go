package gitlab

import (
	"fmt"
	"net/http"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/liverty-music/image-writeback/internal/forge"
	"github.com/liverty-music/image-writeback/internal/forge/forgetest"
	"github.com/liverty-music/image-writeback/internal/giturl"
	sandboxforge "github.com/liverty-music/image-writeback/internal/sandbox/forge"
)

// start puts GitLab in front of a repository.
func start(t *testing.T) (*sandboxforge.GitLab, *forgetest.Fixture) {
	t.Helper()
	git := forgetest.StartGit(t)
	lab := sandboxforge.NewGitLab(git)
	t.Cleanup(lab.Close)
	with := options(t, lab.URL)
	client, err := New(with)
	if err != nil {
		t.Fatal(err)
	}
	return lab, &forgetest.Fixture{
		Replace: func(token string) {
			if err := os.WriteFile(with.TokenFile, []byte(token), 0o600); err != nil {
				t.Fatal(err)
			}
		},
		Client: client, Git: git, Close: lab.Close, Secret: func() string { return sandboxforge.GitLabToken },
		Pulls:      func() []sandboxforge.Pull { return lab.Pulls(forgetest.Name) },
		Break:      func(fault forgetest.Fault) { lab.Fault = fault },
		AuthorName: "Image Writeback", AuthorEmail: "image-writeback@noreply.example.com",
		CompareURL: "/-/compare/main...head", PullRequests: "/merge_requests", Setting: "gitlab.url",
	}
}

func options(t *testing.T, url string) Options {
	t.Helper()
	return Options{URL: url, TokenFile: forgetest.WriteFile(t, sandboxforge.GitLabToken+"\n"), UserAgent: "test"}
}

// TestContract runs what holds for every forge.
func TestContract(t *testing.T) {
	forgetest.Run(t, func(t *testing.T) *forgetest.Fixture {
		_, f := start(t)
		return f
	})
}

// TestCreate sends users by their numbers, and a draft by its title.
func TestCreate(t *testing.T) {
	lab, f := start(t)
	r, p := f.Repository(t), forgetest.Proposal()
	p.Labels, p.Reviewers, p.Draft, p.AutoMerge = []string{"deploy", "prod"}, []string{"bob", "carol"}, true, true
	pr := forgetest.Must[forge.PullRequest](t)(r.Create(t.Context(), p))
	if err := r.Complete(t.Context(), pr, p); err != nil {
		t.Fatal(err)
	}
	got := lab.Pulls(forgetest.Name)[0]
	if fmt.Sprint(got.Title, got.Labels, got.Assignees, got.Reviewers, got.AutoMerge) !=
		"Draft: Newer[deploy prod] [3] [3 5] true" {
		t.Errorf("completed: %+v", got)
	}
	if err := r.Edit(t.Context(), pr, "Newest", "other", "main"); err != nil ||
		lab.Pulls(forgetest.Name)[0].Title != "Draft: Newest" {
		t.Errorf("%v: %+v", err, lab.Pulls(forgetest.Name)[0])
	}
}

// TestRefusals holds the error for each way in which GitLab refuses.
func TestRefusals(t *testing.T) {
	forgetest.RunRefusals(t, "../../../testdata/forge/gitlab.yaml", func(t *testing.T) *forgetest.Fixture {
		_, f := start(t)
		return f
	})
}

// TestNoSuchReviewer names the setting to correct.
func TestNoSuchReviewer(t *testing.T) {
	_, f := start(t)
	p := forgetest.Proposal()
	p.Reviewers = []string{"nobody"}
	err := forgetest.Propose(t, f.Repository(t), p)
	forgetest.CheckError(t, err, f.Secret(), "correct github.pullRequest.reviewers")
}

// TestRateLimit waits until the time that GitLab's own headers name.
func TestRateLimit(t *testing.T) {
	lab, f := start(t)
	refuse, asked := forgetest.Refuse("GET /", 429, "Retry later", "RateLimit-Remaining", "0",
		"RateLimit-Reset", strconv.FormatInt(time.Now().Unix(), 10)), 0
	lab.Fault = func(w http.ResponseWriter, request *http.Request) bool {
		asked++
		return asked == 1 && refuse(w, request)
	}
	if _, err := f.Repository(t).OpenPullRequests(t.Context()); err != nil || asked != 2 {
		t.Errorf("%v, %d requests", err, asked)
	}
}

func TestAddresses(t *testing.T) {
	for _, c := range []struct{ lab, address, want string }{
		{"https://gitlab.com", "https://gitlab.com/g/sub/r.git", "g/sub/r"},
		{"https://gitlab.com", "git@gitlab.com:g/sub/r.git", "g/sub/r"},
		{"https://corp.example/gitlab/", "https://corp.example/gitlab/g/r", "g/r"},
		{"https://gitlab.com", "https://github.com/o/r", ""},
		{"https://gitlab.com", "https://gitlab.com/r", ""},
	} {
		lab, err := New(options(t, c.lab))
		if err != nil {
			t.Fatal(err)
		}
		got := ""
		if r := lab.repository(giturl.Parse(c.address)); r != nil {
			got = r.path
		}
		if got != c.want {
			t.Errorf("%s: %q", c.address, got)
		}
	}
	if _, err := New(options(t, "gitlab.com")); err == nil || !strings.Contains(err.Error(), "gitlab.url") {
		t.Error(err)
	}
	for source, want := range map[string]string{
		"git@gitlab.com:g/s/r.git":   "https://gitlab.com/g/s/r/-/compare/a...b",
		"https://github.com/o/r.git": "",
		"https://git.corp/o/r":       "",
	} {
		if got := CompareURL(giturl.Parse(source), "a", "b"); got != want {
			t.Errorf("%s: %q", source, got)
		}
	}
}
