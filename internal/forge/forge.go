// Package forge is the contract of a forge: what GitHub and GitLab have beside a
// git repository. That is a token to sign in with, the account's name for
// commits, and pull requests, which GitLab calls merge requests.
//
// A [Client] is an account at one forge, and a [Repository] is one repository
// there. Packages github and gitlab implement both; a new forge is one more such
// package, which passes the suite of package forgetest, and one line in the table
// of internal/cli. What is shared by all of them is here: errors, rate limits and
// the connection.
//
// A forge does what it is asked and decides nothing: when a pull request is
// opened, updated, commented on or closed is decided where it is called.
package forge

import (
	"context"

	"github.com/liverty-music/image-writeback/internal/giturl"
)

// Client is an account at one forge.
type Client interface {
	// Repository returns the repository that an address names: the same one for
	// every spelling. It returns nil for an address that is not at this forge, and
	// sends no request.
	Repository(address giturl.Address) Repository
	// CheckLogin returns an error if the account's login must not be sent to the
	// address of a repository that is here: it is sent by HTTPS, at HTTPS's own port or
	// at the API's, or else exactly as the API is reached. An address of SSH is that of
	// HTTPS here. The error says how to write the address.
	CheckLogin(address giturl.Address) error
}

// Repository is one repository at a forge. Its methods may be called from several
// goroutines at once.
//
// Every error is an [*Error], which says what was asked and what to do now, and
// quotes no credentials. It wraps a [*LimitedError] where the rate limit is used
// up for longer than a request waits for it; nothing is sent until then.
type Repository interface {
	// Login returns the user and the password by which git signs in at the HTTPS
	// address of the repository. They are valid for some minutes at least. refused is a
	// password of it that the server has refused, or empty: another one is returned
	// then, if there is one.
	Login(ctx context.Context, refused string) (user, password string, err error)
	// Author returns the name and the email address of the account, as the forge
	// shows them at commits. Both are empty where the forge does not say.
	Author(ctx context.Context) (name, email string)

	// OpenPullRequests returns all that are open and whose head is a branch of this
	// repository, in any order.
	OpenPullRequests(ctx context.Context) ([]PullRequest, error)
	// ClosedPullRequests returns those of one head that are closed or merged, newest
	// first; of more than a hundred, the newest hundred.
	ClosedPullRequests(ctx context.Context, head string) ([]PullRequest, error)
	// Create opens a pull request from one branch of the repository to another. A
	// forge may leave out what [Repository.Complete] adds.
	Create(ctx context.Context, p Proposal) (PullRequest, error)
	// Complete adds to a new pull request what Create could not say: labels,
	// assignees, reviewers, and that it is merged as soon as it can be. It may be
	// called again after an error.
	Complete(ctx context.Context, pr PullRequest, p Proposal) error
	// Edit sets title, body and base. A draft stays a draft.
	Edit(ctx context.Context, pr PullRequest, title, body, base string) error
	// Close closes without merging, and sets the body.
	Close(ctx context.Context, pr PullRequest, body string) error
	// CommentOnce comments with text, which contains the mark. It does nothing where
	// a comment contains the mark already.
	CommentOnce(ctx context.Context, pr PullRequest, mark, text string) error
	// Commits returns the commits of a pull request in any order; at GitHub 250 at
	// most.
	Commits(ctx context.Context, pr PullRequest) ([]Commit, error)

	// Compare returns the commits that one commit or branch has and another has not.
	Compare(ctx context.Context, from, to string) (Comparison, error)
}

// Committer is a [Repository] that makes commits without git's protocol. GitHub
// signs these.
type Committer interface {
	// Commit sets files on a branch whose head is head, in one commit, and returns
	// its hash. The error wraps [ErrConflict] where the head is another one by now.
	Commit(ctx context.Context, branch, head, message string, files map[string][]byte) (hash string, err error)
}

// PullRequest is a pull request as the forge describes it.
type PullRequest struct {
	Number     int
	ID         string // the forge's own, where it needs more than the number
	URL        string // for people
	Title      string // without what the forge marks drafts with
	Body       string
	Head, Base string // branches
	HeadSHA    string
	Draft      bool
	Merged     bool // set for closed ones only
	// Untouched is set where nothing has happened since it was opened.
	Untouched bool
}

// Proposal is a pull request to be opened.
type Proposal struct {
	Title, Body string
	Head, Base  string // branches
	Labels      []string
	Reviewers   []string // logins, and teams as ORGANIZATION/TEAM
	Assignees   []string // logins
	Draft       bool
	AutoMerge   bool // merge as soon as all that the repository requires is there
}

// Commit is a commit of a pull request.
type Commit struct {
	AuthorName, AuthorEmail       string
	CommitterName, CommitterEmail string
	Message                       string
}

// Comparison is what lies between two commits.
type Comparison struct {
	URL     string           // for people
	Commits []ComparedCommit // newest first, MostCompared at most
	Total   int              // of commits
}

// MostCompared bounds the commits of a [Comparison].
const MostCompared = 20

// ComparedCommit is a commit between two others.
type ComparedCommit struct{ SHA, Subject, URL string }
