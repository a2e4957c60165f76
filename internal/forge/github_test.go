package forge

import (
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/liverty-music/image-writeback/internal/sandbox/forge"
	"github.com/liverty-music/image-writeback/internal/sandbox/git"
)

const repo = "o/manifests"

// startGit serves a repository with a branch "head" that is ahead of main.
func startGit(t *testing.T) *git.Server {
	t.Helper()
	git, err := git.New(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(git.Close)
	if err := git.Create(repo, true, map[string]string{"k.yaml": "tag: v0\n"}); err != nil {
		t.Fatal(err)
	}
	if _, err := git.Run(repo, "branch", "head", "main"); err != nil {
		t.Fatal(err)
	}
	if err := git.Commit(repo, "head", "Newer", map[string]string{"k.yaml": "tag: v1\n"}); err != nil {
		t.Fatal(err)
	}
	return git
}

// start puts GitHub in front of it.
func start(t *testing.T) (*forge.GitHub, *GitHubRepository) {
	t.Helper()
	git := startGit(t)
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
	account, err := NewGitHubApp(hub.URL, forge.AppID, 0, write(t, string(hub.PrivateKey)), "test")
	if err != nil {
		t.Fatal(err)
	}
	return hub, account.Repository(git.URLOf(repo))
}

func write(t *testing.T, content string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

func must[T any](t *testing.T) func(T, error) T {
	return func(value T, err error) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return value
	}
}

var proposed = Proposal{Title: "Newer", Body: "body", Head: "head", Base: "main", Labels: []string{"deploy"}, Assignees: []string{"ada"}, Reviewers: []string{"bob", "o/platform"}}

// TestLifeOfAPullRequest does each thing that can be done with one, against
// GitHub's own description.
func TestLifeOfAPullRequest(t *testing.T) {
	hub, r := start(t)
	ctx := t.Context()
	p := proposed
	p.Draft, p.AutoMerge = true, true
	pr := must[PullRequest](t)(r.Create(ctx, p))
	if !pr.Untouched || pr.Number != 1 || pr.Head != "head" || pr.Base != "main" {
		t.Errorf("opened: %+v", pr)
	}
	if err := r.Complete(ctx, pr, p); err != nil {
		t.Fatal(err)
	}
	got := hub.Pulls(repo)[0]
	if fmt.Sprint(got.Labels, got.Assignees, got.Reviewers, got.Draft, got.AutoMerge) != "[deploy] [ada] [bob team:platform] true true" {
		t.Errorf("completed: %+v", got)
	}
	if err := r.Edit(ctx, pr, "Newest", "other", "main"); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := r.CommentOnce(ctx, pr, "<!-- mark -->", "Look.\n<!-- mark -->"); err != nil {
			t.Fatal(err)
		}
	}
	open := must[[]PullRequest](t)(r.OpenPullRequests(ctx))
	if len(open) != 1 || open[0].Title != "Newest" || open[0].Body != "other" || open[0].Untouched || len(hub.Pulls(repo)[0].Comments) != 1 {
		t.Errorf("open: %+v", open)
	}
	if commits := must[[]Commit](t)(r.Commits(ctx, pr)); len(commits) != 1 || commits[0].Message != "Newer" {
		t.Errorf("commits: %+v", commits)
	}
	if err := r.Close(ctx, pr, "closed"); err != nil {
		t.Fatal(err)
	}
	closed := must[[]PullRequest](t)(r.ClosedPullRequests(ctx, "head"))
	if len(closed) != 1 || closed[0].Merged || closed[0].Body != "closed" {
		t.Errorf("closed: %+v", closed)
	}
	c := must[Comparison](t)(r.Compare(ctx, "main", "head"))
	if c.Total != 1 || c.Commits[0].Subject != "Newer" || !strings.HasSuffix(c.URL, "/compare/main...head") {
		t.Errorf("comparison: %+v", c)
	}
	name, email := r.Author(ctx)
	if name != "image-writeback[bot]" || email != "90210+image-writeback[bot]@users.noreply.127.0.0.1" {
		t.Errorf("author %s <%s>", name, email)
	}
}

// TestAutoMerge merges at once what has nothing to wait for.
func TestAutoMerge(t *testing.T) {
	hub, r := start(t)
	hub.AutoMerge = "forbidden"
	p := proposed
	p.AutoMerge = true
	pr := must[PullRequest](t)(r.Create(t.Context(), p))
	if err := r.Complete(t.Context(), pr, p); err == nil || !strings.Contains(err.Error(), "allow auto-merge in the repository's settings") {
		t.Error(err)
	}
	hub.AutoMerge = "nothing to wait for"
	if err := r.Complete(t.Context(), pr, p); err != nil || !hub.Pulls(repo)[0].Merged {
		t.Errorf("%v, %+v", err, hub.Pulls(repo)[0])
	}
}

// TestAnUnchangedListingIsNotSentAgain asks conditionally, so that it costs
// nothing of the rate limit.
func TestAnUnchangedListingIsNotSentAgain(t *testing.T) {
	hub, r := start(t)
	pr := must[PullRequest](t)(r.Create(t.Context(), proposed))
	for range 3 {
		if open := must[[]PullRequest](t)(r.OpenPullRequests(t.Context())); len(open) != 1 || open[0].Title != "Newer" {
			t.Errorf("open: %+v", open)
		}
	}
	if n := hub.Count("304"); n != 2 {
		t.Errorf("%d of 3 answers were 304", n)
	}
	if err := r.Edit(t.Context(), pr, "Newest", "body", "main"); err != nil {
		t.Fatal(err)
	}
	if open := must[[]PullRequest](t)(r.OpenPullRequests(t.Context())); open[0].Title != "Newest" {
		t.Errorf("open: %+v", open)
	}
}

// TestTokensAreRenewed asks for a new token before the old one ends.
func TestTokensAreRenewed(t *testing.T) {
	for life, want := range map[time.Duration]int{time.Hour: 1, 30 * time.Second: 3} {
		hub, r := start(t)
		hub.TokenLife = life
		for range 3 {
			if _, _, err := r.Login(t.Context()); err != nil {
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
	git, err := git.New(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(git.Close)
	hub, err := forge.NewGitHub(git)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(hub.Close)
	account, err := NewGitHubApp(hub.URL, forge.AppID, 0, write(t, string(hub.PrivateKey)), "test")
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
	var repositories []*GitHubRepository
	for i := range 4 {
		name := fmt.Sprintf("o%d/r", i)
		if err := git.Create(name, true, map[string]string{"k": "x"}); err != nil {
			t.Fatal(err)
		}
		r := account.Repository(git.URLOf(name))
		if _, err := r.reach(t.Context()); err != nil {
			t.Fatal(err)
		}
		repositories = append(repositories, r)
	}
	var group sync.WaitGroup
	for _, r := range repositories {
		group.Go(func() {
			if _, _, err := r.Login(t.Context()); err != nil {
				t.Error(err)
			}
		})
	}
	group.Wait()
	if n := hub.Count("POST access_tokens"); n != 4 {
		t.Errorf("%d tokens for 4 installations", n)
	}
}

// refusing answers requests of one kind in GitHub's stead.
func refusing(kind string, status int, body string, headers ...string) func(http.ResponseWriter, *http.Request) bool {
	return func(w http.ResponseWriter, r *http.Request) bool {
		method, part, _ := strings.Cut(kind, " ")
		if r.Method != method || !strings.Contains(r.URL.Path, part) {
			return false
		}
		for i := 0; i < len(headers); i += 2 {
			w.Header().Set(headers[i], headers[i+1])
		}
		w.WriteHeader(status)
		_, _ = fmt.Fprint(w, body)
		return true
	}
}

// TestErrorsNameWhatToChange holds the message for each way in which GitHub
// refuses.
func TestErrorsNameWhatToChange(t *testing.T) {
	for _, c := range []struct {
		what   string
		change func(hub *forge.GitHub, r *GitHubRepository)
		want   []string
	}{
		{"401 of the App", func(h *forge.GitHub, _ *GitHubRepository) {
			h.Fault = refusing("GET /installation", 401, `{"message":"A JSON web token could not be decoded"}`)
		}, []string{"finding the App's installation", "401 A JSON web token", "github.app.id", "github.app.privateKeyFile"}},
		{"an expired signature", func(h *forge.GitHub, _ *GitHubRepository) {
			h.Fault = refusing("GET /installation", 401, `{"message":"'Expiration time' claim ('exp') must be a numeric value representing the future time at which the assertion expires"}`)
		}, []string{"clock right"}},
		{"not installed", func(h *forge.GitHub, _ *GitHubRepository) {
			h.Fault = refusing("GET /installation", 404, `{"message":"Not Found"}`)
		}, []string{"404 Not Found", "install the App on this repository"}},
		{"another installation", func(_ *forge.GitHub, r *GitHubRepository) { r.hub.installation = 1 }, []string{"getting an installation token|listing its pull requests", "404 Not Found", "github.app.installationID"}},
		{"a suspended installation", func(h *forge.GitHub, _ *GitHubRepository) {
			h.Fault = refusing("POST /access_tokens", 403, `{"message":"This installation has been suspended"}`)
		}, []string{"unsuspend the App's installation"}},
		{"a permission that is missing", func(h *forge.GitHub, _ *GitHubRepository) { h.NotGranted = []string{"pull_requests"} },
			[]string{"403 Resource not accessible by integration", "grant the App the repository permission Pull requests: read"}},
		{"a permission that GitHub does not name", func(h *forge.GitHub, _ *GitHubRepository) {
			h.Fault = refusing("POST /pulls", 403, `{"message":"Forbidden"}`)
		}, []string{"opening the pull request", "Pull requests: read and write"}},
		{"single sign-on", func(h *forge.GitHub, _ *GitHubRepository) {
			h.Fault = refusing("GET /pulls", 403, `{"message":"Resource protected by organization SAML enforcement."}`)
		}, []string{"single sign-on"}},
		{"409", func(h *forge.GitHub, _ *GitHubRepository) {
			h.Fault = refusing("POST /pulls", 409, `{"message":"Conflict"}`)
		}, []string{"409 Conflict", "the next cycle decides anew"}},
		{"422: no reviewer", func(_ *forge.GitHub, _ *GitHubRepository) {}, []string{"asking for reviews", "Reviews may only be requested from collaborators", "github.pullRequest.reviewers"}},
		{"422: drafts", func(h *forge.GitHub, _ *GitHubRepository) {
			h.Fault = refusing("POST /pulls", 422, `{"message":"Validation Failed","errors":[{"message":"Draft pull requests are not supported in this repository."}]}`)
		}, []string{"github.pullRequest.draft: false"}},
		{"422: a field", func(h *forge.GitHub, _ *GitHubRepository) {
			h.Fault = refusing("POST /pulls", 422, `{"message":"Validation Failed","errors":[{"resource":"PullRequest","field":"head","code":"invalid"}]}`)
		}, []string{"Validation Failed: head invalid", "the branch is gone"}},
		{"503", func(h *forge.GitHub, _ *GitHubRepository) {
			h.Fault = refusing("GET /pulls", 503, `<html>`)
		}, []string{"503 Service Unavailable", "tried again in the next cycle"}},
		{"nobody there", func(h *forge.GitHub, _ *GitHubRepository) { h.Close() }, []string{"connection refused", "github.apiURL"}},
	} {
		t.Run(c.what, func(t *testing.T) {
			hub, r := start(t)
			c.change(hub, r)
			p := proposed
			p.Reviewers = []string{"nobody"}
			_, err := r.OpenPullRequests(t.Context())
			if err == nil {
				var pr PullRequest
				if pr, err = r.Create(t.Context(), p); err == nil {
					err = r.Complete(t.Context(), pr, p)
				}
			}
			var e *Error
			if !errors.As(err, &e) || e.Remedy == "" || strings.Contains(err.Error(), hub.Token()) {
				t.Fatalf("%v", err)
			}
			for _, want := range c.want {
				found := false
				for one := range strings.SplitSeq(want, "|") {
					found = found || strings.Contains(err.Error(), one)
				}
				if !found {
					t.Errorf("%v; want %q", err, want)
				}
			}
		})
	}
}

func TestATokensErrors(t *testing.T) {
	hub, _ := start(t)
	for token, want := range map[string]string{"ghp_old": "make a new token and put it into github.tokenFile", hub.Token(): ""} {
		account, err := NewGitHubToken(hub.URL, write(t, token+"\n"), "test")
		if err != nil {
			t.Fatal(err)
		}
		_, err = account.Repository(hub.URL + "/" + repo).OpenPullRequests(t.Context())
		if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), token)) {
			t.Errorf("%v, want %q", err, want)
		}
	}
	if _, err := NewGitHubToken(hub.URL, write(t, "\n"), "test"); err == nil || !strings.Contains(err.Error(), "is empty") {
		t.Error(err)
	}
	if _, err := NewGitHubApp(hub.URL, 1, 0, write(t, "s3cret"), "test"); err == nil || !strings.Contains(err.Error(), "no RSA private key") || strings.Contains(err.Error(), "s3cret") {
		t.Error(err)
	}
	if _, err := NewGitHubToken("api.github.com", write(t, "x"), "test"); err == nil || !strings.Contains(err.Error(), "github.apiURL") {
		t.Error(err)
	}
}

// TestRateLimits are waited out as GitHub asks: soon ones within the request,
// whose body is sent again, and long ones without a single request until then.
func TestRateLimits(t *testing.T) {
	soon := func() string { return strconv.FormatInt(time.Now().Unix(), 10) }
	for what, headers := range map[string][]string{
		"primary":   {"X-RateLimit-Remaining", "0", "X-RateLimit-Reset", soon()},
		"secondary": {"Retry-After", "1"},
	} {
		hub, r := start(t)
		refused := false
		hub.Fault = func(w http.ResponseWriter, request *http.Request) bool {
			if refused {
				return false
			}
			refused = refusing("POST /pulls", 403, `{"message":"You have exceeded a secondary rate limit"}`, headers...)(w, request)
			return refused
		}
		if pr, err := r.Create(t.Context(), proposed); err != nil || pr.Title != "Newer" || !refused {
			t.Errorf("%s: %v, %+v", what, err, pr)
		}
	}
	hub, r := start(t)
	if _, err := r.OpenPullRequests(t.Context()); err != nil {
		t.Fatal(err)
	}
	reset := time.Now().Add(time.Hour)
	hub.Fault = refusing("GET /pulls", 403, `{"message":"API rate limit exceeded"}`, "X-RateLimit-Remaining", "0", "X-RateLimit-Reset", strconv.FormatInt(reset.Unix(), 10))
	for range 3 {
		_, err := r.OpenPullRequests(t.Context())
		var limited *LimitedError
		if !errors.As(err, &limited) || !strings.Contains(err.Error(), "until "+reset.UTC().Add(time.Second).Format("15:04:05 UTC")) {
			t.Errorf("%v", err)
		}
	}
	if n := hub.Count("GET pulls"); n != 2 {
		t.Errorf("%d listings, of which 1 before the limit and 1 that met it", n)
	}
}

// TestGraphQLsRateLimit comes with status 200.
func TestGraphQLsRateLimit(t *testing.T) {
	hub, r := start(t)
	reset := time.Now().Add(time.Hour)
	hub.Fault = refusing("POST /graphql", 200, `{"errors":[{"type":"RATE_LIMITED","message":"API rate limit exceeded"}]}`, "X-RateLimit-Remaining", "0", "X-RateLimit-Reset", strconv.FormatInt(reset.Unix(), 10))
	_, err := r.Commit(t.Context(), "main", strings.Repeat("0", 40), "message", nil)
	var limited *LimitedError
	if !errors.As(err, &limited) || limited.Until.Unix() != reset.Unix() {
		t.Error(err)
	}
}

func TestRepositoriesAreTold(t *testing.T) {
	hub, err := newGitHub("https://api.github.com/", "test")
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
	} {
		got := ""
		if r := hub.Repository(address); r != nil {
			got = r.fullName()
		}
		if got != want {
			t.Errorf("%s: %q, want %q", address, got, want)
		}
	}
	for api, want := range map[string]string{"https://api.github.com": "https://api.github.com/graphql", "https://git.corp/api/v3": "https://git.corp/api/graphql"} {
		if hub, err := newGitHub(api, "test"); err != nil || hub.graphQLURL() != want {
			t.Errorf("%s: %s, %v", api, hub.graphQLURL(), err)
		}
	}
	for source, want := range map[string]string{
		"https://github.com/o/r.git": "https://github.com/o/r/compare/a...b",
		"git@gitlab.com:g/s/r.git":   "https://gitlab.com/g/s/r/-/compare/a...b",
		"https://git.corp/o/r":       "",
	} {
		if got := CompareURL(source, "a", "b"); got != want {
			t.Errorf("%s: %q", source, got)
		}
	}
}
