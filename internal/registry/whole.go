package registry

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"syscall"
	"time"

	"github.com/liverty-music/image-writeback/internal/httpclient"
)

// wholeTransport returns an answer when all of it has arrived, but for lists of tags,
// which may be large. If the connection breaks in the middle of it, the request is sent
// again, as after one that breaks before.
type wholeTransport struct {
	next http.RoundTripper
}

// RoundTrip sends a request, and reads the answer.
func (t *wholeTransport) RoundTrip(request *http.Request) (*http.Response, error) {
	for wait := firstWait; ; wait *= 2 {
		response, err := t.next.RoundTrip(request)
		if err != nil || isList(request) || request.Method != http.MethodGet {
			return response, err
		}

		data, err := io.ReadAll(response.Body)
		if err == nil {
			response.Body = readCloser{bytes.NewReader(data), response.Body} // it keeps its room
			return response, nil
		}
		_ = response.Body.Close()
		if err := tryAgain(request.Context(), err, wait); err != nil {
			return nil, err
		}
	}
}

// tryAgain waits before a request whose answer broke off is sent again. It returns the
// error of the answer if there is no use in that, or no try is left.
func tryAgain(ctx context.Context, err error, wait time.Duration) error {
	budget := budgetOf(ctx)
	if ctx.Err() != nil || !brokenOff(err) || !budget.retry(wait) {
		return err
	}
	budget.failed(err)

	return httpclient.Wait(ctx, wait)
}

// brokenOff reports whether a connection broke in the middle of an answer.
func brokenOff(err error) bool {
	var broken *net.OpError

	if errors.As(err, &broken) && broken.Timeout() {
		return false
	}

	return errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, syscall.ECONNRESET) ||
		errors.As(err, &broken) && broken.Op == "read"
}
