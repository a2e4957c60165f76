package forge

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/liverty-music/image-writeback/internal/sandbox/forge"
)

// startLab is start for GitLab.
func startLab(t *testing.T) (*forge.GitLab, *GitLabRepository) {
	t.Helper()
	git := startGit(t)
	lab := forge.NewGitLab(git)
	t.Cleanup(lab.Close)
	account, err := NewGitLab(lab.URL, write(t, forge.GitLabToken+"\n"), "test")
	if err != nil {
		t.Fatal(err)
	}
	return lab, account.Repository(git.URLOf(repo))
}

// TestLifeOfAMergeRequest does each thing that can be done with one.
func TestLifeOfAMergeRequest(t *testing.T) {
	lab, r := startLab(t)
	ctx := t.Context()
	p := Proposal{Title: "Newer", Body: "body", Head: "head", Base: "main", Labels: []string{"deploy", "prod"}, Assignees: []string{"ada"}, Reviewers: []string{"bob", "carol"}, Draft: true, AutoMerge: true}
	pr := must[PullRequest](t)(r.Create(ctx, p))
	if !pr.Untouched || pr.Number != 1 || pr.Title != "Newer" || pr.Head != "head" || pr.Base != "main" {
		t.Errorf("opened: %+v", pr)
	}
	if err := r.Complete(ctx, pr, p); err != nil {
		t.Fatal(err)
	}
	got := lab.Pulls(repo)[0]
	if fmt.Sprint(got.Title, got.Labels, got.Assignees, got.Reviewers, got.AutoMerge) != "Draft: Newer[deploy prod] [3] [3 5] true" {
		t.Errorf("completed: %+v", got)
	}
	if err := r.Edit(ctx, pr, "Newest", "other", "main"); err != nil || lab.Pulls(repo)[0].Title != "Draft: Newest" {
		t.Errorf("%v: %+v", err, lab.Pulls(repo)[0])
	}
	for range 2 {
		if err := r.CommentOnce(ctx, pr, "<!-- mark -->", "Look.\n<!-- mark -->"); err != nil {
			t.Fatal(err)
		}
	}
	open := must[[]PullRequest](t)(r.OpenPullRequests(ctx))
	if len(open) != 1 || open[0].Title != "Newest" || open[0].Body != "other" || open[0].Untouched || len(lab.Pulls(repo)[0].Comments) != 1 {
		t.Errorf("open: %+v", open)
	}
	if closed := must[[]PullRequest](t)(r.ClosedPullRequests(ctx, "head")); len(closed) != 0 {
		t.Errorf("closed: %+v", closed)
	}
	if commits := must[[]Commit](t)(r.Commits(ctx, pr)); len(commits) != 1 || commits[0].AuthorName != "Ada" {
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
	if c.Total != 1 || c.Commits[0].Subject != "Newer" || !strings.HasSuffix(c.URL, "/-/compare/main...head") {
		t.Errorf("comparison: %+v", c)
	}
	if name, email := r.Author(ctx); name != "Image Writeback" || email != "image-writeback@noreply.example.com" {
		t.Errorf("author %s <%s>", name, email)
	}
}

func TestGitLabErrorsNameWhatToChange(t *testing.T) {
	for _, c := range []struct {
		what, kind string
		status     int
		body       string
		want       string
	}{
		{"a token that has ended", "GET /merge_requests", 401, `{"message":"401 Unauthorized"}`, "gitlab.tokenFile"},
		{"no scope", "GET /merge_requests", 403, `{"error":"insufficient_scope"}`, "the scope api"},
		{"not a member", "GET /merge_requests", 404, `{"message":"404 Project Not Found"}`, "a member of the project"},
		{"another one", "POST /merge_requests", 409, `{"message":["Another open merge request already exists for this source branch: !1"]}`, "takes that one on"},
		{"moved", "POST /merge_requests", 409, `{"message":"Conflict"}`, "decides anew"},
		{"trouble", "GET /merge_requests", 502, `<html>`, "tried again in the next cycle"},
		{"no such reviewer", "", 0, "", "correct github.pullRequest.reviewers"},
	} {
		lab, r := startLab(t)
		if c.kind != "" {
			lab.Fault = refusing(c.kind, c.status, c.body)
		}
		_, err := r.OpenPullRequests(t.Context())
		if err == nil {
			_, err = r.Create(t.Context(), Proposal{Title: "x", Head: "head", Base: "main", Reviewers: []string{"nobody"}})
			if c.kind != "" {
				_, err = r.Create(t.Context(), Proposal{Title: "x", Head: "head", Base: "main"})
			}
		}
		var e *Error
		if !errors.As(err, &e) || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), forge.GitLabToken) || c.status != 0 && !strings.Contains(err.Error(), fmt.Sprint(c.status)) {
			t.Errorf("%s: %v", c.what, err)
		}
	}
	lab, r := startLab(t)
	lab.Close()
	if _, err := r.OpenPullRequests(t.Context()); err == nil || !strings.Contains(err.Error(), "gitlab.url") {
		t.Error(err)
	}
}

// TestGitLabsRateLimit is waited out as well.
func TestGitLabsRateLimit(t *testing.T) {
	lab, r := startLab(t)
	asked := 0
	lab.Fault = func(w http.ResponseWriter, request *http.Request) bool {
		asked++
		return asked == 1 && refusing("GET /", 429, "Retry later", "Retry-After", "1")(w, request)
	}
	if _, err := r.OpenPullRequests(t.Context()); err != nil || asked != 2 {
		t.Errorf("%v, %d requests", err, asked)
	}
}

func TestGitLabRepositoriesAreTold(t *testing.T) {
	for _, c := range []struct{ lab, address, want string }{
		{"https://gitlab.com", "https://gitlab.com/g/sub/r.git", "g/sub/r"},
		{"https://gitlab.com", "git@gitlab.com:g/sub/r.git", "g/sub/r"},
		{"https://corp.example/gitlab/", "https://corp.example/gitlab/g/r", "g/r"},
		{"https://gitlab.com", "https://github.com/o/r", ""},
		{"https://gitlab.com", "https://gitlab.com/r", ""},
	} {
		lab, err := NewGitLab(c.lab, write(t, "x"), "test")
		if err != nil {
			t.Fatal(err)
		}
		got := ""
		if r := lab.Repository(c.address); r != nil {
			got = r.path
		}
		if got != c.want {
			t.Errorf("%s: %q", c.address, got)
		}
	}
	if _, err := NewGitLab("gitlab.com", write(t, "x"), "test"); err == nil || !strings.Contains(err.Error(), "gitlab.url") {
		t.Error(err)
	}
}
