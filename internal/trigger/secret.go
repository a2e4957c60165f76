package trigger

import (
	"fmt"
	"os"
	"strings"
	"sync"
	"time"
)

// secretLife is how long a secret is used before its file is read again, so that
// a rotated secret takes effect without a restart.
const secretLife = 10 * time.Second

// Secret is what the senders of one type of webhooks know.
type Secret struct {
	file string

	mu   sync.Mutex
	text string
	read time.Time
}

// NewSecret returns a secret that is kept in a file. White space around it is
// ignored. The error means that the file cannot be read or is empty.
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

// current returns the secret as its file has it. While the file cannot be read,
// it returns the previous one.
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
