package registry

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/liverty-music/image-writeback/internal/httpclient"
)

// firstWait is the wait before the first retry; it doubles with each one.
const firstWait = 250 * time.Millisecond

// retryTransport sends requests at the registry's limit, and retries those that
// may succeed later: after 429, 5xx and broken connections. It obeys Retry-After,
// and gives up at once if that is later than the time that is left.
type retryTransport struct {
	host      *host
	onRequest func(api string, failed bool) // called for each request; may be nil
}

// RoundTrip sends a request until it is answered or the budget is used up.
func (t *retryTransport) RoundTrip(request *http.Request) (*http.Response, error) {
	if request.URL.Path == "/v2/" && t.host.scheme != "" && request.URL.Scheme != t.host.scheme {
		// For hosts that look local, the library pings both schemes.
		return nil, fmt.Errorf("the registry is configured with %s", t.host.scheme)
	}

	ctx := request.Context()
	budget := budgetOf(ctx)
	for wait := firstWait; ; wait *= 2 {
		response, err := t.send(request)
		if err == nil && !transient(response.StatusCode) {
			budget.answered()
			return response, nil
		}
		if errors.Is(err, errLimit) {
			return nil, fmt.Errorf("%w: %w", err, context.DeadlineExceeded)
		}

		if err != nil {
			budget.failed(err)
		}
		if permanent(err) || ctx.Err() != nil {
			return response, err
		}

		pause := wait
		if err == nil {
			pause = max(pause, retryAfter(response.Header.Get("Retry-After"), time.Now()))
		}

		// A body would have to be sent again; requests that read have none.
		hasBody := request.Body != nil && request.Body != http.NoBody
		if !budget.retry(pause) || hasBody {
			return response, err
		}

		if err == nil {
			_, _ = io.Copy(io.Discard, io.LimitReader(response.Body, 1<<16))
			_ = response.Body.Close()
		}
		if err := httpclient.Wait(ctx, pause); err != nil {
			return nil, err
		}
	}
}

// errLimit means that the time ran out before the limit allowed a request.
var errLimit = errors.New("waiting for the registry's request limit")

// send sends a request once, when the registry's limit allows it.
func (t *retryTransport) send(request *http.Request) (*http.Response, error) {
	if err := t.host.limiter.Wait(request.Context()); err != nil {
		return nil, errLimit
	}

	response, err := t.host.base.RoundTrip(request)
	if t.onRequest != nil {
		failed := err != nil ||
			response.StatusCode >= http.StatusBadRequest && response.StatusCode != http.StatusUnauthorized
		t.onRequest(request.URL.Scheme+"://"+request.URL.Host, failed)
	}

	return response, err
}

// transient reports whether a request may succeed later.
func transient(status int) bool {
	return status == http.StatusTooManyRequests ||
		status >= http.StatusInternalServerError && status != http.StatusNotImplemented
}

// permanent reports whether a second try would fail in the same way: the server
// is not who it should be, does not speak TLS, or is where no connection may lead.
func permanent(err error) bool {
	var certificate *tls.CertificateVerificationError
	var record tls.RecordHeaderError
	var refused *httpclient.AddressError

	return errors.As(err, &certificate) || errors.As(err, &record) || errors.As(err, &refused) ||
		err != nil && strings.Contains(err.Error(), "HTTP response to HTTPS client")
}

// retryAfter reads the header of RFC 9110, 10.2.3: seconds or a date.
func retryAfter(value string, now time.Time) time.Duration {
	if seconds, err := strconv.Atoi(value); err == nil && seconds > 0 {
		return time.Duration(seconds) * time.Second
	}
	if at, err := http.ParseTime(value); err == nil {
		return at.Sub(now)
	}

	return 0
}
