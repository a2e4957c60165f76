// Package gitwrite reads and writes git repositories without a work tree, and does
// nothing else.
//
// A [Service] opens repositories. [Repository.Read] reads the heads of branches, and
// fetches the newest commits with their trees and only the files to edit. A [Stage]
// creates files, trees and commits, and [Repository.Push] sends all of them at once.
// Package delivery decides what is written, and what happens after a lost race.
//
// A race loses nothing: each push names the head that it is based on, and the server
// rejects it if the branch has moved. Correctness depends on the remote alone. The
// state that is kept between cycles, in memory or in a folder, only saves requests
// and may be lost at any time.
package gitwrite

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	gitssh "github.com/go-git/go-git/v5/plumbing/transport/ssh"

	"github.com/liverty-music/image-writeback/internal/giturl"
	"github.com/liverty-music/image-writeback/internal/httpclient"
	"github.com/liverty-music/image-writeback/internal/limit"
)

// Options are the settings of a [Service].
type Options struct {
	// CacheDir keeps mirrors between runs; empty: in memory.
	CacheDir string
	// Login returns the forge's login for a repository. It returns nil if no forge with
	// credentials has the repository. nil: no forge is configured.
	Login func(address giturl.Address) Login
	// Credentials returns the credentials of a repository without such a login, or for
	// which the Application names credentials; nil: all access is anonymous.
	Credentials func(ctx context.Context, access Access) (Credentials, error)
	// Scoped reports whether the credentials of a repository differ from project to
	// project; nil: they do not.
	Scoped func(ctx context.Context, url string) bool
	// Guard decides to which addresses connections may be opened; nil: to all.
	Guard *httpclient.Guard
	// Limits bound what servers may send; zero: DefaultLimits.
	Limits Limits
	// OnCacheTrouble is called when a mirror cannot be used as it was; nil: it is not.
	OnCacheTrouble func(CacheTrouble)
}

// Signature is the name and the email address of an author.
type Signature struct{ Name, Email string }

// Service opens repositories, and keeps them for the next cycle.
type Service struct {
	options Options
	limits  *limits

	mu    sync.Mutex // held while a repository is opened
	repos *limit.Cache[identity, *Repository]
	tidy  time.Time // when the cache folder was tidied last
}

// New returns a Service.
func New(options Options) *Service {
	s := &Service{options: options, limits: newLimits(options.Limits)}
	s.repos = limit.NewCache[identity, *Repository](s.limits.Memory)
	s.repos.OnEvict(func(_ identity, r *Repository) { r.close() })

	return s
}

// Repository is one remote repository, reached with one set of credentials.
type Repository struct {
	remote *remote

	onTrouble func(CacheTrouble)
	// resize notes how many bytes the repository needs between cycles.
	resize func(bytes int64)

	mu     sync.Mutex // guards the fields below, and the heads that snapshots share
	mirror *mirror
	kept   keptHeads
	closed atomic.Bool // its mirror is not kept after its use

	outdated atomic.Bool // the heads that are kept are not to be used
}

// lock begins to use the repository. Call the function that it returns at the end.
func (r *Repository) lock() (unlock func()) {
	r.mu.Lock()

	return func() {
		r.mirror.rest()
		size := repositorySize + r.mirror.size() + r.kept.size()
		if r.closed.Load() {
			r.drop()
		}
		r.mu.Unlock()
		r.resize(size)
	}
}

// repositorySize is about how many bytes a repository needs besides its objects.
const repositorySize = 4 << 10

// close unlocks the mirror. A repository that is in use is closed after that.
func (r *Repository) close() {
	r.closed.Store(true)
	if r.mu.TryLock() {
		defer r.mu.Unlock()
		r.drop()
	}
}

// drop frees the memory of a repository that is not kept. If it is still used, its
// mirror is in memory from now on.
func (r *Repository) drop() {
	r.mirror.close()
	r.mirror.forget()
	r.kept = keptHeads{}
}

// identity is the same for all spellings of a repository's address, as long as the
// credentials are the same.
type identity struct {
	address        string
	user, password string // from the address itself
	from, project  string
	vouched        bool
}

// identify returns the identity of the repository that access names.
func (s *Service) identify(ctx context.Context, access Access) identity {
	address := giturl.Parse(access.URL)
	if s.login(access) != nil { // a forge's login works over HTTPS only
		return identity{address: giturl.Parse(address.HTTPS()).ProtocolKey()}
	}

	id := identity{
		address: address.RemoteKey(), from: access.From, project: access.Project, vouched: access.Vouched,
	}
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

// Open returns the repository that access names. It returns the same repository for
// every spelling of the address, and for all projects that do not have separate
// credentials for it. It sends no request. It returns an error if the address cannot
// be used.
func (s *Service) Open(ctx context.Context, access Access) (*Repository, error) {
	key := s.identify(ctx, access)
	access.Project = key.project

	s.mu.Lock()
	defer s.mu.Unlock()
	if r, ok := s.repos.Get(key); ok {
		return r, nil
	}

	remote, err := s.connect(access)
	if err != nil {
		return nil, err
	}

	if now := time.Now(); s.options.CacheDir != "" && now.Sub(s.tidy) > tidyEvery {
		s.tidy = now
		tidy(s.options.CacheDir, now, mostOnDisk)
	}
	m, err := openMirror(s.options.CacheDir, remote.public, s.limits)
	if err != nil {
		s.trouble(CacheTrouble{remote.public, err, true})
		if m, err = openMirror("", remote.public, s.limits); err != nil {
			return nil, err // does not happen: memory has no errors
		}
	}
	if m.remade != nil {
		s.trouble(CacheTrouble{remote.public, m.remade, false})
	}

	r := &Repository{remote: remote, mirror: m, onTrouble: s.trouble}
	r.resize = func(bytes int64) { s.repos.Resize(key, bytes) }
	s.repos.Put(key, r, repositorySize+m.size())
	return r, nil
}

// Close unlocks the mirrors, so that other processes can use them.
func (s *Service) Close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, r := range s.repos.All {
		r.close()
	}
}

// URL returns the address of the repository without credentials.
func (r *Repository) URL() string { return r.remote.public }

// The reasons why [Snapshot.File] and [Stage.ReadFile] return no file. Callers wrap
// these errors and add a remedy.
var (
	ErrNoBranch = errors.New("there is no such branch")
	ErrNoFile   = errors.New("there is no such file")
	ErrSymlink  = errors.New("a symbolic link is not followed")
)

// Error is the error of an operation on a repository.
type Error struct {
	Repository string // without credentials
	Doing      string // such as "pushing to main"
	Err        error
	Remedy     string // what to do now
}

// Error returns all fields in one line.
func (e *Error) Error() string {
	s := fmt.Sprintf("repository %s: %s: %v", e.Repository, e.Doing, e.Err)
	if e.Remedy != "" {
		s += "; " + e.Remedy
	}
	return s
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }
