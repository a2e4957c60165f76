package limit

import (
	"context"
	"sync"

	"golang.org/x/sync/semaphore"
)

// tenantKey is the key of a tenant in a context.
type tenantKey struct{}

// WithTenant returns a context for work on behalf of a tenant: the project of an
// Application.
func WithTenant(ctx context.Context, tenant string) context.Context {
	return context.WithValue(ctx, tenantKey{}, tenant)
}

// Tenant returns the tenant of a context; empty: work of nobody in particular.
func Tenant(ctx context.Context) string {
	tenant, _ := ctx.Value(tenantKey{}).(string)

	return tenant
}

// Room is how many large things may be in memory at a time. No tenant takes all of it,
// unless it has one place alone. It may be used from several goroutines.
type Room struct {
	all    *semaphore.Weighted
	places int64

	mu      sync.Mutex
	tenants map[string]*share
}

// share is what one tenant may take of a room.
type share struct {
	places *semaphore.Weighted
	users  int
}

// NewRoom returns a room with a number of places.
func NewRoom(places int64) *Room {
	return &Room{all: semaphore.NewWeighted(places), places: places, tenants: map[string]*share{}}
}

// enter waits for a place. Call leave at the end. The error is that of the context.
func (r *Room) enter(ctx context.Context) (leave func(), err error) {
	tenant := Tenant(ctx)
	r.mu.Lock()
	s := r.tenants[tenant]
	if s == nil {
		s = &share{places: semaphore.NewWeighted(max(1, r.places-1))}
		r.tenants[tenant] = s
	}
	s.users++
	r.mu.Unlock()

	done := func() {
		r.mu.Lock()
		defer r.mu.Unlock()
		if s.users--; s.users == 0 {
			delete(r.tenants, tenant)
		}
	}
	if err := s.places.Acquire(ctx, 1); err != nil {
		done()
		return nil, err
	}
	if err := r.all.Acquire(ctx, 1); err != nil {
		s.places.Release(1)
		done()
		return nil, err
	}

	return func() {
		r.all.Release(1)
		s.places.Release(1)
		done()
	}, nil
}

// Stay is one thing's place in a room, once it turns out to be large.
type Stay struct {
	room *Room

	mu    sync.Mutex
	leave func() // nil: it has no place
	over  bool
}

// Stay returns a stay, which has no place yet.
func (r *Room) Stay() *Stay { return &Stay{room: r} }

// Enter waits for a place, unless the thing has one. While it waits, the clocks that
// pause stops stand still: it is nobody's fault who answers. pause may be nil. The
// error is that of the context, or that the stay is over. One goroutine may call it at
// a time.
func (s *Stay) Enter(ctx context.Context, pause func() (resume func())) error {
	s.mu.Lock()
	has := s.leave != nil
	s.mu.Unlock()
	if has {
		return nil
	}

	if pause != nil {
		defer pause()()
	}
	leave, err := s.room.enter(ctx)
	if err != nil {
		return err
	}

	s.mu.Lock()
	defer s.mu.Unlock()
	if s.over {
		leave()
		return context.Canceled
	}
	s.leave = leave

	return nil
}

// Leave gives the place back, and ends the stay.
func (s *Stay) Leave() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.over = true; s.leave != nil {
		s.leave()
		s.leave = nil
	}
}
