package trigger

import (
	"crypto/sha256"
	"errors"
	"log/slog"
	"sync"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"
	"golang.org/x/time/rate"

	"github.com/liverty-music/image-writeback/internal/panics"
)

// Receiver takes all messages, however they arrived: it tells the sink, counts
// and logs. It may be used from several goroutines.
type Receiver struct {
	sink   Sink
	count  func(kind string, result Result)
	log    *slog.Logger
	recent *lru.Cache[[sha256.Size]byte, struct{}]

	mu     sync.Mutex
	logged map[string]*rate.Sometimes
}

const (
	// recentMessages is how many messages are remembered to recognise repeated ones.
	recentMessages = 10_000
	// logInterval is how often refused messages of one kind are logged: whoever
	// sends wrong messages may send many.
	logInterval = time.Minute
)

// NewReceiver returns a receiver that tells sink what to look at, and calls
// count with the type and the result of each message.
func NewReceiver(sink Sink, count func(kind string, result Result), log *slog.Logger) *Receiver {
	recent, err := lru.New[[sha256.Size]byte, struct{}](recentMessages)
	if err != nil {
		panic(err) // the size is positive
	}

	return &Receiver{sink: sink, count: count, log: log, recent: recent, logged: map[string]*rate.Sometimes{}}
}

// Take passes on the triggers of a message of a type, or counts and logs what was
// wrong with it: err is nil, or wraps [ErrIgnored], [ErrForged], [ErrOversized] or
// [ErrBusy], or means that the message is malformed. body identifies the message if its
// triggers have no ID.
func (r *Receiver) Take(kind string, triggers []Trigger, body []byte, err error) Result {
	result := resultOf(err)
	for _, t := range triggers {
		if r.repeated(kind, t, body) {
			result = Repeated
		}
		r.pass(kind, t)
	}

	r.count(kind, result)
	if err != nil && result != Ignored {
		r.sometimes(kind+" "+string(result), func() {
			fields := []any{"type", kind, "result", string(result), "reason", err.Error()}
			if panicked := new(panics.Error); errors.As(err, &panicked) {
				fields = append(fields, "stack", panicked.Stack)
			}
			r.log.Warn("message refused", fields...)
		})
	}

	return result
}

func resultOf(err error) Result {
	switch {
	case err == nil:
		return Accepted
	case errors.Is(err, ErrIgnored):
		return Ignored
	case errors.Is(err, ErrForged):
		return Forged
	case errors.Is(err, ErrOversized):
		return Oversized
	case errors.Is(err, ErrBusy):
		return Busy
	}

	return Malformed
}

// repeated reports whether the message was received before, and remembers it.
func (r *Receiver) repeated(kind string, t Trigger, body []byte) bool {
	key := sha256.Sum256([]byte(kind + " " + t.ID))
	if t.ID == "" {
		key = sha256.Sum256(body)
	}
	before, _ := r.recent.ContainsOrAdd(key, struct{}{})

	return before
}

// pass tells the sink.
func (r *Receiver) pass(kind string, t Trigger) {
	for _, ref := range t.Images {
		r.sink.Image(ref)
		r.log.Debug("an image was pushed", "type", kind, "image", ref.String())
	}

	if p := t.Push; p != nil {
		r.sink.Pushed(p.Repository, p.Branch, p.Head)
		r.log.Debug("a branch has moved", "type", kind, "repository", p.Repository, "branch", p.Branch)
	}
}

// sometimes calls do, unless it was called for the same key within logInterval.
func (r *Receiver) sometimes(key string, do func()) {
	r.mu.Lock()
	s := r.logged[key]
	if s == nil {
		s = &rate.Sometimes{Interval: logInterval}
		r.logged[key] = s
	}
	r.mu.Unlock()

	s.Do(do)
}
