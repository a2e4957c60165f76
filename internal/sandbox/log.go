package sandbox

import (
	"bytes"
	"sync"
)

// Log is what programs say, to be read while they still say it.
type Log struct {
	mu   sync.Mutex
	said bytes.Buffer
}

// Write is for the programs' output.
func (l *Log) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.said.Write(p)
}

// String is all that was said so far.
func (l *Log) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.said.String()
}
