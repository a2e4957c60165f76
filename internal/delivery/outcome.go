package delivery

import (
	"strings"

	"github.com/liverty-music/image-writeback/internal/image"
)

// Kind says what became of a work.
type Kind int

// The kinds of outcomes.
const (
	// Unchanged: nothing was to be done, and there is nothing to say about it.
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

// Outcome is what became of one work.
type Outcome struct {
	Application string // namespace/name
	Kind        Kind
	Changes     []image.Change
	// Commit is the hash of the commit that was made; empty: none was needed.
	Commit string
	// PullRequestURL is where people look at the pull request; Opened is set where it
	// is new.
	PullRequestURL string
	Opened         bool
	// ByPush says why a commit was pushed although commits are to be made by the
	// forge's API.
	ByPush string
	// Note says why nothing was written, where no error is the reason.
	Note string
	Err  error
}

// Written reports whether anything was changed: in a repository, or in the
// Application itself.
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

// fail sets the reason why nothing was written.
func (o *Outcome) fail(err error) { o.Kind, o.Err, o.Commit = Failed, err, "" }

// skip sets the reason why nothing was written without an error. Without a note
// there is nothing to say.
func (o *Outcome) skip(note string) {
	o.Note = note
	if note != "" && o.Kind != Failed {
		o.Kind = Skipped
	}
}
