package report

import (
	"sync"
	"time"

	"github.com/liverty-music/image-writeback/internal/kube"
)

const (
	maxPending   = 50_000 // Events that wait to be created
	eventWorkers = 8      // Events created at a time
)

// queue creates Events beside the cycles: there may be thousands, and the next
// cycle need not wait for them. The zero value is empty.
type queue struct {
	mu      sync.Mutex
	pending []kube.Event
	workers int
	group   sync.WaitGroup
}

// add has Events created in their order, some at a time, and returns how many
// were too many.
func (q *queue) add(all []kube.Event, create func(kube.Event)) (dropped int) {
	q.mu.Lock()
	defer q.mu.Unlock()

	room := min(len(all), maxPending-len(q.pending))
	q.pending = append(q.pending, all[:room]...)

	for q.workers < min(eventWorkers, len(q.pending)) {
		q.workers++
		q.group.Go(func() {
			for event, ok := q.next(); ok; event, ok = q.next() {
				create(event)
			}
		})
	}

	return len(all) - room
}

// next returns the first Event. Without one, its worker ends.
func (q *queue) next() (event kube.Event, ok bool) {
	q.mu.Lock()
	defer q.mu.Unlock()

	if len(q.pending) == 0 {
		q.pending, q.workers = nil, q.workers-1
		return event, false
	}
	event, q.pending = q.pending[0], q.pending[1:]

	return event, true
}

// flush waits for the workers, then drops what is left.
func (q *queue) flush(limit time.Duration) {
	done := make(chan struct{})
	go func() {
		q.group.Wait()
		close(done)
	}()

	select {
	case <-done:
	case <-time.After(limit):
		q.mu.Lock()
		q.pending = nil
		q.mu.Unlock()
	}
}
