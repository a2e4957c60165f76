package registry

import (
	"context"
	"sync/atomic"
	"time"
)

// A registry that does not answer must not delay others. All requests for one
// repository in one cycle share these limits: Patience is how long the registry
// may go without a good answer, and maxTries how often a request is sent in all. How
// long a registry may take that answers, but slowly, the caller's context says.
const (
	Patience = 20 * time.Second
	maxTries = 4
)

// budget is what the requests for a repository may still cost in this cycle.
type budget struct {
	retries atomic.Int32 // that are left
	answers atomic.Int32 // good ones so far
	expired atomic.Bool

	timer *time.Timer  // fires when there was no good answer for Patience
	reset atomic.Int64 // when the timer was set last, in nanoseconds

	// lastError is the newest error below HTTP; nil once an answer came.
	lastError atomic.Pointer[error]
}

// budgetKey is the key of a budget in a context.
type budgetKey struct{}

func newBudget() *budget {
	b := &budget{}
	b.retries.Store(maxTries - 1)

	return b
}

// budgetOf returns the budget of a context; nil if it has none.
func budgetOf(ctx context.Context) *budget {
	b, _ := ctx.Value(budgetKey{}).(*budget)

	return b
}

// start starts the clock. The context that it returns ends with it.
func (b *budget) start(ctx context.Context) (_ context.Context, end func()) {
	ctx, cancel := context.WithCancel(ctx)
	b.reset.Store(time.Now().UnixNano())
	b.timer = time.AfterFunc(Patience, func() {
		b.expired.Store(true)
		cancel()
	})

	return ctx, func() {
		b.timer.Stop()
		cancel()
	}
}

// pause stops the clock until the function that it returns is called.
func (b *budget) pause() (resume func()) {
	if b.timer == nil || !b.timer.Stop() {
		return func() {}
	}

	return func() {
		b.reset.Store(time.Now().UnixNano())
		b.timer.Reset(Patience)
	}
}

// answered notes a good answer, after which the next one has its full time.
func (b *budget) answered() {
	if b == nil {
		return
	}

	b.answers.Add(1)
	b.lastError.Store(nil)
	if b.timer != nil && !b.expired.Load() {
		b.reset.Store(time.Now().UnixNano())
		b.timer.Reset(Patience)
	}
}

// failed notes an error below HTTP.
func (b *budget) failed(err error) {
	if b != nil {
		b.lastError.Store(&err)
	}
}

// retry takes one retry, and reports whether one was left and there is time to
// wait for it.
func (b *budget) retry(wait time.Duration) bool {
	if b == nil {
		return false
	}
	if b.timer != nil && time.Since(time.Unix(0, b.reset.Load()))+wait > Patience {
		return false
	}

	return b.retries.Add(-1) >= 0
}
