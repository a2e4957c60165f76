package engine

import (
	"strings"
	"sync"
	"time"

	"github.com/liverty-music/image-writeback/internal/giturl"
	"github.com/liverty-music/image-writeback/internal/image"
)

// How long triggers are gathered: until none has come for settleTime, but no
// longer than maxDelay. Whoever applies a folder changes many Applications in a
// moment, and a build pushes an image under many tags.
const (
	settleTime = 200 * time.Millisecond
	maxDelay   = 2 * time.Second
)

// Inbox gathers what asks for a cycle. Its methods return at once and may be
// called at any time. Triggers that arrive together become one cycle; nothing
// is kept across restarts, since the first cycle is about everything.
type Inbox struct {
	settle, longest time.Duration

	mu    sync.Mutex
	scope Scope
	since time.Time // when the first trigger of scope came
	timer *time.Timer
	ready chan struct{}
}

// NewInbox returns an empty inbox.
func NewInbox() *Inbox { return newInbox(settleTime, maxDelay) }

func newInbox(settle, longest time.Duration) *Inbox {
	b := &Inbox{settle: settle, longest: longest, ready: make(chan struct{}, 1)}
	b.timer = time.AfterFunc(time.Hour, b.announce)
	b.timer.Stop()

	return b
}

// Everything asks for a cycle about all Applications.
func (b *Inbox) Everything() { b.put(func(s *Scope) { s.everything = true }) }

// Image asks for a cycle about the Applications of an image that was pushed.
func (b *Inbox) Image(ref image.Ref) { b.put(func(s *Scope) { s.addImage(imageName(ref), true) }) }

// Pushed asks for a cycle about the Applications of a git repository, by its
// URL, of which a branch is reported to be at head; empty: the branch is gone.
// If the branch is known to be there, nothing is to be done.
func (b *Inbox) Pushed(repository, branch, head string) {
	address := giturl.Parse(repository).Key()
	b.put(func(s *Scope) { s.addPush(push{address, branch, head}, true) })
}

// Heard takes a line that another replica has passed on. A line that cannot be
// read, or that was lost on the way, asks for everything.
func (b *Inbox) Heard(line string) {
	b.put(func(s *Scope) {
		words := strings.Split(line, " ")
		switch {
		case len(words) == 2 && words[0] == "image":
			s.addImage(words[1], false)
		case len(words) == 4 && words[0] == "push":
			s.addPush(push{words[1], words[2], words[3]}, false)
		default:
			s.everything, s.lost = true, true
		}
	})
}

func (b *Inbox) put(change func(*Scope)) {
	b.mu.Lock()
	defer b.mu.Unlock()

	now := time.Now()
	if b.scope.empty() {
		b.since = now
	}
	change(&b.scope)
	b.timer.Reset(min(b.settle, b.longest-now.Sub(b.since)))
}

func (b *Inbox) announce() {
	select {
	case b.ready <- struct{}{}:
	default: // announced already
	}
}

// empty reports whether nothing asks for a cycle.
func (b *Inbox) empty() bool {
	b.mu.Lock()
	defer b.mu.Unlock()

	return b.scope.empty()
}

// drain empties the inbox.
func (b *Inbox) drain() Scope {
	b.mu.Lock()
	defer b.mu.Unlock()

	scope := b.scope
	b.scope = Scope{}
	b.timer.Stop()

	return scope
}
