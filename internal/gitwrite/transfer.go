package gitwrite

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"reflect"
	"strings"
	"sync"
	"time"

	"github.com/liverty-music/image-writeback/internal/limit"
)

// transfer bounds what is read from a server for one request, in bytes and in time.
type transfer struct {
	limits *limits
	cancel context.CancelCauseFunc
	idle   *time.Timer // fires when nothing was read for maxIdle
	stay   *limit.Stay // in the room for large advertisements

	mu       sync.Mutex
	budget   *limit.Budget
	exceeded error // the limit that was exceeded, if any
}

// maxIdle is how long a server may send nothing. Git's own servers send something
// every five seconds while they prepare a pack.
const maxIdle = time.Minute

// errIdle means that a server did not send anything for maxIdle.
var errIdle = fmt.Errorf("the server sent nothing for %s", maxIdle)

// transferKey is the key of a transfer in a context.
type transferKey struct{}

// begin starts the time limits of a request. Call end when it has ended.
func (l *limits) begin(ctx context.Context, timeout time.Duration) (_ context.Context, t *transfer, end func()) {
	ctx, stop := context.WithTimeout(ctx, timeout)
	ctx, cancel := context.WithCancelCause(ctx)
	t = &transfer{limits: l, cancel: cancel, stay: l.advertising.Stay()}
	t.allow(maxPreamble, limit.Limit{Max: maxPreamble}.TooLarge("the answer of the server"))
	t.idle = time.AfterFunc(maxIdle, func() { cancel(errIdle) })

	return context.WithValue(ctx, transferKey{}, t), t, func() {
		t.idle.Stop()
		cancel(nil)
		stop()
		t.stay.Leave()
	}
}

// takeRoom waits until so many bytes of branches may be in memory, whether or not they
// are all: the rest may be long in coming.
func (t *transfer) takeRoom(ctx context.Context, bytes int64) error {
	if bytes <= largeAdvertisement {
		return nil
	}

	return t.stay.Enter(ctx, func() func() {
		t.idle.Stop()
		return func() { t.idle.Reset(maxIdle) }
	})
}

// allow lets so many more bytes be read.
func (t *transfer) allow(bytes int64, err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.budget = limit.NewBudget(bytes, err)
}

// reason returns why a request failed: the library does not say that its server sent
// nothing, and quotes some errors instead of wrapping them.
func (t *transfer) reason(ctx context.Context, err error) error {
	t.mu.Lock()
	defer t.mu.Unlock()

	switch {
	case t.exceeded != nil:
		return t.exceeded
	case errors.Is(context.Cause(ctx), errIdle):
		return errIdle
	}

	return err
}

// reader returns a reader of the same bytes within the limits.
func (t *transfer) reader(r io.Reader) io.Reader { return &transferReader{t, r} }

type transferReader struct {
	t *transfer
	r io.Reader
}

// Read reads what the budget allows.
func (r *transferReader) Read(p []byte) (int, error) {
	r.t.mu.Lock()
	budget := r.t.budget
	r.t.mu.Unlock()

	n, err := budget.Reader(r.r).Read(p)
	r.t.note(n, err)

	return n, err
}

// note notes what was read.
func (t *transfer) note(n int, err error) {
	if n > 0 {
		t.idle.Reset(maxIdle)
	}
	if isLimit(err) {
		t.mu.Lock()
		defer t.mu.Unlock()
		t.exceeded = err
	}
}

// references returns a reader of an advertisement within the limits.
func (t *transfer) references(ctx context.Context, r io.Reader) *advertisement {
	a := newAdvertisement(r, t.limits.References)
	a.read = t.note
	a.room = func(bytes int64) error { return t.takeRoom(ctx, bytes) }

	return a
}

// boundedTransport bounds the answers of git servers over HTTP.
type boundedTransport struct{ next http.RoundTripper }

// RoundTrip sends a request.
func (b *boundedTransport) RoundTrip(request *http.Request) (*http.Response, error) {
	response, err := b.next.RoundTrip(request)
	if err != nil {
		return nil, err
	}

	body := response.Body
	t, ok := request.Context().Value(transferKey{}).(*transfer)
	switch {
	case response.StatusCode != http.StatusOK:
		response.Body = readCloser{io.LimitReader(body, maxRefusal), body}
	case ok && strings.HasSuffix(request.URL.Path, "/info/refs"):
		response.Body = readCloser{t.references(request.Context(), body), body}
	case ok:
		response.Body = readCloser{t.reader(body), body}
	default: // such as a token
		tooLarge := limit.Limit{Max: maxPreamble}.TooLarge("the answer of the server")
		response.Body = limit.Body(body, maxPreamble, tooLarge)
	}

	return response, nil
}

type readCloser struct {
	io.Reader
	io.Closer
}

// errSession means that the library has changed, so that limits would have no effect.
var errSession = errors.New("the output of the SSH session cannot be limited")

// boundOutput puts limits around the output of a session over SSH: an advertisement,
// then the answer to a request. The library has no option for it; its session has the
// output in an exported field of a type that is not exported.
func (t *transfer) boundOutput(ctx context.Context, session any) error {
	value := reflect.Indirect(reflect.ValueOf(session))
	if value.Kind() != reflect.Struct {
		return errSession
	}

	output := value.FieldByName("Stdout")
	if !output.IsValid() || !output.CanSet() || output.Type() != reflect.TypeFor[io.Reader]() {
		return errSession
	}

	inner := output.Interface().(io.Reader) //nolint:forcetypeassert // it has this type
	output.Set(reflect.ValueOf(&sshOutput{
		refs: t.references(ctx, inner), t: t, closer: inner,
	}))

	return nil
}

// sshOutput is what a server sends over SSH.
type sshOutput struct {
	refs   *advertisement
	t      *transfer
	closer any
}

// Read reads the advertisement first.
func (s *sshOutput) Read(p []byte) (int, error) {
	if !s.refs.done || len(s.refs.ready) > 0 {
		return s.refs.Read(p)
	}

	return s.t.reader(s.refs).Read(p)
}

// Close closes the output, if it can be closed.
func (s *sshOutput) Close() error {
	if c, ok := s.closer.(io.Closer); ok {
		return c.Close()
	}

	return nil
}
