// Package panics turns a panic into an error, so that a mistake of this program, or of a
// library, stops the work on one thing and not the process: one Application, repository,
// registry or message.
//
// Use [Try] around what is done for one of them, in each goroutine that is started for
// it: a panic is caught only in its own. Whoever gets an [Error] sets the thing aside and
// logs the stack once.
package panics

import (
	"fmt"
	"path"
	"runtime"
	"runtime/debug"
	"strings"
)

// Error is a panic.
type Error struct {
	what  string
	Stack string // of the goroutine, from where it panicked
}

// Error says what happened and where, and what to do. It quotes nothing but the
// runtime's own words: others may hold contents of files.
func (e *Error) Error() string {
	return "a mistake in this program: " + e.what + "; report it, with the stack if the log has one"
}

// Try calls do, and returns its results. If do panics, the error is an [*Error].
func Try[T any](do func() (T, error)) (result T, err error) {
	defer func() {
		if value := recover(); value != nil {
			err = newError(value)
		}
	}()

	return do()
}

func newError(value any) *Error {
	what := fmt.Sprintf("a panic with a %T", value)
	if failed, ok := value.(runtime.Error); ok {
		what = failed.Error()
	}

	return &Error{what: what + " at " + origin(), Stack: string(debug.Stack())}
}

// origin returns where the panic was, as PACKAGE/FILE:LINE.
func origin() string {
	callers := make([]uintptr, 32)
	frames := runtime.CallersFrames(callers[:runtime.Callers(1, callers)])
	panicking := false
	for {
		frame, more := frames.Next()
		if strings.HasPrefix(frame.Function, "runtime.") {
			panicking = true
		} else if panicking {
			return fmt.Sprintf("%s/%s:%d", path.Base(path.Dir(frame.File)), path.Base(frame.File), frame.Line)
		}
		if !more {
			return "an unknown place"
		}
	}
}
