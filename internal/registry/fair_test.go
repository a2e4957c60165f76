package registry

import (
	"context"
	"errors"
	"runtime"
	"testing"
	"time"

	"golang.org/x/time/rate"

	"github.com/liverty-music/image-writeback/internal/limit"
)

// TestTheLimitIsShared holds that one who comes late waits for one request of each of the
// others, however many these have, and that nobody's turn goes to one who has left.
func TestTheLimitIsShared(t *testing.T) {
	f := newFairLimiter(rate.NewLimiter(rate.Every(time.Hour), 1))
	_ = f.limiter.Wait(t.Context()) // from now on, the test grants the turns
	f.serving = true

	order := make(chan string, 100)
	ask := func(ctx context.Context, tenant string, requests int) {
		f.mu.Lock()
		before := len(f.waiting[tenant])
		f.mu.Unlock()
		for range requests {
			go func() {
				if err := f.Wait(limit.WithTenant(ctx, tenant)); err == nil {
					order <- tenant
				} else if !errors.Is(err, context.Canceled) {
					t.Error(err)
				}
			}()
		}
		for waiting := -1; waiting < before+requests; runtime.Gosched() {
			f.mu.Lock()
			waiting = len(f.waiting[tenant])
			f.mu.Unlock()
		}
	}
	leaving, leave := context.WithCancel(t.Context())
	ask(t.Context(), "many", 50)
	ask(leaving, "leaving", 3)
	ask(t.Context(), "victim", 2)

	leave()
	for gone := 0; gone < 3; runtime.Gosched() {
		f.mu.Lock()
		gone = 0
		for _, w := range f.waiting["leaving"] {
			if w.gone {
				gone++
			}
		}
		f.mu.Unlock()
	}
	got := ""
	for range 5 {
		if !f.grant() {
			t.Fatal("nobody waits")
		}
		got += " " + <-order
	}
	if got != " many victim many victim many" {
		t.Error(got)
	}
	for f.grant() {
		<-order
	}
	<-order
	if len(f.waiting) > 0 || f.serving {
		t.Errorf("%d tenants still wait", len(f.waiting))
	}
}
