package registry

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync/atomic"
	"time"
)

// allowance is what the requests for a repository may still cost in this cycle.
type allowance struct {
	tries   atomic.Int32 // repetitions that are left
	answers atomic.Int32 // good ones so far
	expired atomic.Bool
	silence *time.Timer // runs out when there was no good answer for Patience
	last    atomic.Int64
	// broken is the newest error below HTTP; nil once an answer came.
	broken atomic.Pointer[error]
}

type allowanceKey struct{}

func newAllowance() *allowance {
	a := &allowance{}
	a.tries.Store(maxTries - 1)
	return a
}

func (a *allowance) begin(ctx context.Context) (context.Context, func()) {
	ctx, cancel := context.WithTimeout(ctx, maxTime)
	a.last.Store(time.Now().UnixNano())
	a.silence = time.AfterFunc(Patience, func() {
		a.expired.Store(true)
		cancel()
	})
	return ctx, func() {
		a.silence.Stop()
		cancel()
	}
}

// answered notes a good answer, which gives the next one its full time.
func (a *allowance) answered() {
	if a == nil {
		return
	}
	a.answers.Add(1)
	a.broken.Store(nil)
	if a.silence != nil && !a.expired.Load() {
		a.last.Store(time.Now().UnixNano())
		a.silence.Reset(Patience)
	}
}

// again takes one try, if there is one left and time to wait for it.
func (a *allowance) again(wait time.Duration) bool {
	if a == nil || a.silence != nil && time.Since(time.Unix(0, a.last.Load()))+wait > Patience {
		return false
	}
	return a.tries.Add(-1) >= 0
}

// firstWait is the wait before the first repetition; each further one doubles.
const firstWait = 250 * time.Millisecond

// retrying sends requests at the registry's limit and repeats what may go
// through later: 429, 5xx and broken connections. It honours Retry-After, and
// gives up at once where that lies beyond the time that is left.
type retrying struct {
	host *host
	done func(api string, failed bool) // told of each request; may be nil
}

func (t *retrying) RoundTrip(request *http.Request) (*http.Response, error) {
	if request.URL.Path == "/v2/" && t.host.scheme != "" && request.URL.Scheme != t.host.scheme {
		// The library's ping tries both for hosts that it takes for local.
		return nil, fmt.Errorf("api_url says %s", t.host.scheme)
	}
	ctx := request.Context()
	allow, _ := ctx.Value(allowanceKey{}).(*allowance)
	for wait := firstWait; ; wait *= 2 {
		if err := t.host.limiter.Wait(ctx); err != nil {
			return nil, fmt.Errorf("waiting for the registry's request limit: %w", context.DeadlineExceeded)
		}
		response, err := t.host.base.RoundTrip(request)
		if t.done != nil {
			t.done(request.URL.Scheme+"://"+request.URL.Host, err != nil || response.StatusCode >= http.StatusBadRequest && response.StatusCode != http.StatusUnauthorized)
		}
		if err == nil && !transient(response.StatusCode) {
			allow.answered()
			return response, nil
		}
		if err != nil && allow != nil {
			allow.broken.Store(&err)
		}
		if lasting(err) || ctx.Err() != nil {
			return response, err
		}
		pause := wait
		if err == nil {
			pause = max(pause, retryAfter(response.Header.Get("Retry-After"), time.Now()))
		}
		// Requests for reading have no body that would need to be rewound.
		if !allow.again(pause) || request.Body != nil && request.Body != http.NoBody {
			return response, err
		}
		if err == nil {
			_, _ = io.Copy(io.Discard, io.LimitReader(response.Body, 1<<16))
			_ = response.Body.Close()
		}
		timer := time.NewTimer(pause)
		select {
		case <-ctx.Done():
			timer.Stop()
			return nil, ctx.Err()
		case <-timer.C:
		}
	}
}

func transient(status int) bool {
	return status == http.StatusTooManyRequests || status >= 500 && status != http.StatusNotImplemented
}

// lasting tells of an error that a second try would meet again: the server is
// not who it should be, or does not speak TLS.
func lasting(err error) bool {
	var certificate *tls.CertificateVerificationError
	var record tls.RecordHeaderError
	return errors.As(err, &certificate) || errors.As(err, &record) || err != nil && strings.Contains(err.Error(), "HTTP response to HTTPS client")
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

func isTimeout(err error) bool {
	var timeout net.Error
	return errors.As(err, &timeout) && timeout.Timeout()
}

func isGarbage(err error) bool {
	var syntax *json.SyntaxError
	var kind *json.UnmarshalTypeError
	return errors.As(err, &syntax) || errors.As(err, &kind) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, io.EOF) ||
		errors.Is(err, strconv.ErrSyntax) || strings.Contains(err.Error(), "malformed HTTP")
}

// inWords drops the address of a failed request, whose query may hold a
// token, and says what the shortest of errors means.
func inWords(err error) error {
	var failed *url.Error
	if errors.As(err, &failed) {
		err = failed.Err
	}
	if errors.Is(err, io.EOF) {
		return errors.New("the connection was cut off")
	}
	return err
}
