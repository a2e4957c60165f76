package gitwrite

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/protocol/packp"
	"github.com/go-git/go-git/v5/plumbing/protocol/packp/capability"
	"github.com/go-git/go-git/v5/plumbing/protocol/packp/sideband"
	"github.com/go-git/go-git/v5/plumbing/transport"

	"github.com/liverty-music/image-writeback/internal/forge"
)

// Time limits, so that a server that never answers ends a cycle and not the
// service. A fetch or a push may move much data over a slow line.
const (
	advertiseTimeout = 30 * time.Second
	transferTimeout  = 5 * time.Minute
)

// remote speaks git's protocol with one repository.
type remote struct {
	way    func(ctx context.Context) (*way, error)
	public string // the address without credentials
	// noBlobWants is learned: the server does not hand out single blobs.
	noBlobWants bool
}

// heads is what a reference advertisement tells.
type heads struct {
	branches      map[string]plumbing.Hash
	defaultBranch string
	filter        bool // partial clone, and single objects on demand
	shallow       bool
}

// advertise asks for the heads of all branches.
func (r *remote) advertise(ctx context.Context) (*heads, error) {
	ctx, cancel := context.WithTimeout(ctx, advertiseTimeout)
	defer cancel()
	session, err := r.uploadPack(ctx)
	if err != nil {
		return nil, r.failed("reading its branches", err)
	}
	defer func() { _ = session.Close() }()
	refs, err := session.AdvertisedReferencesContext(ctx)
	if err != nil {
		return nil, r.failed("reading its branches", err)
	}
	h := &heads{branches: map[string]plumbing.Hash{}}
	for name, hash := range refs.References {
		if branch, ok := strings.CutPrefix(name, "refs/heads/"); ok {
			h.branches[branch] = hash
		}
	}
	for _, target := range refs.Capabilities.Get(capability.SymRef) {
		if branch, ok := strings.CutPrefix(target, "HEAD:refs/heads/"); ok {
			h.defaultBranch = branch
		}
	}
	h.shallow = refs.Capabilities.Supports(capability.Shallow)
	h.filter = refs.Capabilities.Supports(capability.Filter) && refs.Capabilities.Supports(capability.AllowReachableSHA1InWant) && !r.noBlobWants
	return h, nil
}

// signedIn is the way to the repository, with what signs requests on it, and an
// endpoint that a session may change on a redirect.
func (r *remote) signedIn(ctx context.Context) (*way, *transport.Endpoint, transport.AuthMethod, error) {
	w, err := r.way(ctx)
	if err != nil {
		return nil, nil, nil, err
	}
	auth, err := w.auth(ctx)
	endpoint := *w.endpoint
	return w, &endpoint, auth, err
}

func (r *remote) uploadPack(ctx context.Context) (transport.UploadPackSession, error) {
	w, endpoint, auth, err := r.signedIn(ctx)
	if err != nil {
		return nil, err
	}
	return w.transport.NewUploadPackSession(endpoint, auth)
}

func (r *remote) receivePack(ctx context.Context) (transport.ReceivePackSession, error) {
	w, endpoint, auth, err := r.signedIn(ctx)
	if err != nil {
		return nil, err
	}
	return w.transport.NewReceivePackSession(endpoint, auth)
}

// fetchRequest is one request for objects.
type fetchRequest struct {
	wants    []plumbing.Hash
	haves    []plumbing.Hash
	shallows []plumbing.Hash
	depth    int  // 0: no limit
	noBlobs  bool // commits and trees alone
}

// fetch streams a pack into store, and returns the new ends of the history.
func (r *remote) fetch(ctx context.Context, request fetchRequest, store func(io.Reader) error) (*packp.ShallowUpdate, error) {
	ctx, cancel := context.WithTimeout(ctx, transferTimeout)
	defer cancel()
	session, err := r.uploadPack(ctx)
	if err != nil {
		return nil, r.failed("fetching", err)
	}
	defer func() { _ = session.Close() }()
	pack := packp.NewUploadPackRequest()
	capabilities := []capability.Capability{capability.Sideband64k, capability.OFSDelta}
	pack.Wants, pack.Haves = request.wants, request.haves
	if request.depth > 0 {
		pack.Depth, pack.Shallows = packp.DepthCommits(request.depth), request.shallows
		capabilities = append(capabilities, capability.Shallow)
	}
	if request.noBlobs {
		pack.Filter = packp.FilterBlobNone()
		capabilities = append(capabilities, capability.Filter)
	}
	for _, c := range capabilities {
		if err := pack.Capabilities.Set(c); err != nil {
			return nil, r.failed("fetching", err)
		}
	}
	response, err := session.UploadPack(ctx, pack)
	if err != nil {
		return nil, r.failed("fetching", err)
	}
	defer func() { _ = response.Close() }()
	if err := store(sideband.NewDemuxer(sideband.Sideband64k, response)); err != nil {
		return nil, r.failed("fetching", err)
	}
	return &response.ShallowUpdate, nil
}

// refUpdate moves one branch from one head to another. Old is zero for a new
// branch, new for one to be deleted; the server refuses where the branch is
// elsewhere by then.
type refUpdate struct {
	branch   string
	old, new plumbing.Hash
}

var errNotUnpacked = errors.New("the server could not unpack the push")

// push sends a pack, where there is one, and moves branches. It returns what the server said of
// each branch it refused; the error is for a push that failed as a whole.
func (r *remote) push(ctx context.Context, updates []refUpdate, pack []byte) (refused map[string]string, err error) {
	ctx, cancel := context.WithTimeout(ctx, transferTimeout)
	defer cancel()
	session, err := r.receivePack(ctx)
	if err != nil {
		return nil, r.failed("pushing", err)
	}
	defer func() { _ = session.Close() }()
	request := packp.NewReferenceUpdateRequest()
	capabilities := []capability.Capability{capability.ReportStatus, capability.Sideband64k}
	if slices.ContainsFunc(updates, func(u refUpdate) bool { return u.new.IsZero() }) {
		capabilities = append(capabilities, capability.DeleteRefs)
	}
	for _, c := range capabilities {
		if err := request.Capabilities.Set(c); err != nil {
			return nil, r.failed("pushing", err)
		}
	}
	for _, u := range updates {
		request.Commands = append(request.Commands, &packp.Command{Name: plumbing.NewBranchReferenceName(u.branch), Old: u.old, New: u.new})
	}
	if len(pack) > 0 {
		request.Packfile = io.NopCloser(bytes.NewReader(pack))
	}
	var said bytes.Buffer
	request.Progress = &said
	report, err := session.ReceivePack(ctx, request)
	if report == nil {
		if err == nil {
			err = errors.New("the server did not report on the push")
		}
		return nil, r.failed("pushing", err)
	}
	if report.UnpackStatus != "ok" {
		return nil, r.failed("pushing", fmt.Errorf("%w: %s", errNotUnpacked, report.UnpackStatus))
	}
	refused = map[string]string{}
	for _, status := range report.CommandStatuses {
		if status.Status != "ok" {
			refused[status.ReferenceName.Short()] = strings.TrimSpace(status.Status + ". " + serverWords(said.String()))
		}
	}
	return refused, nil
}

// serverWords is what a hook or a protection rule said, in one line.
func serverWords(s string) string {
	words := strings.Join(strings.Fields(s), " ")
	if len(words) > 300 {
		words = words[:300] + "…"
	}
	return words
}

// failed puts a transport's error in words, with what to do.
func (r *remote) failed(doing string, err error) error {
	e := &Error{Repository: r.public, Doing: doing, Err: err}
	var already *Error
	var byForge *forge.Error
	var failed *url.Error
	switch {
	case errors.As(err, &already), errors.As(err, &byForge):
		return err
	case errors.Is(err, transport.ErrAuthenticationRequired):
		e.Err, e.Remedy = errors.New("the server asks for credentials, or refuses ours"), "configure a GitHub App or a token under github: in config.yaml, or name a Secret in write-back-method: git:secret:NAMESPACE/NAME"
	case errors.Is(err, transport.ErrAuthorizationFailed):
		e.Err, e.Remedy = errors.New("the server does not let us in"), "grant read and write on the repository's contents (GitHub App: Contents, read and write)"
	case errors.Is(err, transport.ErrRepositoryNotFound):
		e.Err, e.Remedy = errors.New("the repository was not found"), "check its URL, and that the credentials may see it (GitHub App: install it on the repository)"
	case errors.Is(err, transport.ErrEmptyRemoteRepository):
		e.Err, e.Remedy = errors.New("the repository is empty"), "push a first commit with the manifests"
	case errors.Is(err, context.DeadlineExceeded):
		e.Err, e.Remedy = errors.New("the server did not answer in time"), "it is tried again in the next cycle; check that it can be reached from here"
	case errors.As(err, &failed):
		e.Err, e.Remedy = failed.Err, "check the URL and that the server can be reached from here"
	default:
		e.Remedy = "it is tried again in the next cycle"
	}
	return e
}
