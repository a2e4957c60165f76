package limit

import (
	"fmt"
	"sync"
	"time"

	"github.com/hashicorp/golang-lru/v2/simplelru"
)

// Something is set aside for firstAside at first, and each time for twice as long, up
// to longestAside.
const (
	firstAside   = 5 * time.Minute
	longestAside = 2 * time.Hour

	mostAsides = 20_000 // that are remembered; what was forgotten is only tried again
)

// Asides are things that failed, and are left alone for a while so that others do not
// wait for them, or fail with them. It may be used from several goroutines.
type Asides[K comparable] struct {
	now func() time.Time

	mu   sync.Mutex
	kept *simplelru.LRU[K, Aside]
}

// Aside is why something is left alone, and until when.
type Aside struct {
	Err   error
	Until time.Time
	pause time.Duration
}

// Told returns the error with until when the thing is left alone, and what that is good
// for, such as "the others land".
func (a Aside) Told(soThat string) error {
	return fmt.Errorf("%w; it is set aside until %s, so that %s", a.Err, a.Until.UTC().Format(time.RFC3339), soThat)
}

// NewAsides returns an empty set. now tells the time; nil: time.Now.
func NewAsides[K comparable](now func() time.Time) *Asides[K] {
	if now == nil {
		now = time.Now
	}

	kept, err := simplelru.NewLRU[K, Aside](mostAsides, nil)
	if err != nil {
		panic(err) // the size is positive
	}

	return &Asides[K]{now: now, kept: kept}
}

// Get reports whether a thing is set aside now, and why.
func (a *Asides[K]) Get(key K) (Aside, bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	found, ok := a.kept.Get(key)

	return found, ok && a.now().Before(found.Until)
}

// Set sets a thing aside that failed with err.
func (a *Asides[K]) Set(key K, err error) Aside {
	a.mu.Lock()
	defer a.mu.Unlock()

	pause := firstAside
	if before, ok := a.kept.Get(key); ok {
		pause = min(2*before.pause, longestAside)
	}
	aside := Aside{Err: err, Until: a.now().Add(pause), pause: pause}
	a.kept.Add(key, aside)

	return aside
}

// Forget makes the next pause of a thing short again.
func (a *Asides[K]) Forget(key K) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.kept.Remove(key)
}
