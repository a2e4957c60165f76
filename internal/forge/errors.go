package forge

import (
	"errors"
	"fmt"
	"time"
)

// Error is a request that failed.
type Error struct {
	Repository string // such as "o/r at GitHub"
	Doing      string // such as "opening the pull request"
	Err        error
	Remedy     string // what to do now
}

// Error says all of it in one line.
func (e *Error) Error() string {
	return fmt.Sprintf("repository %s: %s: %v; %s", e.Repository, e.Doing, e.Err, e.Remedy)
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// ErrConflict is a branch whose head is another one than was expected.
var ErrConflict = errors.New("the branch has moved")

// LimitedError is a rate limit that is used up for longer than a cycle should
// wait. Nothing is sent before Until.
type LimitedError struct{ Until time.Time }

// LimitedRemedy is what to do about a [LimitedError].
const LimitedRemedy = "the first cycle after that goes on"

// Error names the time.
func (e *LimitedError) Error() string {
	return "the rate limit is used up until " + e.Until.UTC().Format("15:04:05 UTC")
}
