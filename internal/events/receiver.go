package events

import (
	"crypto/sha256"
	"errors"
	"log/slog"
	"sync"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"
	"golang.org/x/time/rate"
)

// Receiver is where all messages end, whichever way they came.
type Receiver struct {
	sink   Sink
	count  func(kind string, result Result)
	log    *slog.Logger
	recent *lru.Cache[[sha256.Size]byte, struct{}]

	mu   sync.Mutex
	said map[string]*rate.Sometimes
}

// How many messages are remembered, to know repeated ones, and how often it is
// logged that some are refused: whoever sends wrong ones may send many.
const (
	remembered  = 10_000
	logInterval = time.Minute
)

// NewReceiver returns a receiver that tells sink what to look at, and count
// what became of each message, by its type.
func NewReceiver(sink Sink, count func(kind string, result Result), log *slog.Logger) *Receiver {
	recent, err := lru.New[[sha256.Size]byte, struct{}](remembered)
	if err != nil {
		panic(err) // the size is positive
	}
	return &Receiver{sink: sink, count: count, log: log, recent: recent, said: map[string]*rate.Sometimes{}}
}

// take passes on what a message told, or counts what was wrong with it. body
// stands for the message where its events have no ID.
func (r *Receiver) take(kind string, events []Event, body []byte, err error) Result {
	result := Accepted
	switch {
	case err == nil:
	case errors.Is(err, errIgnored):
		result = Ignored
	case errors.Is(err, errForged):
		result = Forged
	case errors.Is(err, errOversized):
		result = Oversized
	default:
		result = Malformed
	}
	for _, event := range events {
		key := sha256.Sum256([]byte(kind + " " + event.ID))
		if event.ID == "" {
			key = sha256.Sum256(body)
		}
		if there, _ := r.recent.ContainsOrAdd(key, struct{}{}); there {
			result = Repeated
		}
		for _, ref := range event.Images {
			r.sink.Image(ref)
			r.log.Debug("an event says that an image was pushed", "type", kind, "image", ref.String())
		}
		if p := event.Push; p != nil {
			r.sink.Pushed(p.Repository, p.Branch, p.Head)
			r.log.Debug("an event says that a branch has moved", "type", kind, "repository", p.Repository, "branch", p.Branch)
		}
	}
	r.count(kind, result)
	if err != nil && result != Ignored {
		r.sometimes(kind+" "+string(result), func() {
			r.log.Warn("an event is refused", "type", kind, "result", string(result), "reason", err.Error())
		})
	}
	return result
}

// sometimes does something unless it was done not long ago.
func (r *Receiver) sometimes(key string, do func()) {
	r.mu.Lock()
	s := r.said[key]
	if s == nil {
		s = &rate.Sometimes{Interval: logInterval}
		r.said[key] = s
	}
	r.mu.Unlock()
	s.Do(do)
}
