package pubsub

import (
	"bytes"
	"log/slog"
	"os"
	"sync"
	"testing"

	"github.com/liverty-music/image-writeback/internal/image"
	"github.com/liverty-music/image-writeback/internal/trigger"
)

// world is a receiver with how often its sink was told anything, what it counted
// and what it logged.
type world struct {
	t        *testing.T
	receiver *trigger.Receiver
	slog     *slog.Logger

	mu     sync.Mutex
	told   int
	counts map[string]int
	log    bytes.Buffer
}

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{t: t, counts: map[string]int{}}
	count := func(kind string, result trigger.Result) {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.counts[kind+" "+string(result)]++
	}
	w.slog = slog.New(slog.NewTextHandler(w, nil))
	w.receiver = trigger.NewReceiver(w, count, w.slog)

	return w
}

// Image counts an image.
func (w *world) Image(image.Ref) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.told++
}

// Pushed is never called: Pub/Sub is about images.
func (w *world) Pushed(repository, _, _ string) { w.t.Errorf("%s was pushed", repository) }

// Write takes the log.
func (w *world) Write(line []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()

	return w.log.Write(line)
}

// logged returns the log so far.
func (w *world) logged() string {
	w.mu.Lock()
	defer w.mu.Unlock()

	return w.log.String()
}

// totals returns how often the sink was told anything, and how often a result
// was counted.
func (w *world) totals(result string) (told, counted int) {
	w.mu.Lock()
	defer w.mu.Unlock()

	return w.told, w.counts[result]
}

// pushOfAnImage is a message of Artifact Registry.
func pushOfAnImage(t *testing.T) string {
	t.Helper()
	data, err := os.ReadFile("../../../testdata/trigger/google.txt")
	if err != nil {
		t.Fatal(err)
	}
	_, body, _ := bytes.Cut(data, []byte("\n\n"))

	return string(body)
}
