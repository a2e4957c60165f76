// Package secretfile reads files that somebody replaces while the program runs, as
// Kubernetes does with a Secret that is mounted: keys, tokens and secrets of webhooks
// take effect without a restart.
//
// Use [Open] for each file with a secret that the configuration names, and keep the
// [File]; ask [File.Current] whenever the secret is used.
package secretfile

import (
	"fmt"
	"os"
	"strings"
	"sync"
	"time"
)

const (
	// life is how long a value is used before its file is looked at again.
	life = 10 * time.Second
	// patience is how long a value that was refused is used before its file is read
	// again, whether or not it looks changed.
	patience = time.Minute
)

// File is a file, and the value that it holds. It may be used from several goroutines.
type File[T any] struct {
	name  string
	parse func([]byte) (T, error)
	now   func() time.Time

	mu      sync.Mutex
	value   T
	looked  time.Time // at the file
	refused time.Time // when it was read last because the value was refused
	info    os.FileInfo
}

// Open reads a file. The error is that of reading it, or of parse, which must not quote
// what the file holds.
func Open[T any](name string, parse func([]byte) (T, error)) (*File[T], error) {
	f := &File[T]{name: name, parse: parse, now: time.Now}
	if err := f.read(); err != nil {
		return nil, err
	}
	f.looked = f.now()

	return f, nil
}

// Fixed returns a file whose value never changes.
func Fixed[T any](value T) *File[T] { return &File[T]{value: value} }

// Current returns the value. It reads the file again if that has changed, at most every
// ten seconds. While the file cannot be read, the value stays.
func (f *File[T]) Current() T {
	f.mu.Lock()
	defer f.mu.Unlock()

	if f.name != "" && f.now().Sub(f.looked) >= life {
		f.looked = f.now()
		if info, err := os.Stat(f.name); err == nil && !f.sameAs(info) {
			_ = f.read() // the old value stays
		}
	}

	return f.value
}

// Refused returns the value after somebody has refused it: the file is read again, at
// most once a minute.
func (f *File[T]) Refused() T {
	f.mu.Lock()
	defer f.mu.Unlock()

	if f.name != "" && f.now().Sub(f.refused) >= patience {
		f.refused = f.now()
		_ = f.read()
	}

	return f.value
}

// sameAs reports whether the file is the one that was read last.
func (f *File[T]) sameAs(info os.FileInfo) bool {
	return os.SameFile(f.info, info) && info.ModTime().Equal(f.info.ModTime()) && info.Size() == f.info.Size()
}

func (f *File[T]) read() error {
	info, err := os.Stat(f.name)
	if err != nil {
		return err
	}
	data, err := os.ReadFile(f.name)
	if err != nil {
		return err
	}
	value, err := f.parse(data)
	if err != nil {
		return err
	}
	f.value, f.info = value, info

	return nil
}

// Text parses a file that holds one text; white space around it is ignored.
func Text(name string) func([]byte) (string, error) {
	return func(data []byte) (string, error) {
		text := strings.TrimSpace(string(data))
		if text == "" {
			return "", fmt.Errorf("%s is empty", name)
		}

		return text, nil
	}
}
