package events

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"time"
)

var errOversized = fmt.Errorf("it is larger than %d KB", MaxSize>>10)

// atOnce bounds how many messages are in memory at a time.
const atOnce = 64

// Webhooks serves POST /webhook?type=…: 200 for what is believed, 400, 401, 404,
// 405 or 413 for what is not.
type Webhooks struct {
	receiver *Receiver
	secrets  map[string]*Secret
	google   *Google // nil: Pub/Sub does not push here
	slots    chan struct{}
}

// NewWebhooks returns a handler for the types that have a secret and, unless
// google is nil, for Pub/Sub's.
func NewWebhooks(receiver *Receiver, secrets map[string]*Secret, google *Google) *Webhooks {
	return &Webhooks{receiver: receiver, secrets: secrets, google: google, slots: make(chan struct{}, atOnce)}
}

// Types are those that are taken in.
func (h *Webhooks) Types() []string {
	types := slices.Sorted(maps.Keys(h.secrets))
	if h.google != nil {
		types = append(types, pubsubType)
	}
	return types
}

// ServeHTTP takes one message.
func (h *Webhooks) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	name := r.URL.Query().Get("type")
	kind, known := kindOf(name)
	known = known && h.secrets[name] != nil || name == pubsubType && h.google != nil
	switch {
	case r.URL.Path != "/webhook":
		http.NotFound(w, r)
		return
	case r.Method != http.MethodPost:
		w.Header().Set("Allow", http.MethodPost)
		http.Error(w, "send events by POST", http.StatusMethodNotAllowed)
		return
	case !known:
		h.receiver.count("unknown", Unknown)
		h.receiver.sometimes("unknown", func() {
			h.receiver.log.Warn("an event is refused", "type", shorten(name), "reason", "no secret is configured for its type; see events.secretFiles in config.yaml")
		})
		http.Error(w, "this type of webhook is not set up here", http.StatusNotFound)
		return
	}
	select {
	case h.slots <- struct{}{}:
		defer func() { <-h.slots }()
	case <-r.Context().Done():
		return
	}
	m := message{header: r.Header, query: r.URL.Query()}
	var events []Event
	var err error
	if name == pubsubType {
		events, err = h.google.receive(r.Context(), w, r, &m)
	} else {
		events, err = h.receive(kind, h.secrets[name].current(time.Now()), w, r, &m)
	}
	switch h.receiver.take(name, events, m.body, err) {
	case Forged:
		http.Error(w, "the secret, signature or token is missing or wrong", http.StatusUnauthorized)
	case Oversized:
		http.Error(w, err.Error(), http.StatusRequestEntityTooLarge)
	case Malformed:
		http.Error(w, err.Error(), http.StatusBadRequest)
	case Ignored: // said, so that a person who sets it up sees why
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		w.Header().Set("X-Content-Type-Options", "nosniff")
		_, _ = fmt.Fprintln(w, err.Error()) //nolint:gosec // plain text, for the authenticated sender
	case Accepted, Repeated:
		_, _ = fmt.Fprintln(w, "ok")
	}
}

// receive believes a message whose sender knows the secret.
func (h *Webhooks) receive(k kind, secret string, w http.ResponseWriter, r *http.Request, m *message) ([]Event, error) {
	shown := k.proof.shown(*m)
	if shown == "" {
		return nil, errForged // nobody's body is read
	}
	if err := m.readBody(w, r); err != nil {
		return nil, err
	}
	if !k.proof.valid(shown, m.body, secret) {
		return nil, errForged
	}
	return k.read(*m)
}

// readBody reads at most MaxSize.
func (m *message) readBody(w http.ResponseWriter, r *http.Request) (err error) {
	if r.ContentLength > MaxSize {
		return errOversized
	}
	m.body, err = io.ReadAll(http.MaxBytesReader(w, r.Body, MaxSize))
	var tooLarge *http.MaxBytesError
	if errors.As(err, &tooLarge) {
		return errOversized
	}
	return err
}

// shorten keeps a log line readable whatever is sent.
func shorten(s string) string {
	if len(s) > 30 {
		s = s[:30] + "…"
	}
	return s
}
