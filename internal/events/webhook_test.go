package events

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"log/slog"
	"math/big"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/liverty-music/image-writeback/internal/image"
	"github.com/liverty-music/image-writeback/internal/sandbox"
)

// world is a receiver with what it was told, what it counted and what it logged.
type world struct {
	t        *testing.T
	receiver *Receiver
	server   *httptest.Server

	mu     sync.Mutex
	told   []string
	counts map[string]int
	log    bytes.Buffer
}

func (w *world) Image(ref image.Ref) { w.note(ref.String()) }
func (w *world) Pushed(repository, branch, head string) {
	w.note(repository + " " + branch + " " + head)
}

func (w *world) note(what string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.told = append(w.told, what)
}

func (w *world) Write(line []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.log.Write(line)
}

// said is how often something was told, and how often something was counted.
func (w *world) said(result string) (told, counted int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.told), w.counts[result]
}

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{t: t, counts: map[string]int{}}
	w.receiver = NewReceiver(w, func(kind string, result Result) {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.counts[kind+" "+string(result)]++
	}, slog.New(slog.NewTextHandler(w, nil)))
	return w
}

const secretText = "it's a secret, äöü"

// serve serves webhooks with one secret for all types.
func (w *world) serve(google *Google) {
	w.t.Helper()
	file := filepath.Join(w.t.TempDir(), "secret")
	if err := os.WriteFile(file, []byte(secretText+"\n"), 0o600); err != nil {
		w.t.Fatal(err)
	}
	secrets := map[string]*Secret{}
	for _, kind := range Types() {
		secret, err := NewSecret(file)
		if err != nil {
			w.t.Fatal(err)
		}
		secrets[kind] = secret
	}
	w.server = httptest.NewServer(NewWebhooks(w.receiver, secrets, google))
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

// TestWebhooks sends each kind of message as it should be, again, forged in
// several ways, too large and cut off: only the first two are believed, and all
// are counted.
func TestWebhooks(t *testing.T) {
	for _, kind := range Types() {
		name := kind
		switch kind {
		case "github":
			name = "github-push"
		case "cloudevents":
			name = "cloudevents-ecr"
		}
		v := readVector(t, "testdata/"+name+".txt")
		w := newWorld(t)
		w.serve(nil)
		step := func(what string, v vector, secret string, status int, result Result, told int) {
			t.Helper()
			got, answer := w.post(v, secret)
			if saw, counted := w.said(kind + " " + string(result)); got != status || counted < 1 || saw != told {
				t.Errorf("%s, %s: %d %q, %d times %s, told %d", kind, what, got, answer, counted, result, saw)
			}
			if strings.Contains(answer, secretText) {
				t.Errorf("%s, %s: the answer has the secret: %q", kind, what, answer)
			}
		}
		cut, large := v, v
		cut.message.body = v.message.body[:len(v.message.body)/2]
		large.message.body = append(bytes.Clone(v.message.body), bytes.Repeat([]byte(" "), MaxSize)...)
		step("no secret", v, "", http.StatusUnauthorized, Forged, 0)
		step("another secret", v, "guessed", http.StatusUnauthorized, Forged, 0)
		step("a part of it", v, secretText[:5], http.StatusUnauthorized, Forged, 0)
		step("too large", large, secretText, http.StatusRequestEntityTooLarge, Oversized, 0)
		step("cut off", cut, secretText, http.StatusBadRequest, Malformed, 0)
		step("right", v, secretText, http.StatusOK, Accepted, 1)
		step("again", v, secretText, http.StatusOK, Repeated, 2)
		if log := w.log.String(); strings.Contains(log, "äöü") || strings.Count(log, "result=forged") != 1 || strings.Count(log, "\n") > 4 {
			t.Errorf("%s: the log is\n%s", kind, log)
		}
	}
}

// TestTamperedBody holds that a signature is for one body.
func TestTamperedBody(t *testing.T) {
	w := newWorld(t)
	w.serve(nil)
	v := readVector(t, "testdata/ghcr.io.txt")
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
	w.serve(nil)
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
		request, err := http.NewRequestWithContext(t.Context(), c.method, w.server.URL+c.path, strings.NewReader("{}"))
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
	if _, counted := w.said("unknown unknown"); counted != 3 {
		t.Errorf("%v", w.counts)
	}
}

// TestSecretsAreRotated holds that a new secret counts without a restart, and
// that the old one stays while its file is gone.
func TestSecretsAreRotated(t *testing.T) {
	file := filepath.Join(t.TempDir(), "secret")
	put := func(text string) {
		t.Helper()
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := NewSecret(file); err == nil {
		t.Error("a file that is not there is a secret")
	}
	put(" \n")
	if _, err := NewSecret(file); err == nil || !strings.Contains(err.Error(), "is empty") {
		t.Errorf("an empty file: %v", err)
	}
	put("one\n")
	s, err := NewSecret(file)
	if err != nil {
		t.Fatal(err)
	}
	put("two\n")
	now := time.Now()
	if got := s.current(now); got != "one" {
		t.Errorf("%q at once", got)
	}
	if got := s.current(now.Add(secretLife + time.Second)); got != "two" {
		t.Errorf("%q after a while", got)
	}
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
	if got := s.current(now.Add(3 * secretLife)); got != "two" {
		t.Errorf("%q without its file", got)
	}
}

// keySet serves public keys as Google does, and signs tokens with one of them.
type keySet struct {
	key    *rsa.PrivateKey
	server *httptest.Server
}

// RoundTrip sends requests for Google's keys to ours.
func (k *keySet) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.URL.String() != "https://www.googleapis.com/oauth2/v3/certs" {
		return nil, fmt.Errorf("%s was asked for", r.URL)
	}
	request := r.Clone(r.Context())
	request.URL, _ = url.Parse(k.server.URL)
	request.Host = ""
	return http.DefaultTransport.RoundTrip(request)
}

func newKeySet(t *testing.T) *keySet {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	k := &keySet{key: key}
	encode := base64.RawURLEncoding.EncodeToString
	k.server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Cache-Control", "public, max-age=3600")
		_ = json.NewEncoder(w).Encode(map[string]any{"keys": []map[string]string{{"kid": "one", "kty": "RSA", "alg": "RS256", "use": "sig",
			"n": encode(key.N.Bytes()), "e": encode(big.NewInt(int64(key.E)).Bytes())}}})
	}))
	t.Cleanup(k.server.Close)
	return k
}

func (k *keySet) sign(t *testing.T, key *rsa.PrivateKey, claims jwt.MapClaims) string {
	t.Helper()
	token := jwt.NewWithClaims(jwt.SigningMethodRS256, claims)
	token.Header["kid"] = "one"
	text, err := token.SignedString(key)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// TestPushedByGoogle holds that of what is pushed as Pub/Sub's only that is
// believed which Google has signed, for us and for the subscription's account.
func TestPushedByGoogle(t *testing.T) {
	keys := newKeySet(t)
	const audience, account = "https://updater.example.com/webhook", "pusher@p.iam.gserviceaccount.com"
	google, err := NewGoogle(t.Context(), audience, account, &http.Client{Transport: keys})
	if err != nil {
		t.Fatal(err)
	}
	w := newWorld(t)
	w.serve(google)
	stranger, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	claims := func(change func(jwt.MapClaims)) jwt.MapClaims {
		c := jwt.MapClaims{"aud": audience, "email": account, "email_verified": true, "iss": "https://accounts.google.com", "sub": "1",
			"iat": time.Now().Add(-time.Minute).Unix(), "exp": time.Now().Add(time.Hour).Unix()}
		if change != nil {
			change(c)
		}
		return c
	}
	message := func(id, data string) string {
		return fmt.Sprintf(`{"message": {"data": %q, "messageId": %q, "publishTime": "2026-11-20T08:11:02Z"}, "subscription": "projects/p/subscriptions/s"}`, base64.StdEncoding.EncodeToString([]byte(data)), id)
	}
	good := string(readVector(t, "testdata/google.txt").message.body)
	told := 0
	for _, c := range []struct {
		what, token, body string
		status            int
		result            Result
	}{
		{"no token", "", message("1", good), 401, Forged},
		{"no token at all", "nonsense", message("1", good), 401, Forged},
		{"of somebody else's key", keys.sign(t, stranger, claims(nil)), message("1", good), 401, Forged},
		{"for another audience", keys.sign(t, keys.key, claims(func(c jwt.MapClaims) { c["aud"] = "https://other.example.com" })), message("1", good), 401, Forged},
		{"for another account", keys.sign(t, keys.key, claims(func(c jwt.MapClaims) { c["email"] = "x@p.iam.gserviceaccount.com" })), message("1", good), 401, Forged},
		{"for an address that is not verified", keys.sign(t, keys.key, claims(func(c jwt.MapClaims) { c["email_verified"] = false })), message("1", good), 401, Forged},
		{"of another issuer", keys.sign(t, keys.key, claims(func(c jwt.MapClaims) { c["iss"] = "https://example.com" })), message("1", good), 401, Forged},
		{"that has expired", keys.sign(t, keys.key, claims(func(c jwt.MapClaims) { c["exp"] = time.Now().Add(-time.Hour).Unix() })), message("1", good), 401, Forged},
		{"right", keys.sign(t, keys.key, claims(nil)), message("1", good), 200, Accepted},
		{"right, again", keys.sign(t, keys.key, claims(nil)), message("1", good), 200, Repeated},
		{"right, the same in another message", keys.sign(t, keys.key, claims(nil)), message("2", good), 200, Accepted},
		{"of a deletion", keys.sign(t, keys.key, claims(nil)), message("3", `{"action": "DELETE", "tag": "a.pkg.dev/p/r/i:1"}`), 200, Ignored},
		{"with nonsense in it", keys.sign(t, keys.key, claims(nil)), message("4", "x"), 400, Malformed},
		{"no message", keys.sign(t, keys.key, claims(nil)), "{}", 400, Malformed},
		{"too large", keys.sign(t, keys.key, claims(nil)), message("5", strings.Repeat("x", MaxSize)), 413, Oversized},
	} {
		request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, w.server.URL+"/webhook?type=pubsub", strings.NewReader(c.body))
		if err != nil {
			t.Fatal(err)
		}
		if c.token != "" {
			request.Header.Set("Authorization", "Bearer "+c.token)
		}
		response, err := w.server.Client().Do(request)
		if err != nil {
			t.Fatal(err)
		}
		answer := body(t, response)
		if c.result == Accepted || c.result == Repeated {
			told++
		}
		if saw, counted := w.said("pubsub " + string(c.result)); response.StatusCode != c.status || counted < 1 || saw != told {
			t.Errorf("a token %s: %d %q, %d times %s, told %d", c.what, response.StatusCode, answer, counted, c.result, saw)
		}
		if c.token != "" && strings.Contains(w.log.String()+answer, c.token) {
			t.Errorf("a token %s: it is in the log or the answer", c.what)
		}
	}
}

// pull has the receiver pull from a subscription of Google's own test server
// until the test ends.
func (w *world) pull(subscription string) *sandbox.PubSub {
	w.t.Helper()
	server, err := sandbox.NewPubSub()
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(server.Close)
	w.t.Setenv(server.Environment())
	ctx, stop := context.WithCancel(w.t.Context())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		w.receiver.Pull(ctx, subscription)
	}()
	w.t.Cleanup(func() { stop(); <-ended })
	return server
}

// TestPulledFromPubSub holds that each message is taken, whatever is in it.
func TestPulledFromPubSub(t *testing.T) {
	w := newWorld(t)
	server := w.pull(sandbox.Subscription)
	good := string(readVector(t, "testdata/google.txt").message.body)
	for _, data := range []string{good, "nonsense", `{"action": "DELETE", "tag": "a.pkg.dev/p/r/i:1"}`, strings.Repeat("x", MaxSize+1), good} {
		server.Publish(data)
	}
	await(t, "all messages to be taken", func() bool { return server.Taken() == 5 })
	for result, want := range map[Result]int{Accepted: 2, Malformed: 1, Ignored: 1, Oversized: 1} {
		if _, counted := w.said(pullType + " " + string(result)); counted != want {
			t.Errorf("%d times %s, want %d", counted, result, want)
		}
	}
}

// TestNoSubscription holds that the log says what to do.
func TestNoSubscription(t *testing.T) {
	w := newWorld(t)
	w.pull("projects/p/subscriptions/other")
	await(t, "the remedy", func() bool {
		w.mu.Lock()
		defer w.mu.Unlock()
		return strings.Contains(w.log.String(), "there is no such subscription; create it: gcloud pubsub subscriptions create")
	})
}

// await polls for something that another goroutine brings about.
func await(t *testing.T, what string, there func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	for !there() {
		select {
		case <-ctx.Done():
			t.Fatalf("waited in vain for %s", what)
		case <-time.After(10 * time.Millisecond):
		}
	}
}
