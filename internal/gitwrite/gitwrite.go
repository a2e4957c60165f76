// Package gitwrite reads and writes git repositories without a work tree: it
// asks for the heads of branches, fetches the newest commits with their trees
// and just the files to edit, builds blobs, trees and one commit for each
// Application, and pushes all of them at once, straight to a branch or as the
// head of a pull request.
//
// Nothing is ever lost to a race: each push names the head that it was made
// from, and where somebody else was faster the edits are made anew on the new
// head. Correctness rests on the remote alone; what is kept between cycles, in
// memory or in a folder, only saves requests and may vanish at any moment.
package gitwrite

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/go-git/go-git/v5/plumbing"
)

// Options are the settings of a Service.
type Options struct {
	// CacheDir keeps mirrors between runs; empty: in memory.
	CacheDir string
	Author   Signature // empty fields: the GitHub App's bot, else image-writeback
	SignOff  bool
	Signer   *Signer // nil: commits are not signed
	Message  *Message
	GitHub   *GitHub // nil: no App and no token is configured
	// Credentials finds those of a repository that is not GitHub's, or for
	// which the Application names others. Scoped tells whether they differ from
	// project to project; nil: they do not.
	Credentials func(ctx context.Context, access Access) (Credentials, error)
	Scoped      func(ctx context.Context, url string) bool
	Now         func() time.Time
}

// Signature is the name and address of an author.
type Signature struct{ Name, Email string }

// Service opens repositories and keeps them for the next cycle.
type Service struct {
	options Options

	mu    sync.Mutex
	repos map[string]*Repository
}

// New returns a Service.
func New(options Options) *Service {
	if options.Now == nil {
		options.Now = time.Now
	}
	return &Service{options: options, repos: map[string]*Repository{}}
}

// Repository is one remote repository, reached with one set of credentials.
type Repository struct {
	options Options
	remote  *remote
	github  *hubRepository // nil: no pull requests here

	mu     sync.Mutex // one cycle at a time
	mirror *mirror
	// confirmed holds the head branches whose pull request was seen to be
	// open, with the commit that it was seen at.
	confirmed map[string]plumbing.Hash
}

// identity is the same for spellings of an address that every git server
// takes for the same repository: a slash or .git at its end.
func identity(url string) string {
	return strings.TrimSuffix(strings.TrimRight(url, "/"), ".git")
}

// Open returns the repository that access names: the same one for every
// spelling of its address, and for all projects but those that have
// credentials of their own for it.
func (s *Service) Open(ctx context.Context, access Access) (*Repository, error) {
	named := strings.HasPrefix(access.From, "secret:")
	if named || access.From == "" && s.hub(access.URL) != nil || s.options.Scoped == nil || !s.options.Scoped(ctx, access.URL) {
		access.Project = ""
	}
	key := identity(access.URL) + " " + access.From + " " + access.Project
	s.mu.Lock()
	defer s.mu.Unlock()
	if r, ok := s.repos[key]; ok {
		return r, nil
	}
	remote, hub, err := s.connect(access)
	if err != nil {
		return nil, err
	}
	m, err := openMirror(s.options.CacheDir, remote.public)
	if err != nil {
		return nil, fmt.Errorf("repository %s: git.cacheDir: %w", remote.public, err)
	}
	r := &Repository{options: s.options, remote: remote, github: hub, mirror: m, confirmed: map[string]plumbing.Hash{}}
	s.repos[key] = r
	return r, nil
}

// Close releases the mirrors.
func (s *Service) Close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, r := range s.repos {
		r.mirror.close()
	}
}

// URL is the repository's address without credentials.
func (r *Repository) URL() string { return r.remote.public }

// TakesPullRequests tells whether pull requests can be opened here.
func (r *Repository) TakesPullRequests() bool { return r.github != nil }

// Errors that callers tell apart. The message always says what to do.
var (
	ErrNoBranch = errors.New("there is no such branch")
	ErrNoFile   = errors.New("there is no such file")
	ErrSymlink  = errors.New("a symbolic link is in the way")
)

// Error is an operation on a repository that failed.
type Error struct {
	Repository string // without credentials
	Doing      string
	Err        error
	Remedy     string
}

// Error says it all in one line.
func (e *Error) Error() string {
	s := fmt.Sprintf("repository %s: %s: %v", e.Repository, e.Doing, e.Err)
	if e.Remedy != "" {
		s += "; " + e.Remedy
	}
	return s
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// Change is one image that a commit sets.
type Change struct {
	File  string
	Image string // as the manifest names it
	Alias string // what people call it
	Old   string // empty: the file did not set it
	New   string
}

// Before is the old version for people; no tag can have parentheses.
func (c Change) Before() string {
	if c.Old == "" {
		return "(none)"
	}
	return c.Old
}

// Edit makes new content of old content, and says what it changed. It is a
// pure function, since it may be called again on newer content. No changes:
// there is nothing left to do.
type Edit func(old []byte) (content []byte, changes []Change, err error)

// Work is what one Application wants written.
type Work struct {
	Application string // namespace/name
	Name        string // for messages: the Application's name
	Base        string // branch to commit to, or the base of the pull request
	// Write is another branch to commit to, made from Base where it does not
	// exist, or the head of the pull request.
	Write       string
	PullRequest *PullRequest // nil: commit
	File        string
	// Create allows for a file that does not exist: Edit is given nothing then.
	Create bool
	Edit   Edit
	// Planned are the changes as the plan has them, by which a pull request
	// that somebody closed is known again.
	Planned []Change
	// Proposed tells that the head branch holds the change already; only the
	// pull request is to be seen to.
	Proposed bool
}

// PullRequest tells how to open one.
type PullRequest struct {
	Title  func([]Change) string
	Body   func([]Change) string
	Labels []string
	Draft  bool
}

// Outcome is what became of one Work.
type Outcome struct {
	Application string
	Commit      string // empty: none was needed
	Changes     []Change
	// PullRequestURL is where a person looks at it; Opened tells that it is new.
	PullRequestURL string
	Opened         bool
	// Patched tells that an Application itself was changed, and no repository.
	Patched bool
	// Note says why nothing was written, where nothing was and no error is the reason.
	Note string
	Err  error
}

// Written tells whether anything was changed: in a repository, or in the
// Application itself.
func (o Outcome) Written() bool {
	return o.Err == nil && len(o.Changes) > 0 && (o.Commit != "" || o.Patched)
}

// Name is the Application's without its namespace.
func (o Outcome) Name() string {
	_, name, _ := strings.Cut(o.Application, "/")
	return name
}
