package engine

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/liverty-music/image-writeback/internal/registry"
)

// hostLimit bounds how many repositories of a registry are asked about at a
// time in one cycle, and stricter until the registry has answered for the first
// time. A registry that fails must not use up its limits for each of its
// repositories: once it has not answered at all, no more repositories are asked
// about in this cycle; once it has used up the tries of one repository with 429
// or 5xx, no request is repeated for the others.
type hostLimit struct {
	slots    chan struct{}
	reserved int // slots that are taken until the registry answers

	mu         sync.Mutex
	dead       error // why the registry did not answer
	overloaded bool
}

// firstAtOnce is how many are asked about before a registry has answered.
const firstAtOnce = 16

func newHostLimit(atOnce int) *hostLimit {
	l := &hostLimit{slots: make(chan struct{}, atOnce), reserved: max(0, atOnce-firstAtOnce)}
	for range l.reserved {
		l.slots <- struct{}{}
	}

	return l
}

// answer answers a question when its turn comes.
func (l *hostLimit) answer(ctx context.Context, q *question) {
	l.slots <- struct{}{}
	defer func() { <-l.slots }()

	l.mu.Lock()
	dead, overloaded := l.dead, l.overloaded
	l.mu.Unlock()

	if dead != nil {
		q.fail(fmt.Errorf("%s did not answer for another image of this cycle; it is asked again in the next one: %w",
			q.repository.Host(), dead))
		return
	}
	if overloaded {
		q.repository.StopRetrying()
	}

	ctx, end := q.repository.StartClock(ctx)
	defer end()
	q.answer(ctx)

	l.learn(q.err())
}

// learn adapts to the result of a question.
func (l *hostLimit) learn(err error) {
	l.mu.Lock()
	defer l.mu.Unlock()

	if err == nil {
		for ; l.reserved > 0; l.reserved-- {
			<-l.slots
		}
	}

	var failed *registry.Error
	if errors.As(err, &failed) {
		l.overloaded = l.overloaded || failed.Overloaded
		if failed.NoAnswer {
			l.dead = failed.Err
		}
	}
}
