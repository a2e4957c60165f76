package forgetest

import (
	"context"
	"net/http"
	"strings"
	"testing"

	"github.com/liverty-music/image-writeback/internal/forge"
)

// calls are all methods of a repository that ask the forge.
func calls(ctx context.Context, r forge.Repository, pr forge.PullRequest) map[string]func() error {
	return map[string]func() error{
		"Login":              func() error { _, _, err := r.Login(ctx, ""); return err },
		"Author":             func() error { r.Author(ctx); return nil },
		"OpenPullRequests":   func() error { _, err := r.OpenPullRequests(ctx); return err },
		"ClosedPullRequests": func() error { _, err := r.ClosedPullRequests(ctx, "head"); return err },
		"Create":             func() error { _, err := r.Create(ctx, Proposal()); return err },
		"Complete":           func() error { return r.Complete(ctx, pr, Proposal()) },
		"Edit":               func() error { return r.Edit(ctx, pr, "t", "b", "main") },
		"Close":              func() error { return r.Close(ctx, pr, "b") },
		"CommentOnce":        func() error { return r.CommentOnce(ctx, pr, "mark", "mark") },
		"Commits":            func() error { _, err := r.Commits(ctx, pr); return err },
		"Compare":            func() error { _, err := r.Compare(ctx, "main", "head"); return err },
	}
}

// wrongAnswers are of another type than the library expects, or empty.
var wrongAnswers = []string{
	"null", "[null]", "[[null]]", "{}", "[]", "[{}]", `"text"`, "1", "", "{", `{"token": null}`, `{"number": null}`,
	`{"commits": [null], "files": [null]}`, `[{"head": null, "user": null}]`, `[{"commit": null, "author": null}]`,
}

// wrongTypes answers each request of each method with something else than the method
// asked for. No answer makes it panic, and none is taken for a pull request.
func wrongTypes(t *testing.T, f *Fixture) {
	ctx := t.Context()
	pr := Must[forge.PullRequest](t)(f.Repository(t).Create(ctx, Proposal()))
	for name, call := range calls(ctx, f.Repository(t), pr) {
		for _, answer := range wrongAnswers {
			f.Break(func(w http.ResponseWriter, request *http.Request) bool {
				w.Header().Set("Content-Type", "application/json")
				if request.Method == http.MethodPost {
					w.WriteHeader(http.StatusCreated)
				}
				_, _ = w.Write([]byte(answer))
				return true
			})
			err := call() // it does not panic
			nothing := strings.HasPrefix(answer, "null") || strings.HasPrefix(answer, "[null")
			silent := name == "Author" || name == "Login" || name == "Complete" // it may need no answer
			if !silent && err == nil && (nothing || name == "Create") {
				t.Errorf("%s takes %s for an answer", name, answer)
			}
		}
	}
	f.Break(nil)
}

// brokenConnections breaks the connection of the first request that reads, before the
// answer and in the middle of it: it is sent again. One that changes something is not.
func brokenConnections(t *testing.T, f *Fixture) {
	ctx := t.Context()
	r := f.Repository(t)
	Must[forge.PullRequest](t)(r.Create(ctx, Proposal()))

	const cut = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n["
	for _, begin := range []string{"", cut} {
		requests := 0
		f.Break(func(w http.ResponseWriter, _ *http.Request) bool {
			if requests++; requests > 1 {
				return false
			}
			connection, _, err := http.NewResponseController(w).Hijack()
			if err != nil {
				t.Error(err)
				return false
			}
			_, _ = connection.Write([]byte(begin))
			_ = connection.Close()
			return true
		})
		if open, err := r.OpenPullRequests(ctx); err != nil || len(open) != 1 || requests < 2 {
			t.Errorf("%q: %d requests, %d pull requests, %v", begin, requests, len(open), err)
		}

		requests = 0
		err := r.Edit(ctx, forge.PullRequest{Number: 1, Base: "main"}, "t", "b", "main")
		if err == nil || requests != 1 {
			t.Errorf("%q: the edit was sent %d times, %v", begin, requests, err)
		}
		f.Break(nil)
	}
}

// tokenOf returns the token of a request to the API; empty for one of the App itself.
func tokenOf(request *http.Request) string {
	if token := request.Header.Get("PRIVATE-TOKEN"); token != "" {
		return token
	}
	_, token, _ := strings.Cut(request.Header.Get("Authorization"), " ")
	if strings.Count(token, ".") == 2 { // a JSON web token
		return ""
	}

	return token
}

// revoked has the forge refuse the tokens that were used so far: another one is used, which
// is made or read, in the same call. If that is refused as well, it is an error.
func revoked(t *testing.T, f *Fixture) {
	ctx, r := t.Context(), f.Repository(t)
	Must[forge.PullRequest](t)(r.Create(ctx, Proposal()))
	refused, requests := map[string]bool{}, 0
	first := ""
	f.Break(func(_ http.ResponseWriter, request *http.Request) bool {
		first = tokenOf(request)
		refused[first] = first != ""
		return false
	})
	Must[[]forge.PullRequest](t)(r.OpenPullRequests(ctx))
	_, before, err := r.Login(ctx, "")
	if err != nil {
		t.Fatal(err)
	}
	refused[before] = true

	if f.Replace != nil {
		f.Replace("another-token")
	}
	f.Break(func(w http.ResponseWriter, request *http.Request) bool {
		requests++
		if refused[tokenOf(request)] {
			w.Header().Set("Content-Type", "application/json")
			w.WriteHeader(http.StatusUnauthorized)
			_, _ = w.Write([]byte(`{"message": "Bad credentials"}`))
			return true
		}
		if tokenOf(request) == "another-token" { // the stand-in knows one
			request.Header.Set("PRIVATE-TOKEN", first)
		}
		return false
	})
	if open, err := r.OpenPullRequests(ctx); err != nil || len(open) != 1 || requests > 3 {
		t.Errorf("%d requests, %d pull requests, %v", requests, len(open), err)
	}
	if _, after, err := r.Login(ctx, before); err != nil || after == before {
		t.Errorf("the login is still %t the old one, %v", after == before, err)
	}

	requests = 0
	f.Break(func(w http.ResponseWriter, request *http.Request) bool {
		requests++
		if tokenOf(request) == "" {
			return false
		}
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(http.StatusUnauthorized)
		_, _ = w.Write([]byte(`{"message": "Bad credentials"}`))
		return true
	})
	_, err = r.OpenPullRequests(ctx)
	if err == nil || !strings.Contains(err.Error(), "401") || requests > 3 {
		t.Errorf("%d requests, %v", requests, err)
	}
	f.Break(nil)
}
