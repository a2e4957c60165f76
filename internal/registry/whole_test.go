package registry

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/liverty-music/image-writeback/internal/sandbox/registry"
)

// TestConnectionsThatBreakOff holds that an answer whose connection breaks, before it or in
// the middle, is asked for again, and that it does not count twice.
func TestConnectionsThatBreakOff(t *testing.T) {
	const begin = "HTTP/1.1 200 OK\r\nContent-Length: 1000\r\nContent-Type: application/json\r\n\r\n"
	for name, c := range map[string]struct {
		path, answer string
		times        int
		fails        bool
	}{
		"a list, before":           {"/tags/list", "", 1, false},
		"a list, in the middle":    {"/tags/list", begin + `{"tags":["v1","v7"`, 1, false},
		"a manifest, before":       {"/manifests/", "", 1, false},
		"a manifest in the middle": {"/manifests/", begin + `{"schemaVersion":2`, 1, false},
		"a config in the middle":   {"/blobs/", begin + `{"architecture":"a`, 2, false},
		"a list, for ever":         {"/tags/list", begin + `{"tags":["v1"`, 100, true},
		"a manifest for ever":      {"/manifests/", begin + `{"schema`, 100, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := start(t)
			s.Plain = true
			s.Push(server, registry.Build{Created: built}, "v1")
			left := c.times
			s.Fault = func(w http.ResponseWriter, r *http.Request) bool {
				if !strings.Contains(r.URL.Path, c.path) || left == 0 || r.Method != http.MethodGet {
					return false
				}
				left--
				connection, _, err := http.NewResponseController(w).Hijack()
				if err != nil {
					t.Error(err)
					return false
				}
				_, _ = fmt.Fprint(connection, c.answer)
				_ = connection.Close()
				return true
			}

			r := repository(t, client(t, nil), s.Host()+"/"+server, "")
			ctx, end := r.StartClock(t.Context())
			defer end()
			listing, err := r.List(ctx)
			if err == nil {
				want := Wanted{Created: true, Default: "linux/amd64"}
				listing.Tags, _, err = r.Describe(ctx, false, listing.Tags, want)
			}
			if c.fails {
				if err == nil || !strings.Contains(err.Error(), s.Host()) || c.times-left > 2*maxTries {
					t.Errorf("%d requests, %v", c.times-left, err)
				}
				return
			}
			if err != nil || len(listing.Tags) != 1 || !listing.Tags[0].Created.Equal(built) || left > 0 {
				t.Errorf("%v, %v, %d breaks left", listing.Tags, err, left)
			}
		})
	}
}
