package engine

import (
	"errors"
	"fmt"
	"sync"
	"time"
)

// health is how the cycles of Run go. Its zero value is before the first.
type health struct {
	mu      sync.Mutex
	began   time.Time // of the cycle under way; zero: none is
	ended   bool      // at least one has
	failure error     // of the last one as a whole
}

func (h *health) begin(now time.Time) {
	h.mu.Lock()
	defer h.mu.Unlock()

	h.began = now
}

// end notes how a cycle ended, and returns how the one before did.
func (h *health) end(err error) (before error) {
	h.mu.Lock()
	defer h.mu.Unlock()

	before = h.failure
	h.began, h.ended, h.failure = time.Time{}, true, err

	return before
}

// longestCycle is more than any cycle takes that is not stuck: every wait is
// limited to minutes, so that only a great many registries that all hang come
// near to it.
const longestCycle = 30 * time.Minute

// Alive returns an error if Run is stuck, so that only a restart helps.
func (e *Engine) Alive(now time.Time) error {
	h := &e.state.health
	h.mu.Lock()
	defer h.mu.Unlock()

	if !h.began.IsZero() && now.Sub(h.began) > longestCycle {
		return fmt.Errorf("the cycle that began at %s has not ended", h.began.Format(time.RFC3339))
	}

	return nil
}

// Ready returns an error if Run does not do its work: before its first cycle
// has ended, and while cycles fail as a whole. Failures of single Applications
// do not count.
func (e *Engine) Ready() error {
	h := &e.state.health
	h.mu.Lock()
	defer h.mu.Unlock()

	switch {
	case !h.ended:
		return errors.New("the first cycle has not ended yet")
	case h.failure != nil:
		return fmt.Errorf("the last cycle failed: %w", h.failure)
	}

	return nil
}
