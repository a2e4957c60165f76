// Package forge asks GitHub and GitLab for what a git repository's own protocol
// does not have: a token to sign in with, the account's name for commits, and
// pull requests, which GitLab calls merge requests. It does what it is told and
// no more; when one is opened, brought up to date, commented on or closed is
// decided in internal/gitwrite.
package forge

import (
	"errors"
	"fmt"
	"net/http"
	"time"
)

// PullRequest is one as the forge tells of it.
type PullRequest struct {
	Number     int
	URL        string // for people
	Title      string
	Body       string
	Head, Base string // branches
	HeadSHA    string
	// Merged is known of closed ones only.
	Merged bool
	// Untouched tells that nothing has happened to it since it was opened.
	Untouched bool

	node  string // GitHub's id for GraphQL
	draft bool
}

// Proposal is a pull request to be opened.
type Proposal struct {
	Title, Body string
	Head, Base  string
	Labels      []string
	Reviewers   []string // logins, and teams as organization/team
	Assignees   []string
	Draft       bool
	AutoMerge   bool // merge as soon as all that the repository requires is there
}

// Error is a request that failed.
type Error struct {
	Repository string // such as "o/r at GitHub"
	Doing      string
	Err        error
	Remedy     string
}

// Error says it all in one line.
func (e *Error) Error() string {
	return fmt.Sprintf("repository %s: %s: %v; %s", e.Repository, e.Doing, e.Err, e.Remedy)
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// ErrConflict is a branch that is no longer where it was expected.
var ErrConflict = errors.New("the branch has moved")

// LimitedError is a rate limit that is used up for longer than one cycle
// should wait. Nothing is asked until then.
type LimitedError struct{ Until time.Time }

// Error names the time.
func (e *LimitedError) Error() string {
	return "the rate limit is used up until " + e.Until.UTC().Format("15:04:05 UTC")
}

// httpTransport is one of its own, with limits for a server that never answers.
func httpTransport() *http.Transport {
	t := http.DefaultTransport.(*http.Transport).Clone()
	t.MaxIdleConnsPerHost = 4
	t.ResponseHeaderTimeout = requestTimeout
	return t
}

const requestTimeout = 30 * time.Second

// Commit is one of a pull request.
type Commit struct {
	AuthorName, AuthorEmail       string
	CommitterName, CommitterEmail string
	Message                       string
}
