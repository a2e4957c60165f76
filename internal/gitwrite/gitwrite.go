// Package gitwrite is a git repository without a work tree, and nothing more.
//
// A [Service] opens repositories. [Repository.Read] asks for the heads of branches,
// and fetches the newest commits with their trees and only the files to edit. A
// [Stage] makes files, trees and commits, and [Repository.Push] sends all of them
// at once. What is written, and what happens after a lost race, is decided in
// package delivery.
//
// A race loses nothing: each push names the head that it was made from, and is not
// accepted on another one. Correctness depends on the remote alone. What is kept
// between cycles, in memory or in a folder, only saves requests and may vanish at
// any moment.
package gitwrite

import (
	"context"
	"errors"
	"fmt"
	"sync"

	gitssh "github.com/go-git/go-git/v5/plumbing/transport/ssh"

	"github.com/liverty-music/image-writeback/internal/giturl"
)

// Options are the settings of a [Service].
type Options struct {
	// CacheDir keeps mirrors between runs; empty: in memory.
	CacheDir string
	// Login returns how a forge signs in to a repository. It returns nil for a
	// repository that is not at a forge with credentials. nil: none is.
	Login func(address giturl.Address) Login
	// Credentials returns those of any other repository, and of one for which the
	// Application names a Secret; nil: there are none.
	Credentials func(ctx context.Context, access Access) (Credentials, error)
	// Scoped reports whether the credentials of a repository differ from project to
	// project; nil: they do not.
	Scoped func(ctx context.Context, url string) bool
}

// Signature is the name and the email address of an author.
type Signature struct{ Name, Email string }

// Service opens repositories, and keeps them for the next cycle.
type Service struct {
	options Options

	mu    sync.Mutex
	repos map[identity]*Repository
}

// New returns a Service.
func New(options Options) *Service {
	return &Service{options: options, repos: map[identity]*Repository{}}
}

// Repository is one remote repository, reached with one set of credentials.
type Repository struct {
	remote *remote

	mu     sync.Mutex // guards what follows, and the heads that snapshots share with it
	mirror *mirror
	kept   keptHeads
}

// identity is the same for all spellings of the address of a repository, as long as
// the same credentials are used for it.
type identity struct {
	address        string
	user, password string // from the address itself
	from, project  string
}

// identify returns the identity of the repository that access names.
func (s *Service) identify(ctx context.Context, access Access) identity {
	address := giturl.Parse(access.URL)
	if s.login(access) != nil { // the forge signs in, and by HTTPS alone
		return identity{address: giturl.Parse(address.HTTPS()).ProtocolKey()}
	}

	id := identity{address: address.RemoteKey(), from: access.From, project: access.Project}
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

// Open returns the repository that access names: the same one for every spelling of
// its address, and for all projects but those that have credentials of their own for
// it. It sends no request. The error is for an address that cannot be used.
func (s *Service) Open(ctx context.Context, access Access) (*Repository, error) {
	key := s.identify(ctx, access)
	access.Project = key.project

	s.mu.Lock()
	defer s.mu.Unlock()
	if r, ok := s.repos[key]; ok {
		return r, nil
	}

	remote, err := s.connect(access)
	if err != nil {
		return nil, err
	}

	m, err := openMirror(s.options.CacheDir, remote.public)
	if err != nil {
		return nil, fmt.Errorf("repository %s: opening its mirror in the cache directory: %w", remote.public, err)
	}

	r := &Repository{remote: remote, mirror: m}
	s.repos[key] = r
	return r, nil
}

// Close releases the mirrors for other processes.
func (s *Service) Close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, r := range s.repos {
		r.mirror.close()
	}
}

// URL returns the address of the repository without credentials.
func (r *Repository) URL() string { return r.remote.public }

// What [Snapshot.File] and [Stage.ReadFile] did not find. Others wrap these errors and
// say what to do.
var (
	ErrNoBranch = errors.New("there is no such branch")
	ErrNoFile   = errors.New("there is no such file")
	ErrSymlink  = errors.New("a symbolic link is not followed")
)

// Error is an operation on a repository that failed.
type Error struct {
	Repository string // without credentials
	Doing      string // such as "pushing to main"
	Err        error
	Remedy     string // what to do now
}

// Error says all of it in one line.
func (e *Error) Error() string {
	s := fmt.Sprintf("repository %s: %s: %v", e.Repository, e.Doing, e.Err)
	if e.Remedy != "" {
		s += "; " + e.Remedy
	}
	return s
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }
