package reconcile

import (
	"sync"
	"time"

	"github.com/liverty-music/image-writeback/internal/giturl"
	"github.com/liverty-music/image-writeback/internal/image"
)

// How long whatever asks for a cycle is gathered: until nothing more has come
// for settleTime, but no longer than mostDelay. Whoever applies a folder changes
// many Applications in a moment, and a build pushes an image under many tags.
const (
	settleTime = 200 * time.Millisecond
	mostDelay  = 2 * time.Second
)

// Inbox gathers what asks for a cycle. Its methods return at once and may be
// called at any time.
type Inbox struct {
	settle, most time.Duration

	mu    sync.Mutex
	scope Scope
	since time.Time // when the first of scope came
	timer *time.Timer
	ready chan struct{}
}

// NewInbox returns an empty inbox.
func NewInbox() *Inbox { return newInbox(settleTime, mostDelay) }

func newInbox(settle, most time.Duration) *Inbox {
	b := &Inbox{settle: settle, most: most, ready: make(chan struct{}, 1)}
	b.timer = time.AfterFunc(time.Hour, b.announce)
	b.timer.Stop()
	return b
}

// Everything asks for a cycle about all Applications.
func (b *Inbox) Everything() { b.put(func(s *Scope) { s.everything = true }) }

// Image asks for a cycle about the Applications of an image, which was pushed.
func (b *Inbox) Image(ref image.Ref) { b.put(func(s *Scope) { s.addImage(imageName(ref), true) }) }

// Pushed asks for one about the Applications of a git repository, by its URL, of
// which a branch is said to be at head; empty: it is gone. Where it was known to
// be there, there is nothing to do.
func (b *Inbox) Pushed(repository, branch, head string) {
	b.put(func(s *Scope) { s.addPush(giturl.Parse(repository).Key(), branch, head, true) })
}

func (b *Inbox) put(change func(*Scope)) {
	b.mu.Lock()
	defer b.mu.Unlock()
	now := time.Now()
	if b.scope.empty() {
		b.since = now
	}
	change(&b.scope)
	b.timer.Reset(min(b.settle, b.most-now.Sub(b.since)))
}

func (b *Inbox) announce() {
	select {
	case b.ready <- struct{}{}:
	default: // it is known already
	}
}

// take empties the inbox.
func (b *Inbox) take() Scope {
	b.mu.Lock()
	defer b.mu.Unlock()
	scope := b.scope
	b.scope = Scope{}
	b.timer.Stop()
	return scope
}
