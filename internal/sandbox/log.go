package sandbox

import (
	"bytes"
	"sync"
)

// Log is the output of programs. It can be read while they run.
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

// String is the output so far.
func (l *Log) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.said.String()
}
