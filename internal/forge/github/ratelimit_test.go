package github

import (
	"errors"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/liverty-music/image-writeback/internal/forge"
	"github.com/liverty-music/image-writeback/internal/forge/forgetest"
)

// usedUp returns GitHub's headers for a rate limit that is used up.
func usedUp(reset time.Time) []string {
	return []string{"X-RateLimit-Remaining", "0", "X-RateLimit-Reset", strconv.FormatInt(reset.Unix(), 10)}
}

// TestShortRateLimits waits within the request, and sends its body again.
func TestShortRateLimits(t *testing.T) {
	for what, headers := range map[string][]string{
		"primary":   usedUp(time.Now()),
		"secondary": {"Retry-After", "1"},
	} {
		hub, r := start(t)
		refused := false
		hub.Fault = func(w http.ResponseWriter, request *http.Request) bool {
			if refused {
				return false
			}
			const body = `{"message":"You have exceeded a secondary rate limit"}`
			refused = forgetest.Refuse("POST /pulls", 403, body, headers...)(w, request)
			return refused
		}
		if pr, err := r.Create(t.Context(), proposed()); err != nil || pr.Title != "Newer" || !refused {
			t.Errorf("%s: %v, %+v", what, err, pr)
		}
	}
}

// TestALongRateLimit sends nothing until the time that GitHub's headers name.
func TestALongRateLimit(t *testing.T) {
	hub, r := start(t)
	if _, err := r.OpenPullRequests(t.Context()); err != nil {
		t.Fatal(err)
	}

	reset := time.Now().Add(time.Hour)
	hub.Fault = forgetest.Refuse("GET /pulls", 403, `{"message":"API rate limit exceeded"}`, usedUp(reset)...)
	want := "until " + reset.UTC().Add(time.Second).Format("15:04:05 UTC")
	for range 3 {
		_, err := r.OpenPullRequests(t.Context())
		var limited *forge.LimitedError
		if !errors.As(err, &limited) || !strings.Contains(err.Error(), want) {
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
	const body = `{"errors":[{"type":"RATE_LIMITED","message":"API rate limit exceeded"}]}`
	hub.Fault = forgetest.Refuse("POST /graphql", 200, body, usedUp(reset)...)

	_, err := r.Commit(t.Context(), "main", strings.Repeat("0", 40), "message", nil)
	var limited *forge.LimitedError
	if !errors.As(err, &limited) || limited.Until.Unix() != reset.Unix() {
		t.Error(err)
	}
}
