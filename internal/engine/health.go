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
	moved   time.Time // when something was done in it last
	ended   bool      // at least one has
	failure error     // of the last one as a whole
}

func (h *health) begin(now time.Time) {
	h.mu.Lock()
	defer h.mu.Unlock()

	h.began, h.moved = now, now
}

// move notes that a cycle has done something: it is not stuck, however long it takes.
func (h *health) move(now time.Time) {
	h.mu.Lock()
	defer h.mu.Unlock()

	h.moved = now
}

// end notes how a cycle ended, and returns how the one before did.
func (h *health) end(err error) (before error) {
	h.mu.Lock()
	defer h.mu.Unlock()

	before = h.failure
	h.began, h.ended, h.failure = time.Time{}, true, err

	return before
}

// longestCycle is more than a cycle takes from one step to the next if it is not stuck:
// every wait is limited to minutes, and to Deadline.
const longestCycle = 30 * time.Minute

// Alive returns an error if Run is stuck, so that only a restart helps. A cycle that is
// slow, because registries or git servers are, goes on step by step.
func (e *Engine) Alive(now time.Time) error {
	h := &e.state.health
	h.mu.Lock()
	defer h.mu.Unlock()

	if !h.began.IsZero() && now.Sub(h.moved) > longestCycle+e.Deadline.Time {
		return fmt.Errorf("the cycle that began at %s has done nothing since %s", h.began.Format(time.RFC3339),
			h.moved.Format(time.RFC3339))
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
