package registry

import (
	"context"
	"io"
	"net/http"
	"strings"
	"sync/atomic"

	"github.com/liverty-music/image-writeback/internal/limit"
)

// Limits bound what a registry may answer, and what is kept of it.
type Limits struct {
	Tags        limit.Limit // tags of a repository
	TagListSize limit.Limit // bytes of all pages of a repository's list together

	// Memory is how many bytes are kept between cycles, about everything together.
	Memory int64
}

// DefaultLimits are those of a client until [Client.SetLimits] is called.
func DefaultLimits() Limits {
	return Limits{
		Tags:        limit.Limit{Max: 200_000},
		TagListSize: limit.Limit{Max: 32 << 20},
		Memory:      128 << 20,
	}
}

// The limits that no configuration changes. A manifest or a config of 4 MB is as
// much as registries take themselves.
const (
	maxPages    = 1000
	maxAnswer   = 4 << 20  // a manifest or a config
	maxToken    = 1 << 20  // the answer of a token server, or to a ping
	maxRefusal  = 64 << 10 // what is read of an answer that is an error
	maxHeader   = 256 << 10
	maxTagName  = 128 // by the registry protocol
	maxChildren = 200 // platforms of an index that are remembered
	maxLabel    = 2048
)

// limitTransport bounds the bodies of answers, but for lists of tags: their limit
// is about all pages together. See [Repository.List].
type limitTransport struct {
	next http.RoundTripper
	// room is for large manifests and configs.
	room *limit.Room
	// tokens is the size of the largest answer that is not about an image, such as
	// a token, which its connection keeps.
	tokens *atomic.Int64
}

// RoundTrip sends a request.
func (t *limitTransport) RoundTrip(request *http.Request) (*http.Response, error) {
	response, err := t.next.RoundTrip(request)
	if err != nil {
		return nil, err
	}

	path := request.URL.Path
	switch {
	case response.StatusCode >= http.StatusBadRequest:
		response.Body = readCloser{io.LimitReader(response.Body, maxRefusal), response.Body}
	case isList(request):
	case strings.Contains(path, "/manifests/"):
		response.Body = bounded(t.inRoom(request, response.Body), maxAnswer, "the manifest")
	case strings.Contains(path, "/blobs/") || request.Response != nil: // a redirect
		response.Body = bounded(t.inRoom(request, response.Body), maxAnswer, "the config")
	default:
		body := bounded(response.Body, maxToken, "the answer to the sign-in")
		response.Body = readCloser{&counter{body, t.tokens}, body}
	}

	return response, nil
}

// largeAnswer is how much of a manifest or a config may be in memory without waiting for
// room: of maxLargeAnswers, more than that is in memory at a time, since the rest may be
// long in coming. Almost all are shorter.
const (
	largeAnswer     = 128 << 10
	maxLargeAnswers = 2
)

// inRoom returns a body that waits for room when it turns out to be large.
func (t *limitTransport) inRoom(request *http.Request, body io.ReadCloser) io.ReadCloser {
	return &roomyBody{ReadCloser: body, ctx: request.Context(), stay: t.room.Stay()}
}

// roomyBody is the body of a manifest or a config. It has its room until it is closed.
type roomyBody struct {
	io.ReadCloser
	ctx  context.Context //nolint:containedctx // of the request
	stay *limit.Stay
	read int
}

// Read reads, and waits for room.
func (b *roomyBody) Read(p []byte) (int, error) {
	if b.read > largeAnswer {
		var pause func() func()
		if budget := budgetOf(b.ctx); budget != nil {
			pause = budget.pause
		}
		if err := b.stay.Enter(b.ctx, pause); err != nil {
			return 0, err
		}
	}

	n, err := b.ReadCloser.Read(p)
	b.read += n

	return n, err
}

// Close leaves the room.
func (b *roomyBody) Close() error {
	b.stay.Leave()
	return b.ReadCloser.Close()
}

// isList reports whether a request asks for a list of tags.
func isList(request *http.Request) bool {
	return request.Method == http.MethodGet && strings.HasSuffix(request.URL.Path, "/tags/list")
}

// bounded returns a body that fails instead of being larger than a limit.
func bounded(body io.ReadCloser, bytes int64, what string) io.ReadCloser {
	return limit.Body(body, bytes, limit.Limit{Max: bytes}.TooLarge(what))
}

type readCloser struct {
	io.Reader
	io.Closer
}

// counter adds the bytes that are read to a total.
type counter struct {
	r     io.Reader
	total *atomic.Int64
}

// Read reads and counts.
func (c *counter) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	c.total.Add(int64(n))

	return n, err
}

// largeList is how many tags a list may have without waiting for room: the lists of
// at most maxLargeLists repositories are longer than that at a time.
const (
	largeList     = 5000
	maxLargeLists = 3
)

// takeRoom waits until a list with so many tags may be in memory, whether or not it is
// at its end. Without [Repository.StartClock], nobody would leave the room.
func (r *Repository) takeRoom(ctx context.Context, tags int) error {
	if tags <= largeList || r.stay == nil {
		return nil
	}

	return r.stay.Enter(ctx, r.budget.pause)
}
