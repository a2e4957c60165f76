package forgetest

import (
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/liverty-music/image-writeback/internal/forge"
	"github.com/liverty-music/image-writeback/internal/giturl"
)

// Run tests that a forge keeps the contract. start makes a new fixture.
func Run(t *testing.T, start func(t *testing.T) *Fixture) {
	for _, c := range []struct {
		name string
		test func(t *testing.T, f *Fixture)
	}{
		{"life of a pull request", life},
		{"closed pull requests", closed},
		{"drafts", drafts},
		{"comments", comments},
		{"comparison", comparison},
		{"account", account},
		{"addresses", addresses},
		{"where the login goes", loginGoes},
		{"redirects", redirects},
		{"commits", commits},
		{"lists without an end", endlessLists},
		{"answers without an end", endlessAnswers},
		{"answers of another type", wrongTypes},
		{"connections that break", brokenConnections},
		{"a login that is revoked", revoked},
		{"a short rate limit", shortLimit},
		{"a long rate limit", longLimit},
		{"trouble", trouble},
		{"nobody there", nobodyThere},
	} {
		t.Run(c.name, func(t *testing.T) { c.test(t, start(t)) })
	}
}

// life opens a pull request, completes it, edits it and lists it.
func life(t *testing.T, f *Fixture) {
	r, ctx, p := f.Repository(t), t.Context(), Proposal()
	p.AutoMerge = true
	pr := Must[forge.PullRequest](t)(r.Create(ctx, p))
	if !pr.Untouched || pr.Number != 1 || pr.Title != "Newer" || pr.Head != "head" || pr.Base != "main" {
		t.Errorf("opened: %+v", pr)
	}
	if err := r.Complete(ctx, pr, p); err != nil {
		t.Fatal(err)
	}
	got := f.Pulls()[0]
	if !got.AutoMerge || len(got.Labels) != 1 || len(got.Assignees) != 1 || len(got.Reviewers) != 1 {
		t.Errorf("completed: %+v", got)
	}

	if err := r.Edit(ctx, pr, "Newest", "other", "main"); err != nil {
		t.Fatal(err)
	}
	open := Must[[]forge.PullRequest](t)(r.OpenPullRequests(ctx))
	if len(open) != 1 || open[0].Title != "Newest" || open[0].Body != "other" || open[0].Untouched {
		t.Errorf("open: %+v", open)
	}
	commits := Must[[]forge.Commit](t)(r.Commits(ctx, pr))
	if len(commits) != 1 || strings.TrimSpace(commits[0].Message) != "Newer" ||
		commits[0].AuthorName != "Ada" || commits[0].AuthorEmail != "ada@example.com" {
		t.Errorf("commits: %+v", commits)
	}
}

// closed finds a pull request by its head once it is closed, and not before.
func closed(t *testing.T, f *Fixture) {
	r, ctx := f.Repository(t), t.Context()
	pr := Must[forge.PullRequest](t)(r.Create(ctx, Proposal()))
	if got := Must[[]forge.PullRequest](t)(r.ClosedPullRequests(ctx, "head")); len(got) != 0 {
		t.Errorf("closed: %+v", got)
	}

	if err := r.Close(ctx, pr, "closed"); err != nil {
		t.Fatal(err)
	}
	got := Must[[]forge.PullRequest](t)(r.ClosedPullRequests(ctx, "head"))
	if len(got) != 1 || got[0].Merged || got[0].Body != "closed" {
		t.Errorf("closed: %+v", got)
	}
	if got := Must[[]forge.PullRequest](t)(r.ClosedPullRequests(ctx, "main")); len(got) != 0 {
		t.Errorf("closed, of another head: %+v", got)
	}
	if open := Must[[]forge.PullRequest](t)(r.OpenPullRequests(ctx)); len(open) != 0 {
		t.Errorf("open: %+v", open)
	}
}

// drafts stay drafts, and their titles do not show it.
func drafts(t *testing.T, f *Fixture) {
	r, ctx, p := f.Repository(t), t.Context(), Proposal()
	p.Draft = true
	pr := Must[forge.PullRequest](t)(r.Create(ctx, p))
	if !pr.Draft || pr.Title != "Newer" {
		t.Errorf("opened: %+v", pr)
	}
	if err := r.Edit(ctx, pr, "Newest", "other", "main"); err != nil {
		t.Fatal(err)
	}
	if open := Must[[]forge.PullRequest](t)(r.OpenPullRequests(ctx)); !open[0].Draft || open[0].Title != "Newest" {
		t.Errorf("open: %+v", open)
	}
}

// comments are made once for each mark.
func comments(t *testing.T, f *Fixture) {
	r, ctx := f.Repository(t), t.Context()
	pr := Must[forge.PullRequest](t)(r.Create(ctx, Proposal()))
	for i, mark := range []string{"<!-- a -->", "<!-- b -->"} {
		for range 2 {
			if err := r.CommentOnce(ctx, pr, mark, "Look.\n"+mark); err != nil {
				t.Fatal(err)
			}
		}
		if got := f.Pulls()[0].Comments; len(got) != i+1 || !strings.Contains(got[i].Body, mark) {
			t.Errorf("%s: comments %+v", mark, got)
		}
	}
}

func comparison(t *testing.T, f *Fixture) {
	c := Must[forge.Comparison](t)(f.Repository(t).Compare(t.Context(), "main", "head"))
	if c.Total != 1 || len(c.Commits) != 1 || c.Commits[0].Subject != "Newer" ||
		!strings.HasSuffix(c.URL, f.CompareURL) {
		t.Errorf("comparison: %+v", c)
	}
}

// account is who signs in: to git, too.
func account(t *testing.T, f *Fixture) {
	r := f.Repository(t)
	if name, email := r.Author(t.Context()); name != f.AuthorName || email != f.AuthorEmail {
		t.Errorf("author %s <%s>", name, email)
	}
	user, password, err := r.Login(t.Context(), "")
	if err != nil || !f.Git.Allow(user, password) {
		t.Errorf("git does not let %s in (%v)", user, err)
	}
}

// addresses in any spelling are one repository, unless they are elsewhere.
func addresses(t *testing.T, f *Fixture) {
	r, at := f.Repository(t), giturl.Parse(f.Git.URLOf(Name))
	for _, text := range []string{f.Git.URL + "/" + Name, f.Git.URL + "/" + strings.ToUpper(Name) + "/",
		"git@" + at.Host() + ":" + Name, "https://ada:s3cret@" + at.Host() + "/" + Name + ".git"} {
		if f.Client.Repository(giturl.Parse(text)) != r {
			t.Errorf("%s is another repository", text)
		}
	}
	for _, text := range []string{"https://elsewhere.example/" + Name, f.Git.URL + "/o", f.Git.URL, "", Name} {
		if got := f.Client.Repository(giturl.Parse(text)); got != nil {
			t.Errorf("%s is %v", text, got)
		}
	}
}

// loginGoes nowhere but to the forge itself.
func loginGoes(t *testing.T, f *Fixture) {
	at := giturl.Parse(f.Git.URLOf(Name))
	for _, text := range []string{
		f.Git.URLOf(Name), "git@" + at.Host() + ":" + Name, "https://" + at.Host() + "/" + Name,
	} {
		if err := f.Client.CheckLogin(giturl.Parse(text)); err != nil {
			t.Errorf("%s: %v", text, err)
		}
	}

	port := at.HostPort()[len(at.Host()):]
	for _, text := range []string{"http://" + at.Host() + "/" + Name, "http://" + at.Host() + port + "1/" + Name,
		"https://" + at.Host() + ":8443/" + Name, "https://" + at.Host() + "./" + Name,
		"https://" + at.Host() + ".example.net/" + Name} {
		err := f.Client.CheckLogin(giturl.Parse(text))
		CheckError(t, err, f.Secret(), "signing in", "write the URL of the repository as http")
	}
}

// redirects of the API do not take the login elsewhere.
func redirects(t *testing.T, f *Fixture) {
	var received []string
	stranger := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		received = append(received, r.Method+" "+r.URL.String())
	}))
	t.Cleanup(stranger.Close)

	r := f.Repository(t)
	for _, status := range []int{http.StatusMovedPermanently, http.StatusFound, http.StatusTemporaryRedirect} {
		f.Break(func(w http.ResponseWriter, r *http.Request) bool {
			http.Redirect(w, r, stranger.URL+r.URL.Path, status) //nolint:gosec // it is to lead elsewhere
			return true
		})
		_, err := r.OpenPullRequests(t.Context())
		CheckError(t, err, f.Secret())
	}
	if len(received) > 0 {
		t.Errorf("the stranger received %q", received)
	}
}

// commits checks that a [forge.Committer] makes commits, and rejects one if the
// branch has moved. A forge that is not a Committer passes.
func commits(t *testing.T, f *Fixture) {
	r, ok := f.Repository(t).(forge.Committer)
	if !ok {
		return
	}
	head, err := f.Git.Run(Name, "rev-parse", "main")
	if err != nil {
		t.Fatal(err)
	}
	head = strings.TrimSpace(head)
	files := map[string][]byte{"k.yaml": []byte("tag: v2\n")}

	hash := Must[string](t)(r.Commit(t.Context(), "main", head, "Newest\n\nbody", files))
	content, err := f.Git.Run(Name, "show", hash+":k.yaml")
	if err != nil || content != "tag: v2\n" {
		t.Errorf("file: %q (%v)", content, err)
	}
	if _, err := r.Commit(t.Context(), "main", head, "Newest", files); !errors.Is(err, forge.ErrConflict) {
		t.Errorf("on a head that has moved: %v", err)
	}
}

// shortLimit waits, and sends the request with its body again.
func shortLimit(t *testing.T, f *Fixture) {
	refuse, refused := Refuse("POST "+f.PullRequests, 429, "Retry later", "Retry-After", "1"), 0
	f.Break(func(w http.ResponseWriter, r *http.Request) bool {
		if refused > 0 || !refuse(w, r) {
			return false
		}
		refused++
		return true
	})
	before := time.Now()
	pr, err := f.Repository(t).Create(t.Context(), Proposal())
	if err != nil || pr.Title != "Newer" || refused != 1 || time.Since(before) < 900*time.Millisecond {
		t.Errorf("%v, %+v, refused %d times, after %s", err, pr, refused, time.Since(before))
	}
}

// longLimit sends nothing until the limit is over.
func longLimit(t *testing.T, f *Fixture) {
	r := f.Repository(t)
	if _, err := r.OpenPullRequests(t.Context()); err != nil {
		t.Fatal(err)
	}
	refuse, asked := Refuse("GET "+f.PullRequests, 429, "Retry later", "Retry-After", "3600"), 0
	f.Break(func(w http.ResponseWriter, r *http.Request) bool {
		asked++
		return refuse(w, r)
	})

	for range 3 {
		_, err := r.OpenPullRequests(t.Context())
		var limited *forge.LimitedError
		var e *forge.Error
		if !errors.As(err, &limited) || !errors.As(err, &e) || time.Until(limited.Until) < 59*time.Minute ||
			!strings.Contains(err.Error(), "until "+limited.Until.UTC().Format("15:04:05 UTC")) {
			t.Errorf("%v", err)
		}
	}
	if asked != 1 {
		t.Errorf("%d requests, of which 1 met the limit", asked)
	}
}

// trouble of the forge's own is tried again in the next cycle.
func trouble(t *testing.T, f *Fixture) {
	for status, want := range map[int]string{502: "tried again in the next cycle", 409: "decides again"} {
		f.Break(Refuse("POST "+f.PullRequests, status, `{"message":"x"}`))
		_, err := f.Repository(t).Create(t.Context(), Proposal())
		CheckError(t, err, f.Secret(), want, fmt.Sprint(status))
	}
}

func nobodyThere(t *testing.T, f *Fixture) {
	secret := f.Secret()
	f.Close()
	_, err := f.Repository(t).OpenPullRequests(t.Context())
	CheckError(t, err, secret, "connection refused", f.Setting)
}
