package forgetest

import (
	"net/http"
	"strconv"
	"strings"
	"testing"

	"github.com/liverty-music/image-writeback/internal/forge"
)

// endlessLists answers each page with an empty one that has a next page.
func endlessLists(t *testing.T, f *Fixture) {
	r, ctx := f.Repository(t), t.Context()
	pr := Must[forge.PullRequest](t)(r.Create(ctx, Proposal()))
	for what, ask := range map[string]func() error{
		"pull requests": func() error { _, err := r.OpenPullRequests(ctx); return err },
		"commits":       func() error { _, err := r.Commits(ctx, pr); return err },
	} {
		pages := 0
		f.Break(func(w http.ResponseWriter, request *http.Request) bool {
			if request.Method != http.MethodGet {
				return false
			}
			pages++
			next := strconv.Itoa(pages + 1)
			w.Header().Set("Link", "<http://"+request.Host+request.URL.Path+"?page="+next+`>; rel="next"`)
			w.Header().Set("X-Next-Page", next)
			w.Header().Set("Content-Type", "application/json")
			_, _ = w.Write([]byte("[]"))
			return true
		})
		err := ask()
		const want = "more than 100 pages; close those"
		if err == nil || !strings.Contains(err.Error(), want) || pages != forge.MostPages {
			t.Errorf("%s: %d pages, %v", what, pages, err)
		}
		f.Break(nil)
	}
}

// endlessAnswers answers with white space.
func endlessAnswers(t *testing.T, f *Fixture) {
	r := f.Repository(t)
	Must[forge.PullRequest](t)(r.Create(t.Context(), Proposal()))
	f.Break(func(w http.ResponseWriter, request *http.Request) bool {
		if request.Method != http.MethodGet {
			return false
		}
		w.Header().Set("Content-Type", "application/json")
		space := []byte(strings.Repeat(" ", 1<<16))
		for {
			if _, err := w.Write(space); err != nil {
				return true
			}
		}
	})
	_, err := r.OpenPullRequests(t.Context())
	if err == nil || !strings.Contains(err.Error(), "the answer is larger than 8 MiB") {
		t.Error(err)
	}
}
