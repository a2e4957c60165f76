package harness

import (
	"context"
	"fmt"
	"net/http"
	"path/filepath"
	"strings"
	"testing"

	"github.com/liverty-music/image-writeback/internal/sandbox"
)

// Service is "updater run" in the test's own process.
type Service struct {
	T      *testing.T
	Log    sandbox.Log
	Health string // address of its probes
}

// Serve starts the service with a configuration and with flags that name where
// Applications come from, and ends it with the test.
func Serve(t *testing.T, config string, from ...string) *Service {
	t.Helper()
	s := &Service{T: t, Health: FreeAddress(t)}
	config = strings.Replace(config, `web: {listen: ""}`, fmt.Sprintf("web: {listen: %q}", s.Health), 1)
	file := Write(t, filepath.Join(t.TempDir(), "config.yaml"), config)
	ctx, stop := context.WithCancel(t.Context())
	ended := Go(ctx, &s.Log, append([]string{"run", "--config", file}, from...)...)
	t.Cleanup(func() {
		stop()
		if status := <-ended; status != 0 {
			t.Errorf("status %d", status)
		}
		if t.Failed() {
			t.Logf("the log of the service:\n%s", s.Log.String())
		}
	})

	return s
}

// Says waits until the log has a text n times.
func (s *Service) Says(what string, n int) {
	s.T.Helper()
	Await(s.T, fmt.Sprintf("%q, %d times", what, n), func() bool { return strings.Count(s.Log.String(), what) >= n })
}

// Probe is the status and the body of a probe; 0 where nobody answers.
func (s *Service) Probe(path string) (status int, body string) {
	response, err := http.Get("http://" + s.Health + path) //nolint:noctx // of this test's own server
	if err != nil {
		return 0, ""
	}

	_ = response.Body.Close()
	if response.StatusCode == http.StatusOK {
		return response.StatusCode, ""
	}

	return response.StatusCode, Get(s.T, "http://"+s.Health+path)
}

// Unready waits until the service lives, but is not ready, and logs the reason
// once.
func (s *Service) Unready(why string) {
	s.T.Helper()
	Await(s.T, "not to be ready: "+why, func() bool {
		status, body := s.Probe("/readyz")
		return status == http.StatusServiceUnavailable && strings.Contains(body, why)
	})

	if status, _ := s.Probe("/healthz"); status != http.StatusOK {
		s.T.Errorf("/healthz is %d", status)
	}

	if n := strings.Count(s.Log.String(), "level=ERROR"); n != 1 || !strings.Contains(s.Log.String(), why) {
		s.T.Errorf("%d errors were logged, one was to say %q", n, why)
	}
}

// Ready waits until the service is ready.
func (s *Service) Ready() {
	s.T.Helper()
	Await(s.T, "to be ready", func() bool { status, _ := s.Probe("/readyz"); return status == http.StatusOK })
}
