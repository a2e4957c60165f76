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

	gitssh "github.com/go-git/go-git/v5/plumbing/transport/ssh"

	"github.com/liverty-music/image-writeback/internal/forge"
	"github.com/liverty-music/image-writeback/internal/giturl"
	"github.com/liverty-music/image-writeback/internal/image"
	"github.com/liverty-music/image-writeback/internal/plan"
)

// Options are the settings of a Service.
type Options struct {
	// CacheDir keeps mirrors between runs; empty: in memory.
	CacheDir string
	Author   Signature // empty fields: the GitHub App's bot, else image-writeback
	SignOff  bool
	Signer   *Signer // nil: commits are not signed
	// Combined makes one commit for all works on a branch.
	Combined bool
	// CommitViaAPI has a forge that is a [forge.Committer] make the commits.
	CommitViaAPI bool
	Message      *Message
	// Forge returns where the pull requests of a repository live, and nil where that
	// is not a forge that config.yaml signs in to. nil: there is none.
	Forge func(address giturl.Address) Forge
	// Credentials finds those of a repository that is not GitHub's, or for
	// which the Application names others. Scoped tells whether they differ from
	// project to project; nil: they do not.
	Credentials func(ctx context.Context, access Access) (Credentials, error)
	Scoped      func(ctx context.Context, url string) bool
	Now         func() time.Time
}

// Signature is the name and address of an author.
type Signature struct{ Name, Email string }

// Forge is where the pull requests of a repository live.
type Forge = forge.Repository

// Service opens repositories and keeps them for the next cycle.
type Service struct {
	options Options

	mu    sync.Mutex
	repos map[identity]*Repository
}

// New returns a Service.
func New(options Options) *Service {
	if options.Now == nil {
		options.Now = time.Now
	}
	return &Service{options: options, repos: map[identity]*Repository{}}
}

// Repository is one remote repository, reached with one set of credentials.
type Repository struct {
	options Options
	remote  *remote
	forge   Forge // nil: no pull requests here

	mu     sync.Mutex // one cycle at a time
	mirror *mirror
	heads  known
	// seen is how pull requests were left, by their head branch.
	seen map[string]sighting
}

// identity is the same for all spellings of a repository's address, as long as
// the same credentials are used for it.
type identity struct {
	address        string
	user, password string // from the address itself
	from, project  string
}

// identify returns the identity of the repository that access names.
func (s *Service) identify(ctx context.Context, access Access) identity {
	address := giturl.Parse(access.URL)
	byForge := access.From == "" && s.forge(address) != nil
	if byForge { // signs in itself, and by HTTPS alone
		return identity{address: giturl.Parse(address.HTTPS()).ProtocolKey()}
	}

	id := identity{address: address.ProtocolKey(), from: access.From, project: access.Project}
	id.user, id.password = address.Login()
	if address.Protocol() == "ssh" && id.user == "" {
		id.user = gitssh.DefaultUsername
	}
	_, _, named := access.secret()
	if named || s.options.Scoped == nil || !s.options.Scoped(ctx, access.URL) {
		id.project = ""
	}
	return id
}

// Open returns the repository that access names: the same one for every
// spelling of its address, and for all projects but those that have
// credentials of their own for it.
func (s *Service) Open(ctx context.Context, access Access) (*Repository, error) {
	key := s.identify(ctx, access)
	access.Project = key.project

	s.mu.Lock()
	defer s.mu.Unlock()
	if r, ok := s.repos[key]; ok {
		return r, nil
	}
	remote, at, err := s.connect(access)
	if err != nil {
		return nil, err
	}
	m, err := openMirror(s.options.CacheDir, remote.public)
	if err != nil {
		return nil, fmt.Errorf("repository %s: git.cacheDir: %w", remote.public, err)
	}
	r := &Repository{options: s.options, remote: remote, forge: at, mirror: m, seen: map[string]sighting{}}
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
func (r *Repository) TakesPullRequests() bool { return r.forge != nil }

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

// What is to be written; see package plan.
type (
	Work        = plan.Work
	PullRequest = plan.PullRequest
	Edit        = plan.Edit
)

// Outcome is what became of one Work.
type Outcome struct {
	Application string
	Commit      string // empty: none was needed
	Changes     []image.Change
	// PullRequestURL is where a person looks at it; Opened tells that it is new.
	PullRequestURL string
	Opened         bool
	// Patched tells that an Application itself was changed, and no repository.
	Patched bool
	// ByPush says why a commit was pushed though the API was asked for.
	ByPush string
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
