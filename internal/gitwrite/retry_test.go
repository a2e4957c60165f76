package gitwrite

import (
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
)

// TestReadsAreRepeated breaks the connection of a read, before the answer and in the middle
// of it, or has the server answer that it is busy: the read is sent again, once. A push
// is not.
func TestReadsAreRepeated(t *testing.T) {
	const ok = "HTTP/1.1 200 OK\r\nContent-Length: 9000\r\nContent-Type: application/x-git-upload-pack-"
	both := []string{"/info/refs", "/git-upload-pack"}
	for name, c := range map[string]struct {
		answer string
		paths  []string
	}{
		"before": {"", both},
		"in the advertisement": {
			ok + "advertisement\r\n\r\n001e# service=git-upload-pack\n0000015547f0", both[:1],
		},
		"in the pack": {ok + "result\r\n\r\n0008NAK\n", both[1:]},
		"busy":        {"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n", both},
		"an error that remains": {
			"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n", both[:1],
		},
	} {
		for _, path := range c.paths {
			t.Run(name+path, func(t *testing.T) {
				git := startGit(t, true, 1)
				var requests atomic.Int32
				git.Fault = func(w http.ResponseWriter, r *http.Request) bool {
					if !strings.HasSuffix(r.URL.Path, path) || requests.Add(1) > 1 {
						return false
					}
					connection, _, err := http.NewResponseController(w).Hijack()
					if err != nil {
						t.Error(err)
						return false
					}
					_, _ = fmt.Fprint(connection, c.answer)
					_ = connection.Close()
					return true
				}
				r := open(t, newService(t, Options{}), git.URLOf(repo))
				_, err := r.Read(t.Context(), []Want{wantFile("f0/k.yaml")})
				remains := strings.Contains(name, "remains")
				if remains != (err != nil) || remains && requests.Load() > 1 {
					t.Errorf("%d requests, %v", requests.Load(), err)
				}
			})
		}
	}
}
