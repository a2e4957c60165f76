package trigger

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"

	"github.com/liverty-music/image-writeback/internal/panics"
	"github.com/liverty-music/image-writeback/internal/secretfile"
)

// Sender is a type of webhooks that does not prove itself with a secret, such as
// Pub/Sub with its signed tokens.
type Sender interface {
	// Authenticate returns nil if the header proves who sends, and otherwise an
	// error that wraps [ErrForged] and does not quote credentials.
	Authenticate(ctx context.Context, header http.Header) error
	// Read returns what an authenticated message asks to look at. The error wraps
	// [ErrIgnored] if that is nothing.
	Read(body []byte) ([]Trigger, error)
}

// Webhooks serves POST /webhook?type=TYPE. It answers 200 to messages that are
// accepted or ignored, and 400, 401, 404, 405, 413 or 503 to others.
//
// A message is read once its sender has proved who it is; where the proof is a
// signature of the message, a bounded number of bytes is read before. Each type
// has a bounded number of places, so that senders of one type never wait for
// those of another.
type Webhooks struct {
	receiver *Receiver
	secrets  map[string]*secretfile.File[string]
	senders  map[string]Sender
	lanes    map[string]*lane // by type; those of enabled types alone
}

// NewWebhooks returns a handler for the types (see [Types]) that have a secret,
// and for those that have a sender of their own.
func NewWebhooks(receiver *Receiver, secrets map[string]*secretfile.File[string], senders map[string]Sender) *Webhooks {
	h := &Webhooks{receiver: receiver, secrets: secrets, senders: senders, lanes: map[string]*lane{}}
	for _, kind := range h.Types() {
		h.lanes[kind] = newLane()
	}

	return h
}

// Types returns the types that are enabled: those with a secret, then the others.
func (h *Webhooks) Types() []string {
	return append(slices.Sorted(maps.Keys(h.secrets)), slices.Sorted(maps.Keys(h.senders))...)
}

// inbound is how messages of one type are received.
type inbound struct {
	// prove returns ErrForged if the header shows already that the sender does not
	// know the secret. It reads nothing.
	prove func(r *http.Request) error
	// receive reads and checks a message, and returns its triggers and its body.
	receive func(w http.ResponseWriter, r *http.Request) ([]Trigger, []byte, error)
}

// find returns how to receive messages of a type; false if it is not enabled.
func (h *Webhooks) find(kind string) (inbound, bool) {
	if sender := h.senders[kind]; sender != nil {
		return inbound{
			prove: func(*http.Request) error { return nil }, // the sender has to be asked
			receive: func(w http.ResponseWriter, r *http.Request) ([]Trigger, []byte, error) {
				return receiveFrom(sender, w, r)
			},
		}, true
	}

	hook, known := webhooks[kind]
	secret := h.secrets[kind]
	if !known || secret == nil {
		return inbound{}, false
	}

	return inbound{
		prove: func(r *http.Request) error { return hook.prove(secret.Current(), r) },
		receive: func(w http.ResponseWriter, r *http.Request) ([]Trigger, []byte, error) {
			return hook.receive(secret.Current(), w, r)
		},
	}, true
}

// ServeHTTP receives one message.
func (h *Webhooks) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	kind := r.URL.Query().Get("type")
	in, enabled := h.find(kind)

	switch {
	case r.URL.Path != "/webhook":
		http.NotFound(w, r)
		return
	case r.Method != http.MethodPost:
		w.Header().Set("Allow", http.MethodPost)
		http.Error(w, "use POST", http.StatusMethodNotAllowed)
		return
	case !enabled:
		h.refuseUnknown(w, kind)
		return
	}

	triggers, body, err := h.take(kind, in, w, r)
	answer(w, h.receiver.Take(kind, triggers, body, err), err)
}

// take reads a message when its sender has shown what it can show, and its type has
// a place for it.
func (h *Webhooks) take(
	kind string, in inbound, w http.ResponseWriter, r *http.Request,
) (triggers []Trigger, body []byte, err error) {
	if err := in.prove(r); err != nil {
		return nil, nil, err
	}

	leave, ok := h.lanes[kind].enter(r.Context())
	if !ok {
		return nil, nil, ErrBusy
	}
	defer leave()

	_, err = panics.Try(func() (_ any, err error) {
		triggers, body, err = in.receive(w, r)
		return nil, err
	})

	return triggers, body, err
}

func (h *Webhooks) refuseUnknown(w http.ResponseWriter, kind string) {
	h.receiver.count("unknown", Unknown)
	h.receiver.sometimes("unknown", func() {
		h.receiver.log.Warn("message refused", "type", shorten(kind),
			"reason", "no secret is configured for this type; configure one, or remove the webhook from its sender")
	})

	http.Error(w, "this webhook type is not enabled here", http.StatusNotFound)
}

// answer tells the sender the result; err says what is wrong with the message.
func answer(w http.ResponseWriter, result Result, err error) {
	switch result {
	case Forged:
		http.Error(w, "the secret, signature or token is missing or wrong", http.StatusUnauthorized)
	case Oversized:
		http.Error(w, err.Error(), http.StatusRequestEntityTooLarge)
	case Busy:
		w.Header().Set("Retry-After", "1")
		http.Error(w, err.Error(), http.StatusServiceUnavailable)
	case Malformed:
		http.Error(w, err.Error(), http.StatusBadRequest)
	case Ignored: // with the reason, for the person who sets up the webhook
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		w.Header().Set("X-Content-Type-Options", "nosniff")
		_, _ = fmt.Fprintln(w, err.Error()) //nolint:gosec // plain text, for the authenticated sender
	case Accepted, Repeated:
		_, _ = fmt.Fprintln(w, "ok")
	}
}

// prove returns ErrForged if what the sender shows ahead of the body proves that it
// does not know the secret.
func (k webhook) prove(secret string, r *http.Request) error {
	shown := k.proof.shown(message{header: r.Header, query: r.URL.Query()})
	if shown == "" || !k.proof.ofBody && !k.proof.valid(shown, nil, secret) {
		return ErrForged
	}

	return nil
}

// receive reads a message if its sender knows the secret. Call prove before.
func (k webhook) receive(secret string, w http.ResponseWriter, r *http.Request) ([]Trigger, []byte, error) {
	m := message{header: r.Header, query: r.URL.Query()}

	var err error
	if m.body, err = readBody(w, r); err != nil {
		return nil, m.body, err
	}
	if k.proof.ofBody && !k.proof.valid(k.proof.shown(m), m.body, secret) {
		return nil, m.body, ErrForged
	}

	triggers, err := k.read(m)

	return triggers, m.body, err
}

// receiveFrom reads a message of a sender that authenticates itself.
func receiveFrom(sender Sender, w http.ResponseWriter, r *http.Request) ([]Trigger, []byte, error) {
	if err := sender.Authenticate(r.Context(), r.Header); err != nil {
		return nil, nil, err
	}

	body, err := readBody(w, r)
	if err != nil {
		return nil, body, err
	}

	triggers, err := sender.Read(body)

	return triggers, body, err
}

// readBody reads at most MaxSize bytes; the error is ErrOversized for more.
func readBody(w http.ResponseWriter, r *http.Request) ([]byte, error) {
	if r.ContentLength > MaxSize {
		return nil, ErrOversized
	}

	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, MaxSize))
	var tooLarge *http.MaxBytesError
	if errors.As(err, &tooLarge) {
		return body, ErrOversized
	}

	return body, err
}

// shorten keeps a log line readable, whatever is sent.
func shorten(s string) string {
	if len(s) > 30 {
		s = s[:30] + "…"
	}

	return s
}
