package gitwrite

import (
	"context"
	"errors"
	"fmt"
	"io/fs"

	"github.com/go-git/go-git/v5/plumbing"
)

// CacheTrouble is a mirror that could not be used as it was. It is only a cache, so the
// repository is read all the same.
type CacheTrouble struct {
	Repository string // without credentials
	Err        error
	InMemory   bool // the mirror is in memory from now on, otherwise it was made again
}

// String says what has happened, and what to do.
func (t CacheTrouble) String() string {
	done := "it was made again"
	if t.InMemory {
		done = "it is in memory until the next start; check git.cacheDir"
	}

	return fmt.Sprintf("repository %s: its mirror cannot be used: %v; %s", t.Repository, short(t.Err), done)
}

// trouble reports a mirror that could not be used.
func (s *Service) trouble(t CacheTrouble) {
	if s.options.OnCacheTrouble != nil {
		s.options.OnCacheTrouble(t)
	}
}

// mirrorError is an error of a mirror, and not of the server.
type mirrorError struct{ error }

// Unwrap returns the cause.
func (e *mirrorError) Unwrap() error { return e.error }

// local returns an error as one of a mirror; nil for nil.
func local(err error) error {
	if err == nil {
		return nil
	}

	return &mirrorError{err}
}

// isLocal reports whether the mirror is to blame for an error, and not the server: it is
// damaged, or its disk fails.
func isLocal(err error) bool {
	var mirror *mirrorError
	var file *fs.PathError

	return !isLimit(err) && (errors.As(err, &mirror) || errors.Is(err, plumbing.ErrObjectNotFound) ||
		errors.As(err, &file))
}

// Repair makes the mirror again if it is to blame for an error of a [Stage], and reports
// whether it is: read again, and use a new stage.
func (r *Repository) Repair(err error) bool {
	if !isLocal(err) {
		return false
	}

	r.mu.Lock()
	defer r.mu.Unlock()
	r.remake(err, false)

	return true
}

// remake makes the mirror again: in memory, if that is asked for or its disk fails. It
// reports what the mirror was to blame for, and where it is now.
func (r *Repository) remake(cause error, inMemory bool) {
	if !inMemory {
		if err := r.mirror.reset(); err != nil {
			cause, inMemory = err, true
		}
	}
	if inMemory {
		r.mirror.close()
		r.mirror.forget()
	}

	r.onTrouble(CacheTrouble{r.remote.public, cause, inMemory})
}

// recovered reads again, if the mirror was to blame for an error: once after it was made
// again, and once more from a mirror in memory.
func (r *Repository) recovered(
	ctx context.Context, read func(ctx context.Context) (*Snapshot, error),
) (*Snapshot, error) {
	snapshot, err := read(ctx)
	for _, inMemory := range []bool{false, true} {
		if !isLocal(err) || ctx.Err() != nil {
			break
		}
		r.remake(err, inMemory)
		snapshot, err = read(ctx)
	}

	return snapshot, err
}
