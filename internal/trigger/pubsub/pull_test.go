package pubsub

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/liverty-music/image-writeback/internal/sandbox/pubsub"
	"github.com/liverty-music/image-writeback/internal/trigger"
)

// pull receives from a subscription of Google's own test server until the test
// ends.
func (w *world) pull(subscription string) *pubsub.Server {
	w.t.Helper()
	server, err := pubsub.New()
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(server.Close)
	w.t.Setenv(server.Environment())

	ctx, stop := context.WithCancel(w.t.Context())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		Pull(ctx, subscription, w.receiver, w.slog)
	}()
	w.t.Cleanup(func() { stop(); <-ended })

	return server
}

// TestPull checks that each message is acknowledged, whatever is in it.
func TestPull(t *testing.T) {
	w := newWorld(t)
	server := w.pull(pubsub.Subscription)
	good := pushOfAnImage(t)
	for _, data := range []string{good, "nonsense", deletion, strings.Repeat("x", trigger.MaxSize+1), good} {
		server.Publish(data)
	}

	await(t, "all messages to be taken", func() bool { return server.Taken() == 5 })
	for result, want := range map[trigger.Result]int{
		trigger.Accepted: 2, trigger.Malformed: 1, trigger.Ignored: 1, trigger.Oversized: 1,
	} {
		if _, counted := w.totals(pullType + " " + string(result)); counted != want {
			t.Errorf("%d times %s, want %d", counted, result, want)
		}
	}
}

// TestNoSubscription checks that the log says what to do.
func TestNoSubscription(t *testing.T) {
	const remedy = "the subscription does not exist; create it: gcloud pubsub subscriptions create"

	w := newWorld(t)
	w.pull("projects/p/subscriptions/other")
	await(t, "the remedy", func() bool { return strings.Contains(w.logged(), remedy) })
}

// await polls until another goroutine has done something.
func await(t *testing.T, what string, done func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	for !done() {
		select {
		case <-ctx.Done():
			t.Fatalf("timed out waiting for %s", what)
		case <-time.After(10 * time.Millisecond):
		}
	}
}
