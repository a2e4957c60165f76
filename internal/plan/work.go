package plan

import (
	"github.com/liverty-music/image-writeback/internal/image"
)

// Edit makes new content of old content, and returns what it changed. It is a
// pure function, since it may be called again on newer content. Without
// changes nothing is left to do.
type Edit func(old []byte) (content []byte, changes []image.Change, err error)

// Work is what one Application wants written to one file.
type Work struct {
	Application string // namespace/name
	Name        string // for messages: the Application's name
	Project     string // the Application's project
	Base        string // branch to commit to, or the base of the pull request
	// Write is another branch to commit to, made from Base where it does not
	// exist, or the head of the pull request.
	Write       string
	PullRequest *PullRequest // nil: commit; works with the same head share one
	File        string
	// Create allows for a file that does not exist: Edit is given nothing then.
	Create bool
	Edit   Edit
	// Planned are the changes that the plan was made with. A pull request that
	// somebody closed is recognised by them.
	Planned []image.Change
	// Settled reports that the base holds what is wanted, so that nothing is
	// edited: what is left is a pull request that nobody needs any more.
	Settled bool
	// Proposed reports that the head branch holds the file as it is to be; only
	// the pull request may need something.
	Proposed bool
}

// PullRequest is how a pull request is opened.
type PullRequest struct {
	Title string
	// Body is set only where it is needed: before the pull request is opened or
	// edited.
	Body string
	// Key changes whenever title and body would be different for the same changes.
	Key       string
	Labels    []string
	Reviewers []string
	Assignees []string
	Draft     bool
	AutoMerge bool // the head is rebuilt whenever the base has moved, so that it can be merged
	// OwnBranch is set where this program named the head branch: only this pull
	// request needs it.
	OwnBranch bool
}
