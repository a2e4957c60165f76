package limit

import (
	"context"
	"errors"
	"testing"
)

// TestRoom holds that no tenant takes all of a room, and that places come back.
func TestRoom(t *testing.T) {
	room := NewRoom(3)
	full, cancel := context.WithCancel(t.Context())
	cancel() // Enter fails where it would wait

	enter := func(ctx context.Context, tenant string) (*Stay, error) {
		s := room.Stay()
		return s, s.Enter(WithTenant(ctx, tenant), nil)
	}
	must := func(tenant string) *Stay {
		t.Helper()
		s, err := enter(t.Context(), tenant)
		if err != nil {
			t.Fatal(err)
		}

		return s
	}

	first, second := must("slow"), must("slow")
	if _, err := enter(full, "slow"); !errors.Is(err, context.Canceled) {
		t.Errorf("a tenant has all places: %v", err)
	}
	victim := must("victim")
	if err := victim.Enter(full, nil); err != nil {
		t.Errorf("a second place for one thing: %v", err)
	}
	if _, err := enter(full, "third"); err == nil {
		t.Error("more than there are")
	}

	first.Leave()
	first.Leave()
	if err := first.Enter(t.Context(), nil); !errors.Is(err, context.Canceled) {
		t.Errorf("a stay that is over: %v", err)
	}
	third := must("slow")
	for _, s := range []*Stay{second, victim, third} {
		s.Leave()
	}
	if len(room.tenants) != 0 {
		t.Errorf("%d tenants are still there", len(room.tenants))
	}
}

// TestRoomOfOne holds that a room with one place is for everybody in turn, and that
// clocks stand still meanwhile.
func TestRoomOfOne(t *testing.T) {
	room := NewRoom(1)
	one := room.Stay()
	if err := one.Enter(t.Context(), nil); err != nil {
		t.Fatal(err)
	}

	paused, resumed := make(chan struct{}), make(chan struct{})
	entered := make(chan error)
	other := room.Stay()
	go func() {
		entered <- other.Enter(t.Context(), func() func() {
			close(paused)
			return func() { close(resumed) }
		})
	}()
	<-paused
	one.Leave()
	<-resumed
	if err := <-entered; err != nil {
		t.Error(err)
	}
}
