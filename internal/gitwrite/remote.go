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
	"sync/atomic"
	"time"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/protocol/packp"
	"github.com/go-git/go-git/v5/plumbing/protocol/packp/capability"
	"github.com/go-git/go-git/v5/plumbing/protocol/packp/sideband"
	"github.com/go-git/go-git/v5/plumbing/transport"

	"github.com/liverty-music/image-writeback/internal/httpclient"
)

// Time limits, so that a server that never answers delays one cycle only. A fetch or a
// push may transfer much data over a slow connection.
const (
	advertiseTimeout = 30 * time.Second
	transferTimeout  = 5 * time.Minute
)

// remote is a repository on its server, reached with git's protocol.
type remote struct {
	connection connect
	public     string       // the address without credentials
	opening    atomic.Int32 // connections that wait for the server
	// noBlobWants is set once the server has refused to send single blobs.
	noBlobWants bool
}

// heads are the heads of a remote's branches, and the server's capabilities.
type heads struct {
	branches      map[string]plumbing.Hash
	defaultBranch string
	filter        bool // partial clone, and single objects on request
	shallow       bool
}

// set sets the head of a branch; zero removes the branch.
func (h *heads) set(branch string, head plumbing.Hash) {
	if head.IsZero() {
		delete(h.branches, branch)
		return
	}
	h.branches[branch] = head
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
	h.filter = !r.noBlobWants && refs.Capabilities.Supports(capability.Filter) &&
		refs.Capabilities.Supports(capability.AllowReachableSHA1InWant)
	return h, nil
}

// session is the input of one request. Its endpoint is a copy, because a redirect
// changes it.
type session struct {
	transport transport.Transport
	endpoint  *transport.Endpoint
	auth      transport.AuthMethod
	guard     *httpclient.Guard
}

func (r *remote) session(ctx context.Context) (session, error) {
	c, err := r.connection(ctx)
	if err != nil {
		return session{}, err
	}
	auth, err := c.auth(ctx)
	endpoint := *c.endpoint
	return session{c.transport, &endpoint, auth, c.guard}, err
}

func (r *remote) uploadPack(ctx context.Context) (transport.UploadPackSession, error) {
	s, err := r.session(ctx)
	if err != nil {
		return nil, err
	}
	return openSession(ctx, r, s, s.transport.NewUploadPackSession)
}

func (r *remote) receivePack(ctx context.Context) (transport.ReceivePackSession, error) {
	s, err := r.session(ctx)
	if err != nil {
		return nil, err
	}
	return openSession(ctx, r, s, s.transport.NewReceivePackSession)
}

// fetchRequest is one request for objects.
type fetchRequest struct {
	wants    []plumbing.Hash
	haves    []plumbing.Hash
	shallows []plumbing.Hash
	depth    int  // 0: no limit
	noBlobs  bool // only commits and trees
}

// fetch streams a pack into store, and returns the commits at which the history now
// ends.
func (r *remote) fetch(
	ctx context.Context, request fetchRequest, store func(io.Reader) error,
) (*packp.ShallowUpdate, error) {
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

// ErrNotUnpacked means that the server could not unpack a push, or found an object in
// it that it does not allow: it refused all branches for one object.
var ErrNotUnpacked = errors.New("the server could not unpack the push")

// push sends a pack, if there is one, and moves branches. It returns the server's
// message for each branch that it refused. It returns an error if the push failed as a
// whole.
func (r *remote) push(
	ctx context.Context, updates []RefUpdate, pack []byte,
) (refused map[string]string, err error) {
	ctx, cancel := context.WithTimeout(ctx, transferTimeout)
	defer cancel()
	session, err := r.receivePack(ctx)
	if err != nil {
		return nil, r.failed("pushing", err)
	}
	defer func() { _ = session.Close() }()
	request := packp.NewReferenceUpdateRequest()
	capabilities := []capability.Capability{capability.ReportStatus, capability.Sideband64k}
	if slices.ContainsFunc(updates, func(u RefUpdate) bool { return u.New.IsZero() }) {
		capabilities = append(capabilities, capability.DeleteRefs)
	}

	for _, c := range capabilities {
		if err := request.Capabilities.Set(c); err != nil {
			return nil, r.failed("pushing", err)
		}
	}

	for _, u := range updates {
		name := plumbing.NewBranchReferenceName(u.Branch)
		request.Commands = append(request.Commands, &packp.Command{Name: name, Old: u.Old, New: u.New})
	}

	if len(pack) > 0 {
		request.Packfile = io.NopCloser(bytes.NewReader(pack))
	}

	var messages bytes.Buffer
	request.Progress = &messages
	report, err := session.ReceivePack(ctx, request)
	if report == nil {
		if err == nil {
			err = errors.New("the server did not report on the push")
		}
		return nil, r.failed("pushing", err)
	}

	if report.UnpackStatus != "ok" {
		return nil, r.failed("pushing", fmt.Errorf("%w: %s", ErrNotUnpacked, report.UnpackStatus))
	}

	refused = map[string]string{}
	for _, status := range report.CommandStatuses {
		if status.Status != "ok" {
			said := status.Status + ". " + oneLine(messages.String())
			refused[status.ReferenceName.Short()] = strings.TrimSpace(said)
		}
	}

	return refused, nil
}

// oneLine returns the message of a hook or a protection rule in one line.
func oneLine(s string) string {
	words := strings.Join(strings.Fields(s), " ")
	if len(words) > 300 {
		words = words[:300] + "…"
	}
	return words
}

// failed explains an error of the transport and adds a remedy.
func (r *remote) failed(doing string, err error) error {
	e := &Error{Repository: r.public, Doing: doing, Err: err}
	var explained *Error
	var login *loginError
	var failed *url.Error
	var refused *httpclient.AddressError
	switch {
	case errors.As(err, &explained):
		return err
	case errors.As(err, &login):
		return login.error
	case errors.As(err, &refused):
		e.Err, e.Remedy = refused, "check the URL"
		if refused.Remedy != "" {
			e.Remedy = refused.Remedy
		}
	case errors.Is(err, transport.ErrAuthenticationRequired):
		e.Err = errors.New("the server requires credentials, or rejected the ones that were sent")
		e.Remedy = "configure a GitHub App or a token for it, " +
			"or name a Secret in write-back-method: git:secret:NAMESPACE/NAME"
	case errors.Is(err, transport.ErrAuthorizationFailed):
		e.Err = errors.New("the server denies access")
		e.Remedy = "grant read and write on the contents of the repository (GitHub App: Contents, read and write)"
	case errors.Is(err, transport.ErrRepositoryNotFound):
		e.Err = errors.New("the repository was not found")
		e.Remedy = "check its URL, and that the credentials may see it (GitHub App: install it on the repository)"
	case errors.Is(err, transport.ErrEmptyRemoteRepository):
		e.Err, e.Remedy = errors.New("the repository is empty"), "push a first commit with the manifests"
	case errors.Is(err, context.DeadlineExceeded):
		e.Err = errors.New("the server did not answer in time")
		e.Remedy = "it is tried again in the next cycle; check that it can be reached from here"
	case errors.As(err, &failed):
		e.Err, e.Remedy = failed.Err, "check the URL and that the server can be reached from here"
	default:
		e.Remedy = "it is tried again in the next cycle"
	}

	return e
}
