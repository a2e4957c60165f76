package gitwrite

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
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
	"github.com/liverty-music/image-writeback/internal/limit"
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
	limits     *limits
	forge      bool // it is reached with the login of a forge
	// noBlobWants is set once the server has refused to send single blobs.
	noBlobWants bool
}

// maxOverhead is which part of a pack's size may be sent in addition: messages, and
// what says which part of an answer is a message.
const maxOverhead = 8

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
	return reading(ctx, func() (*heads, error) { return r.advertiseOnce(ctx) })
}

func (r *remote) advertiseOnce(ctx context.Context) (*heads, error) {
	ctx, transfer, end := r.limits.begin(ctx, advertiseTimeout)
	defer end()
	session, err := r.uploadPack(ctx, transfer)
	if err != nil {
		return nil, r.failed("reading its branches", err)
	}
	defer func() { _ = session.Close() }()
	refs, err := session.AdvertisedReferencesContext(ctx)
	if err != nil {
		return nil, r.failed("reading its branches", transfer.reason(ctx, err))
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

	if h.defaultBranch == "" {
		h.defaultBranch = h.usualDefault(refs.Head)
	}

	h.shallow = refs.Capabilities.Supports(capability.Shallow)
	h.filter = !r.noBlobWants && refs.Capabilities.Supports(capability.Filter) &&
		refs.Capabilities.Supports(capability.AllowReachableSHA1InWant)
	return h, nil
}

// usualDefault returns the default branch of a server that does not name it: main or
// master, if just one of them is there, or at HEAD; empty if that does not say it.
func (h *heads) usualDefault(head *plumbing.Hash) string {
	var there, atHead []string
	for _, name := range []string{"main", "master"} {
		if at, ok := h.branches[name]; ok {
			there = append(there, name)
			if head != nil && at == *head {
				atHead = append(atHead, name)
			}
		}
	}

	for _, some := range [][]string{there, atHead} {
		if len(some) == 1 {
			return some[0]
		}
	}

	return ""
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

func (r *remote) uploadPack(ctx context.Context, t *transfer) (transport.UploadPackSession, error) {
	s, err := r.session(ctx)
	if err != nil {
		return nil, err
	}

	opened, err := openSession(ctx, r, s, s.transport.NewUploadPackSession)
	if err == nil && s.endpoint.Protocol == "ssh" {
		err = t.boundOutput(ctx, opened)
	}

	return opened, err
}

func (r *remote) receivePack(ctx context.Context, t *transfer) (transport.ReceivePackSession, error) {
	s, err := r.session(ctx)
	if err != nil {
		return nil, err
	}

	opened, err := openSession(ctx, r, s, s.transport.NewReceivePackSession)
	if err == nil && s.endpoint.Protocol == "ssh" {
		err = t.boundOutput(ctx, opened)
	}

	return opened, err
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
	return reading(ctx, func() (*packp.ShallowUpdate, error) { return r.fetchOnce(ctx, request, store) })
}

func (r *remote) fetchOnce(
	ctx context.Context, request fetchRequest, store func(io.Reader) error,
) (*packp.ShallowUpdate, error) {
	ctx, transfer, end := r.limits.begin(ctx, transferTimeout)
	defer end()
	session, err := r.uploadPack(ctx, transfer)
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
		return nil, r.failed("fetching", transfer.reason(ctx, err))
	}
	defer func() { _ = response.Close() }()

	size := r.limits.PackSize
	tooLarge := size.TooLarge("the pack that the server sent")
	transfer.allow(size.Max+size.Max/maxOverhead+maxPreamble, tooLarge)
	objects := sideband.NewDemuxer(sideband.Sideband64k, response)
	if err := store(limit.Reader(objects, size.Max, tooLarge)); err != nil {
		return nil, r.failed("fetching", transfer.reason(ctx, err))
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
	ctx, transfer, end := r.limits.begin(ctx, transferTimeout)
	defer end()
	session, err := r.receivePack(ctx, transfer)
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
		return nil, r.failed("pushing", transfer.reason(ctx, err))
	}

	if report.UnpackStatus != "ok" {
		return nil, r.failed("pushing", fmt.Errorf("%w: %s", ErrNotUnpacked, oneLine(report.UnpackStatus)))
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
