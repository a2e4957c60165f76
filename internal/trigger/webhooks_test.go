package trigger

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/liverty-music/image-writeback/internal/image"
	"github.com/liverty-music/image-writeback/internal/secretfile"
)

// world is a receiver with what its sink was told, what it counted and what it
// logged.
type world struct {
	t        *testing.T
	receiver *Receiver
	webhooks *Webhooks
	server   *httptest.Server

	mu     sync.Mutex
	told   []string
	counts map[string]int
	log    bytes.Buffer
}

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{t: t, counts: map[string]int{}}
	count := func(kind string, result Result) {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.counts[kind+" "+string(result)]++
	}
	w.receiver = NewReceiver(w, count, slog.New(slog.NewTextHandler(w, nil)))

	return w
}

// Image notes an image.
func (w *world) Image(ref image.Ref) { w.note(ref.String()) }

// Pushed notes a branch.
func (w *world) Pushed(repository, branch, head string) {
	w.note(repository + " " + branch + " " + head)
}

func (w *world) note(what string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.told = append(w.told, what)
}

// Write takes the log.
func (w *world) Write(line []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()

	return w.log.Write(line)
}

// totals returns how often the sink was told anything, and how often a result
// was counted.
func (w *world) totals(result string) (told, counted int) {
	w.mu.Lock()
	defer w.mu.Unlock()

	return len(w.told), w.counts[result]
}

const secretText = "it's a secret, äöü"

// serve serves webhooks with one secret for all types.
func (w *world) serve() {
	w.t.Helper()
	file := filepath.Join(w.t.TempDir(), "secret")
	if err := os.WriteFile(file, []byte(secretText+"\n"), 0o600); err != nil {
		w.t.Fatal(err)
	}
	secrets := map[string]*secretfile.File[string]{}
	for _, kind := range Types() {
		secret, err := secretfile.Open(file, secretfile.Text(file))
		if err != nil {
			w.t.Fatal(err)
		}
		secrets[kind] = secret
	}
	w.webhooks = NewWebhooks(w.receiver, secrets, nil)
	w.server = httptest.NewServer(w.webhooks)
	w.t.Cleanup(w.server.Close)
}

// post sends a vector as its sender does, with a secret; empty: none.
func (w *world) post(v vector, secret string) (status int, answer string) {
	w.t.Helper()
	query := url.Values{"type": {v.kind}}
	for key, values := range v.message.query {
		query[key] = values
	}
	request, err := http.NewRequestWithContext(w.t.Context(), http.MethodPost, "", bytes.NewReader(v.message.body))
	if err != nil {
		w.t.Fatal(err)
	}
	request.Header = v.message.header.Clone()
	if request.Header.Get("Content-Type") == "" {
		request.Header.Set("Content-Type", "application/json")
	}
	switch v.kind {
	case "ghcr.io", "github":
		mac := hmac.New(sha256.New, []byte(secret))
		_, _ = mac.Write(v.message.body)
		if secret != "" {
			request.Header.Set("X-Hub-Signature-256", "sha256="+hex.EncodeToString(mac.Sum(nil)))
		}
	case "harbor", "acr":
		if secret != "" {
			request.Header.Set("Authorization", secret)
		}
	default:
		if secret != "" {
			query.Set("secret", secret)
		}
	}
	if request.URL, err = url.Parse(w.server.URL + "/webhook?" + query.Encode()); err != nil {
		w.t.Fatal(err)
	}
	response, err := w.server.Client().Do(request)
	if err != nil {
		w.t.Fatal(err)
	}
	return response.StatusCode, body(w.t, response)
}

// webhookVector reads a message of a type that is accepted.
func webhookVector(t *testing.T, kind string) vector {
	t.Helper()
	name := kind
	switch kind {
	case "github":
		name = "github-push"
	case "cloudevents":
		name = "cloudevents-ecr"
	}

	return readVector(t, vectors+name+".txt")
}

// TestWebhooks sends a message of each type as it should be, again, forged in
// several ways, too large and cut off: only the first two are accepted, and all
// are counted.
func TestWebhooks(t *testing.T) {
	for _, kind := range Types() {
		t.Run(kind, func(t *testing.T) { testWebhook(t, kind) })
	}
}

func testWebhook(t *testing.T, kind string) {
	v := webhookVector(t, kind)
	w := newWorld(t)
	w.serve()
	step := func(what string, v vector, secret string, status int, result Result) {
		t.Helper()
		got, answer := w.post(v, secret)
		if _, counted := w.totals(kind + " " + string(result)); got != status || counted < 1 {
			t.Errorf("%s: %d %q, %d times %s", what, got, answer, counted, result)
		}
		if strings.Contains(answer, secretText) {
			t.Errorf("%s: the answer has the secret: %q", what, answer)
		}
	}
	told := func(want int) {
		t.Helper()
		if got, _ := w.totals(""); got != want {
			t.Errorf("the sink was told %d times, want %d", got, want)
		}
	}

	cut, large := v, v
	cut.message.body = v.message.body[:len(v.message.body)/2]
	large.message.body = append(bytes.Clone(v.message.body), bytes.Repeat([]byte(" "), MaxSize)...)
	step("no secret", v, "", http.StatusUnauthorized, Forged)
	step("another secret", v, "guessed", http.StatusUnauthorized, Forged)
	step("a part of it", v, secretText[:5], http.StatusUnauthorized, Forged)
	step("too large", large, secretText, http.StatusRequestEntityTooLarge, Oversized)
	step("cut off", cut, secretText, http.StatusBadRequest, Malformed)
	told(0)

	step("right", v, secretText, http.StatusOK, Accepted)
	told(1)
	step("again", v, secretText, http.StatusOK, Repeated)
	told(2)

	log := w.log.String()
	if strings.Contains(log, "äöü") || strings.Count(log, "result=forged") != 1 || strings.Count(log, "\n") > 4 {
		t.Errorf("the log is\n%s", log)
	}
}

// TestTamperedBody holds that a signature is for one body.
func TestTamperedBody(t *testing.T) {
	w := newWorld(t)
	w.serve()
	v := readVector(t, vectors+"ghcr.io.txt")
	mac := hmac.New(sha256.New, []byte(secretText))
	_, _ = mac.Write(v.message.body)
	v.message.header.Set("X-Hub-Signature-256", "sha256="+hex.EncodeToString(mac.Sum(nil)))
	v.message.body = bytes.Replace(v.message.body, []byte("Hello-World"), []byte("Evil-World"), 1)
	if status, _ := w.post(v, ""); status != http.StatusUnauthorized || len(w.told) > 0 {
		t.Errorf("%d, told %q", status, w.told)
	}
}

// TestAddresses holds what is answered to whoever asks at the wrong place.
func TestAddresses(t *testing.T) {
	w := newWorld(t)
	w.serve()
	for _, c := range []struct {
		method, path string
		status       int
	}{
		{http.MethodGet, "/webhook?type=github", http.StatusMethodNotAllowed},
		{http.MethodPost, "/", http.StatusNotFound},
		{http.MethodPost, "/webhook", http.StatusNotFound},
		{http.MethodPost, "/webhook?type=gitea%0Alevel=ERROR", http.StatusNotFound},
		{http.MethodPost, "/webhook?type=pubsub", http.StatusNotFound}, // not set up
		{http.MethodGet, "/metrics", http.StatusNotFound},
	} {
		url := w.server.URL + c.path
		request, err := http.NewRequestWithContext(t.Context(), c.method, url, strings.NewReader("{}"))
		if err != nil {
			t.Fatal(err)
		}
		response, err := w.server.Client().Do(request)
		if err != nil {
			t.Fatal(err)
		}
		if text := body(t, response); response.StatusCode != c.status {
			t.Errorf("%s %s: %d %q", c.method, c.path, response.StatusCode, text)
		}
	}
	if _, counted := w.totals("unknown unknown"); counted != 3 {
		t.Errorf("%v", w.counts)
	}
}
