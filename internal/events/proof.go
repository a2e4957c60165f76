package events

import (
	"crypto/hmac"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"time"
)

// proof tells whether a message comes from who knows the secret.
type proof struct {
	// shown is what the sender showed before the body: the secret itself, or
	// a signature. Empty: nothing.
	shown func(m message) string
	valid func(shown string, body []byte, secret string) bool
}

var (
	// Docker Hub, Quay and Alibaba sign nothing: the secret is in the address.
	inQuery         = proof{secretInQuery, same}
	inQueryOrHeader = proof{func(m message) string { return first(secretInQuery(m), m.header.Get("X-Webhook-Secret")) }, same}
	// Harbor sends its secret as it is; Azure, any header that is asked for.
	inAuthorization = proof{func(m message) string { return m.header.Get("Authorization") }, func(shown string, _ []byte, secret string) bool {
		return equal(shown, secret) || equal(shown, "Bearer "+secret)
	}}
	// https://docs.github.com/en/webhooks/using-webhooks/validating-webhook-deliveries
	signed = proof{func(m message) string { return m.header.Get("X-Hub-Signature-256") }, func(shown string, body []byte, secret string) bool {
		mac := hmac.New(sha256.New, []byte(secret))
		_, _ = mac.Write(body)
		return equal(shown, "sha256="+hex.EncodeToString(mac.Sum(nil)))
	}}
)

func secretInQuery(m message) string {
	if given := m.query["secret"]; len(given) > 0 {
		return given[0]
	}
	return ""
}

func same(shown string, _ []byte, secret string) bool { return equal(shown, secret) }

// equal takes the same time wherever the two differ.
func equal(a, b string) bool { return subtle.ConstantTimeCompare([]byte(a), []byte(b)) == 1 }

// secretLife is how long a secret is used before its file is read again, so
// that one that is rotated counts without a restart.
const secretLife = 10 * time.Second

// Secret is what one type of webhooks proves itself with.
type Secret struct {
	file string
	mu   sync.Mutex
	text string
	read time.Time
}

// NewSecret returns a secret that is kept in a file, without white space
// around it. The error is for a file that cannot be read or holds none.
func NewSecret(file string) (*Secret, error) {
	s := &Secret{file: file}
	text, err := s.load()
	s.text, s.read = text, time.Now()
	return s, err
}

// FixedSecret returns a secret that never changes.
func FixedSecret(text string) *Secret { return &Secret{text: text} }

func (s *Secret) load() (string, error) {
	data, err := os.ReadFile(s.file)
	if err != nil {
		return "", err
	}
	text := strings.TrimSpace(string(data))
	if text == "" {
		return "", fmt.Errorf("%s is empty", s.file)
	}
	return text, nil
}

// current is the secret as its file has it; as it was, while the file cannot
// be read.
func (s *Secret) current(now time.Time) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.file != "" && now.Sub(s.read) > secretLife {
		s.read = now
		if text, err := s.load(); err == nil {
			s.text = text
		}
	}
	return s.text
}

var errForged = errors.New("it is not authentic")
