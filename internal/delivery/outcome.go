package delivery

import (
	"strings"

	"github.com/liverty-music/image-writeback/internal/image"
)

// Kind is the kind of result of a work.
type Kind int

// The kinds of outcomes.
const (
	// Unchanged: no change was needed, and there is nothing to report.
	Unchanged Kind = iota
	// Committed: a branch has a new commit.
	Committed
	// Proposed: a pull request was opened, or has a new commit.
	Proposed
	// Updated: an Application itself was changed.
	Updated
	// Waiting: a pull request with the changes waits to be merged.
	Waiting
	// Skipped: nothing was written, for the reason in Note.
	Skipped
	// Failed: Err says why.
	Failed
)

// Outcome is the result of one work.
type Outcome struct {
	Application string // namespace/name
	Kind        Kind
	Changes     []image.Change
	// Commit is the hash of the new commit; empty: no commit was needed.
	Commit string
	// PullRequestURL is the web page of the pull request; Opened is set if it is new.
	PullRequestURL string
	Opened         bool
	// ByPush says why a commit was pushed although the forge's API is configured to
	// create commits.
	ByPush string
	// Note says why nothing was written, if the reason is not an error.
	Note string
	Err  error
}

// Written reports whether something changed: a repository, or the Application itself.
func (o Outcome) Written() bool {
	switch o.Kind {
	case Committed, Updated:
		return true
	case Proposed:
		return o.Commit != ""
	default:
		return false
	}
}

// Name returns the name of the Application without its namespace.
func (o Outcome) Name() string {
	_, name, _ := strings.Cut(o.Application, "/")
	return name
}

// fail sets the error that is the reason why nothing was written.
func (o *Outcome) fail(err error) { o.Kind, o.Err, o.Commit = Failed, err, "" }

// skip sets the reason why nothing was written, if it is not an error. An empty note
// means that there is nothing to report.
func (o *Outcome) skip(note string) {
	o.Note = note
	if note != "" && o.Kind != Failed {
		o.Kind = Skipped
	}
}
