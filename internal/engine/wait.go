package engine

import (
	"context"
	"time"
)

// patience is how long a cycle waits while nothing becomes ready: what is ready is
// then decided, and the rest is for the next cycle.
const patience = 10 * time.Second

// wait waits for the errands that a cycle has begun.
type wait struct {
	steps chan func()
	begun int
}

// newWait returns a wait for at most a number of errands.
func newWait(most int) *wait { return &wait{steps: make(chan func(), most)} }

// ended returns what an errand calls at its end. The waiting cycle then calls step.
func (w *wait) ended(step func()) func() { return func() { w.steps <- step } }

// count notes whether an errand was begun. One of an earlier cycle, which is late, is
// not waited for.
func (w *wait) count(begun bool, step func()) {
	if begun {
		w.begun++
	} else {
		step()
	}
}

// until waits until all errands have ended; until none has for quiet; or until most
// has passed. quiet 0: it waits for all.
func (w *wait) until(ctx context.Context, quiet, most time.Duration) {
	if quiet == 0 {
		quiet, most = longestCycle, longestCycle
	}
	calm, end := time.NewTimer(quiet), time.NewTimer(most)
	defer calm.Stop()
	defer end.Stop()

	for ; w.begun > 0; w.begun-- {
		select {
		case step := <-w.steps:
			step()
			calm.Reset(quiet)
		case <-calm.C:
			return
		case <-end.C:
			return
		case <-ctx.Done():
			return
		}
	}
}
