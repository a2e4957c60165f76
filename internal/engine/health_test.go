package engine

import (
	"errors"
	"testing"
	"time"
)

// TestHealth holds what the probes say of a cycle's life.
func TestHealth(t *testing.T) {
	e := &Engine{}
	now := time.Date(2026, 11, 25, 12, 0, 0, 0, time.UTC)
	says := func(what string, alive, ready string) {
		t.Helper()
		text := func(err error) string {
			if err == nil {
				return ""
			}
			return err.Error()
		}
		if a, r := text(e.Alive(now)), text(e.Ready()); a != alive || r != ready {
			t.Errorf("%s: alive %q, ready %q", what, a, r)
		}
	}
	says("before the first cycle", "", "the first cycle has not ended yet")
	e.state.health.begin(now)
	_ = e.state.health.end(nil)
	says("after it", "", "")
	e.state.health.begin(now)
	now = now.Add(longestCycle)
	says("in a long one", "", "")
	now = now.Add(-time.Minute)
	e.state.health.move(now)
	now = now.Add(longestCycle)
	says("in a longer one, which goes on", "", "")
	now = now.Add(time.Second)
	says("in one that is stuck",
		"the cycle that began at 2026-11-25T12:00:00Z has done nothing since 2026-11-25T12:29:00Z", "")
	_ = e.state.health.end(errors.New("listing Applications: forbidden"))
	says("after one that failed", "", "the last cycle failed: listing Applications: forbidden")
	e.state.health.begin(now)
	_ = e.state.health.end(nil)
	says("after the next", "", "")
}
