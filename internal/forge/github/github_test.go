package github

import (
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/liverty-music/image-writeback/internal/forge"
	"github.com/liverty-music/image-writeback/internal/forge/forgetest"
	"github.com/liverty-music/image-writeback/internal/giturl"
	sandboxforge "github.com/liverty-music/image-writeback/internal/sandbox/forge"
	sandboxgit "github.com/liverty-music/image-writeback/internal/sandbox/git"
)

// start puts GitHub in front of a repository, and checks each request against
// GitHub's own description.
func start(t *testing.T) (*sandboxforge.GitHub, *repository) {
	t.Helper()
	hub, f := startFixture(t)
	return hub, f.Repository(t).(*repository)
}

func startFixture(t *testing.T) (*sandboxforge.GitHub, *forgetest.Fixture) {
	t.Helper()
	git := forgetest.StartGit(t)
	hub, err := sandboxforge.NewGitHub(git)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(hub.Close)
	if err := hub.Check("../../../bin"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		for _, deviation := range hub.Deviations() {
			t.Error(deviation)
		}
	})

	client, err := New(appOptions(t, hub))
	if err != nil {
		t.Fatal(err)
	}
	return hub, &forgetest.Fixture{
		Client: client, Git: git, Close: hub.Close, Secret: hub.Token,
		Pulls:      func() []sandboxforge.Pull { return hub.Pulls(forgetest.Name) },
		Break:      func(fault forgetest.Fault) { hub.Fault = fault },
		AuthorName: "image-writeback[bot]", AuthorEmail: "90210+image-writeback[bot]@users.noreply.127.0.0.1",
		CompareURL: "/compare/main...head", PullRequests: "/pulls", Setting: "github.apiURL",
	}
}

func appOptions(t *testing.T, hub *sandboxforge.GitHub) Options {
	t.Helper()
	key := forgetest.WriteFile(t, string(hub.PrivateKey))
	return Options{APIURL: hub.URL, AppID: sandboxforge.AppID, PrivateKeyFile: key, UserAgent: "test"}
}

func tokenOptions(t *testing.T, url, token string) Options {
	t.Helper()
	return Options{APIURL: url, TokenFile: forgetest.WriteFile(t, token), UserAgent: "test"}
}

// proposed asks for what GitHub has beside what every forge has: reviews by teams.
func proposed() forge.Proposal {
	p := forgetest.Proposal()
	p.Reviewers = []string{"bob", "o/platform"}
	return p
}

// TestContract runs what holds for every forge.
func TestContract(t *testing.T) {
	forgetest.Run(t, func(t *testing.T) *forgetest.Fixture {
		_, f := startFixture(t)
		return f
	})
}

// TestComplete has GitHub add what cannot be said when a pull request is opened.
func TestComplete(t *testing.T) {
	hub, r := start(t)
	p := proposed()
	p.Draft, p.AutoMerge = true, true
	pr := forgetest.Must[forge.PullRequest](t)(r.Create(t.Context(), p))
	if err := r.Complete(t.Context(), pr, p); err != nil {
		t.Fatal(err)
	}
	got := hub.Pulls(forgetest.Name)[0]
	if fmt.Sprint(got.Labels, got.Assignees, got.Reviewers, got.Draft, got.AutoMerge) !=
		"[deploy] [ada] [bob team:platform] true true" {
		t.Errorf("completed: %+v", got)
	}
}

// TestAutoMerge merges at once what has nothing to wait for.
func TestAutoMerge(t *testing.T) {
	hub, r := start(t)
	hub.AutoMerge = "forbidden"
	p := proposed()
	p.AutoMerge = true
	pr := forgetest.Must[forge.PullRequest](t)(r.Create(t.Context(), p))
	err := r.Complete(t.Context(), pr, p)
	forgetest.CheckError(t, err, hub.Token(), "allow auto-merge in the repository's settings")

	hub.AutoMerge = "nothing to wait for"
	if err := r.Complete(t.Context(), pr, p); err != nil || !hub.Pulls(forgetest.Name)[0].Merged {
		t.Errorf("%v, %+v", err, hub.Pulls(forgetest.Name)[0])
	}
}

// TestAnUnchangedListingIsNotSentAgain asks conditionally, so that it costs
// nothing of the rate limit.
func TestAnUnchangedListingIsNotSentAgain(t *testing.T) {
	hub, r := start(t)
	pr := forgetest.Must[forge.PullRequest](t)(r.Create(t.Context(), proposed()))
	for range 3 {
		open := forgetest.Must[[]forge.PullRequest](t)(r.OpenPullRequests(t.Context()))
		if len(open) != 1 || open[0].Title != "Newer" {
			t.Errorf("open: %+v", open)
		}
	}
	if n := hub.Count("304"); n != 2 {
		t.Errorf("%d of 3 answers were 304", n)
	}
	if err := r.Edit(t.Context(), pr, "Newest", "body", "main"); err != nil {
		t.Fatal(err)
	}
	if open := forgetest.Must[[]forge.PullRequest](t)(r.OpenPullRequests(t.Context())); open[0].Title != "Newest" {
		t.Errorf("open: %+v", open)
	}
}

// TestTokensAreRenewed asks for a new token before the old one ends.
func TestTokensAreRenewed(t *testing.T) {
	for life, want := range map[time.Duration]int{time.Hour: 1, 30 * time.Second: 3} {
		hub, r := start(t)
		hub.TokenLife = life
		for range 3 {
			if _, _, err := r.Login(t.Context(), ""); err != nil {
				t.Fatal(err)
			}
		}
		if n := hub.Count("POST access_tokens"); n != want {
			t.Errorf("%s: %d tokens, want %d", life, n, want)
		}
	}
}

// TestInstallationsAtOnce signs in to several at the same time.
func TestInstallationsAtOnce(t *testing.T) {
	git, err := sandboxgit.New(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(git.Close)
	hub, err := sandboxforge.NewGitHub(git)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(hub.Close)
	client, err := New(appOptions(t, hub))
	if err != nil {
		t.Fatal(err)
	}

	var arrived sync.WaitGroup // all four ask for their tokens before one is given
	arrived.Add(4)
	hub.Fault = func(_ http.ResponseWriter, r *http.Request) bool {
		if strings.HasSuffix(r.URL.Path, "/access_tokens") {
			arrived.Done()
			arrived.Wait()
		}
		return false
	}

	var repositories []*repository
	for i := range 4 {
		name := fmt.Sprintf("o%d/r", i)
		if err := git.Create(name, true, map[string]string{"k": "x"}); err != nil {
			t.Fatal(err)
		}
		r := client.repository(giturl.Parse(git.URLOf(name)))
		if _, err := r.reach(t.Context(), toWrite); err != nil {
			t.Fatal(err)
		}
		repositories = append(repositories, r)
	}

	var group sync.WaitGroup
	for _, r := range repositories {
		group.Go(func() {
			if _, _, err := r.Login(t.Context(), ""); err != nil {
				t.Error(err)
			}
		})
	}
	group.Wait()
	if n := hub.Count("POST access_tokens"); n != 4 {
		t.Errorf("%d tokens for 4 installations", n)
	}
}

// TestAddresses finds the owner and the name of a repository, and pages of people.
func TestAddresses(t *testing.T) {
	hub, err := newClient(Options{APIURL: "https://api.github.com/"})
	if err != nil {
		t.Fatal(err)
	}
	for address, want := range map[string]string{
		"https://github.com/o/r.git":          "o/r",
		"https://github.com/o/r":              "o/r",
		"git@github.com:o/r.git":              "o/r",
		"ssh://git@github.com/o/r.git":        "o/r",
		"ssh://git@ssh.github.com:443/o/r":    "",
		"https://gitlab.com/o/r.git":          "",
		"https://github.com.evil.org/o/r.git": "",
		"https://github.com/o":                "",
		"https://github.com/o/x/r":            "", // and not x/r
	} {
		got := ""
		if r := hub.repository(giturl.Parse(address)); r != nil {
			got = r.fullName()
		}
		if got != want {
			t.Errorf("%s: %q, want %q", address, got, want)
		}
	}
	for api, want := range map[string]string{
		"https://api.github.com":  "https://api.github.com/graphql",
		"https://git.corp/api/v3": "https://git.corp/api/graphql",
	} {
		if hub, err := newClient(Options{APIURL: api}); err != nil || hub.graphQLURL() != want {
			t.Errorf("%s: %s, %v", api, hub.graphQLURL(), err)
		}
	}
	for source, want := range map[string]string{
		"https://github.com/o/r.git": "https://github.com/o/r/compare/a...b",
		"git@GitHub.com:o/r.git":     "https://github.com/o/r/compare/a...b",
		"git@gitlab.com:g/s/r.git":   "",
		"https://git.corp/o/r":       "",
	} {
		if got := CompareURL(giturl.Parse(source), "a", "b"); got != want {
			t.Errorf("%s: %q", source, got)
		}
	}
}
