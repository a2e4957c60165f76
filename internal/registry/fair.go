package registry

import (
	"context"
	"sync"

	"golang.org/x/time/rate"

	"github.com/liverty-music/image-writeback/internal/limit"
)

// fairLimiter is a limit of requests per second, of which the tenants that wait have the
// same share: one with thousands of requests does not use it up.
type fairLimiter struct {
	limiter *rate.Limiter

	mu      sync.Mutex
	waiting map[string][]*waiter // by tenant, in their order
	ring    []string             // the tenants that wait; the first one is next
	serving bool                 // serve is running
}

// waiter is a request that waits for its turn.
type waiter struct {
	turn    chan struct{} // closed: it may be sent
	granted bool
	gone    bool // nobody waits any more
}

func newFairLimiter(l *rate.Limiter) *fairLimiter {
	return &fairLimiter{limiter: l, waiting: map[string][]*waiter{}}
}

// Wait waits until a request of the context's tenant may be sent. The error is that of the
// context.
func (f *fairLimiter) Wait(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}

	w := f.enter(limit.Tenant(ctx))
	select {
	case <-w.turn:
		return nil
	case <-ctx.Done():
	}

	f.mu.Lock()
	defer f.mu.Unlock()
	if w.granted {
		return nil
	}
	w.gone = true

	return ctx.Err()
}

func (f *fairLimiter) enter(tenant string) *waiter {
	f.mu.Lock()
	defer f.mu.Unlock()

	w := &waiter{turn: make(chan struct{})}
	if len(f.waiting[tenant]) == 0 {
		f.ring = append(f.ring, tenant)
	}
	f.waiting[tenant] = append(f.waiting[tenant], w)
	if !f.serving {
		f.serving = true
		go f.serve()
	}

	return w
}

// serve gives turns, as the limit allows, until nobody waits.
func (f *fairLimiter) serve() {
	for {
		_ = f.limiter.Wait(context.Background()) // it has no end, so it does not fail
		if !f.grant() {
			return
		}
	}
}

// grant gives a turn to the next one, and reports whether others wait.
func (f *fairLimiter) grant() (more bool) {
	f.mu.Lock()
	defer f.mu.Unlock()

	if w := f.next(); w != nil {
		w.granted = true
		close(w.turn)
	}
	f.serving = len(f.ring) > 0

	return f.serving
}

// next takes the next one out of the queues; nil if nobody waits.
func (f *fairLimiter) next() *waiter {
	for len(f.ring) > 0 {
		tenant := f.ring[0]
		f.ring = f.ring[1:]
		w, others := f.waiting[tenant][0], f.waiting[tenant][1:]
		if len(others) > 0 {
			f.waiting[tenant] = others
			f.ring = append(f.ring, tenant)
		} else {
			delete(f.waiting, tenant)
		}
		if !w.gone {
			return w
		}
	}

	return nil
}
