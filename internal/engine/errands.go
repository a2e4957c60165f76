package engine

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/liverty-music/image-writeback/internal/limit"
	"github.com/liverty-music/image-writeback/internal/panics"
)

// Deadline is how long one answer may take: what the policies of an image need from its
// registry, or the files of one repository.
type Deadline struct {
	Time  time.Duration
	Raise string // how to allow more, such as "raise limits.decisionTime in config.yaml"
}

// tooSlow means that a deadline has passed.
type tooSlow struct {
	doing string
	Deadline
}

// Error says what was too slow, and what to do.
func (e *tooSlow) Error() string {
	return fmt.Sprintf("%s took longer than %s; %s", e.doing, e.Time, e.Raise)
}

// start returns a context that ends when the deadline passes.
func (d Deadline) start(ctx context.Context, doing string) (context.Context, context.CancelFunc) {
	return context.WithTimeoutCause(ctx, d.Time, &tooSlow{doing, d})
}

// orTooSlow returns the error of what was done in a context, or that its deadline has
// passed.
func orTooSlow(ctx context.Context, err error) error {
	var slow *tooSlow
	if err != nil && errors.As(context.Cause(ctx), &slow) {
		return slow
	}

	return err
}

// errand is something that a registry or a git server is asked for. One that takes
// longer than its cycle waits goes on, and its answer is for the next cycle that asks
// for the same.
type errand[T any] struct {
	answer T
	err    error
	ended  bool

	late   bool // its cycle has not waited
	stale  bool // something has happened since that may change the answer
	resume func()
}

// errands are those that are under way, or that nobody has taken the answer of.
type errands[K comparable, T any] struct {
	mu     sync.Mutex
	byKey  map[K]*errand[T]
	asides *limit.Asides[K] // that were too slow, or panicked

	panicked func(error) // is called for each panic; nil: it is not
}

func newErrands[K comparable, T any]() *errands[K, T] {
	return &errands[K, T]{byKey: map[K]*errand[T]{}, asides: limit.NewAsides[K](nil)}
}

// errandOptions say how an errand is begun.
type errandOptions[T any] struct {
	do     func() (T, error)
	fits   func(T) bool // reports whether the answer of an earlier errand will do
	again  bool         // something has happened: neither an earlier answer nor a pause counts
	resume func()       // is called when the errand is late and has ended
	ended  func()       // is called at the end
}

// begin begins an errand, unless it is set aside. If one with the same key is under way
// from an earlier cycle, or its answer will do, it returns that one, and begun is false.
func (e *errands[K, T]) begin(key K, o errandOptions[T]) (_ *errand[T], begun bool) {
	e.mu.Lock()
	defer e.mu.Unlock()

	if before := e.byKey[key]; before != nil && (!before.ended || !o.again && before.serves(o)) {
		before.stale = before.stale || o.again
		return before, false
	}

	one := &errand[T]{resume: o.resume}
	if aside, ok := e.asides.Get(key); ok && !o.again {
		one.ended, one.err = true, told(aside)
		return one, false
	}

	e.byKey[key] = one
	go func() {
		answer, err := panics.Try(o.do)
		e.end(key, one, answer, err)
		o.ended()
	}()

	return one, true
}

// serves reports whether the end of an errand of an earlier cycle is an answer.
func (e *errand[T]) serves(o errandOptions[T]) bool { return e.err != nil || o.fits(e.answer) }

// end notes how an errand ended.
func (e *errands[K, T]) end(key K, one *errand[T], answer T, err error) {
	e.mu.Lock()
	defer e.mu.Unlock()

	var slow *tooSlow
	var panicked *panics.Error
	switch {
	case errors.As(err, &panicked) && e.panicked != nil:
		e.panicked(err)
		err = told(e.asides.Set(key, err))
	case errors.As(err, &slow), panicked != nil:
		err = told(e.asides.Set(key, err))
	case err == nil:
		e.asides.Forget(key)
	}

	one.answer, one.err, one.ended = answer, err, true
	if one.stale {
		delete(e.byKey, key)
	}
	if one.late {
		one.resume()
	}
}

// told is the error of what is set aside.
func told(a limit.Aside) error { return a.Told("others do not wait for it") }

// take takes the answer of an errand. If there is none yet, ok is false, and the errand
// is late from now on.
func (e *errands[K, T]) take(key K, one *errand[T]) (answer T, ok bool, err error) {
	e.mu.Lock()
	defer e.mu.Unlock()

	if !one.ended || one.stale {
		if one.ended {
			one.resume()
		}
		one.late = true
		return answer, false, nil
	}
	if e.byKey[key] == one {
		delete(e.byKey, key)
	}

	return one.answer, true, one.err
}

// keep drops the answers that nobody has asked for, of late errands.
func (e *errands[K, T]) keep(asked func(K) bool) {
	e.mu.Lock()
	defer e.mu.Unlock()

	for key, one := range e.byKey {
		if one.ended && !asked(key) {
			delete(e.byKey, key)
		}
	}
}

// underway reports whether any errand is.
func (e *errands[K, T]) underway() bool {
	e.mu.Lock()
	defer e.mu.Unlock()

	for _, one := range e.byKey {
		if !one.ended {
			return true
		}
	}

	return false
}
