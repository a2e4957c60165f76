package pubsub

import (
	"crypto/rand"
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/liverty-music/image-writeback/internal/trigger"
)

// keySet serves public keys as Google does, and signs tokens with one of them.
type keySet struct {
	key     *rsa.PrivateKey
	server  *httptest.Server
	fetched atomic.Int32
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
		k.fetched.Add(1)
		w.Header().Set("Cache-Control", "public, max-age=3600")
		_ = json.NewEncoder(w).Encode(map[string]any{"keys": []map[string]string{{
			"kid": "one", "kty": "RSA", "alg": "RS256", "use": "sig",
			"n": encode(key.N.Bytes()), "e": encode(big.NewInt(int64(key.E)).Bytes()),
		}}})
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

const (
	audience = "https://updater.example.com/webhook"
	account  = "pusher@p.iam.gserviceaccount.com"
)

// claims are those of a valid token, with a change; nil: none.
func claims(change func(jwt.MapClaims)) jwt.MapClaims {
	c := jwt.MapClaims{
		"aud": audience, "email": account, "email_verified": true, "iss": "https://accounts.google.com", "sub": "1",
		"iat": time.Now().Add(-time.Minute).Unix(), "exp": time.Now().Add(time.Hour).Unix(),
	}
	if change != nil {
		change(c)
	}

	return c
}

// claim are the claims of a valid token with one that differs.
func claim(name string, value any) jwt.MapClaims {
	return claims(func(c jwt.MapClaims) { c[name] = value })
}

func pushed(id, data string) string {
	return fmt.Sprintf(`{"message": {"data": %q, "messageId": %q, "publishTime": "2026-11-20T08:11:02Z"}, `+
		`"subscription": "projects/p/subscriptions/s"}`, base64.StdEncoding.EncodeToString([]byte(data)), id)
}

// TestPush checks that a push is read only if Google signed its token, for us and
// for the subscription's account.
func TestPush(t *testing.T) {
	keys := newKeySet(t)
	stranger, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}

	push, err := NewPush(t.Context(), audience, account, &http.Client{Transport: keys})
	if err != nil {
		t.Fatal(err)
	}
	w := newWorld(t)
	server := httptest.NewServer(trigger.NewWebhooks(w.receiver, nil, map[string]trigger.Sender{PushType: push}))
	t.Cleanup(server.Close)

	good := pushed("1", pushOfAnImage(t))
	signed := func(c jwt.MapClaims) string { return keys.sign(t, keys.key, c) }
	told := 0
	for _, c := range []struct {
		what, token, body string
		status            int
		result            trigger.Result
	}{
		{"no token", "", good, 401, trigger.Forged},
		{"no token at all", "nonsense", good, 401, trigger.Forged},
		{"of somebody else's key", keys.sign(t, stranger, claims(nil)), good, 401, trigger.Forged},
		{"for another audience", signed(claim("aud", "https://other.example.com")), good, 401, trigger.Forged},
		{"for another account", signed(claim("email", "x@p.iam.gserviceaccount.com")), good, 401, trigger.Forged},
		{"for an address that is not verified", signed(claim("email_verified", false)), good, 401, trigger.Forged},
		{"of another issuer", signed(claim("iss", "https://example.com")), good, 401, trigger.Forged},
		{"that has expired", signed(claim("exp", time.Now().Add(-time.Hour).Unix())), good, 401, trigger.Forged},
		{"right", signed(claims(nil)), good, 200, trigger.Accepted},
		{"right, again", signed(claims(nil)), good, 200, trigger.Repeated},
		{"right, the same in another message", signed(claims(nil)), pushed("2", pushOfAnImage(t)), 200,
			trigger.Accepted},
		{"of a deletion", signed(claims(nil)), pushed("3", deletion), 200, trigger.Ignored},
		{"with nonsense in it", signed(claims(nil)), pushed("4", "x"), 400, trigger.Malformed},
		{"no message", signed(claims(nil)), "{}", 400, trigger.Malformed},
		{"too large", signed(claims(nil)), pushed("5", strings.Repeat("x", trigger.MaxSize)), 413, trigger.Oversized},
	} {
		if c.result == trigger.Accepted || c.result == trigger.Repeated {
			told++
		}

		status, answer := post(t, server, c.token, c.body)
		got, counted := w.totals(PushType + " " + string(c.result))
		if status != c.status || counted < 1 || got != told {
			t.Errorf("a token %s: %d %q, %d times %s, told %d", c.what, status, answer, counted, c.result, got)
		}
		if c.token != "" && strings.Contains(w.logged()+answer, c.token) {
			t.Errorf("a token %s: it is in the log or the answer", c.what)
		}
	}
}

const deletion = `{"action": "DELETE", "tag": "a.pkg.dev/p/r/i:1"}`

// post sends a message with a token; empty: none.
func post(t *testing.T, server *httptest.Server, token, body string) (status int, answer string) {
	t.Helper()
	url := server.URL + "/webhook?type=pubsub"
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	if token != "" {
		request.Header.Set("Authorization", "Bearer "+token)
	}

	response, err := server.Client().Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	data, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}

	return response.StatusCode, string(data)
}

// TestKeysAreFetchedForPlausibleTokens checks that Google is not asked for its keys
// because of a token that would not be accepted anyway, and that it is asked once for
// many that could be.
func TestKeysAreFetchedForPlausibleTokens(t *testing.T) {
	keys := newKeySet(t)
	push, err := NewPush(t.Context(), audience, account, &http.Client{Transport: keys})
	if err != nil {
		t.Fatal(err)
	}
	authenticate := func(token string) error {
		return push.Authenticate(t.Context(), http.Header{"Authorization": {"Bearer " + token}})
	}

	for _, c := range []jwt.MapClaims{
		claim("aud", "https://other.example.com"), claim("email", "x@p.iam.gserviceaccount.com"),
		claim("email_verified", false), claim("iss", "https://example.com"),
		claim("exp", time.Now().Add(-time.Hour).Unix()),
	} {
		if err := authenticate(keys.sign(t, keys.key, c)); !errors.Is(err, trigger.ErrForged) {
			t.Errorf("%v: %v", c, err)
		}
	}
	if n := keys.fetched.Load(); n != 0 {
		t.Errorf("the keys were fetched %d times", n)
	}

	stranger, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	for range 5 {
		if err := authenticate(keys.sign(t, stranger, claims(nil))); !errors.Is(err, trigger.ErrForged) {
			t.Error(err)
		}
		if err := authenticate(keys.sign(t, keys.key, claims(nil))); err != nil {
			t.Error(err)
		}
	}
	if n := keys.fetched.Load(); n != 1 {
		t.Errorf("the keys were fetched %d times", n)
	}
}
