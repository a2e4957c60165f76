package gitwrite

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"time"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/format/pktline"
	githttp "github.com/go-git/go-git/v5/plumbing/transport/http"

	"github.com/liverty-music/image-writeback/internal/httpclient"
)

// A request that only reads is sent again once, after a short pause, if its connection
// breaks or the server has trouble.
const retryPause = 250 * time.Millisecond

// reading calls read, and again if that may help.
func reading[T any](ctx context.Context, read func() (T, error)) (T, error) {
	result, err := read()
	if err == nil || ctx.Err() != nil || !mayPass(err) || httpclient.Wait(ctx, retryPause) != nil {
		return result, err
	}

	return read()
}

// mayPass reports whether the same request may have a better answer in a moment.
func mayPass(err error) bool {
	var broken *net.OpError
	var refused *httpclient.AddressError
	var answer *githttp.Err
	var unexpected *plumbing.UnexpectedError // which does not say what it wraps
	if errors.As(err, &unexpected) {
		err = errors.Join(err, unexpected.Err)
	}
	switch {
	case isLimit(err), isLocal(err), errors.As(err, &refused), errors.Is(err, errIdle),
		errors.Is(err, context.DeadlineExceeded), errors.As(err, &broken) && broken.Timeout():
		return false
	case errors.As(err, &answer) && answer.Response != nil:
		status := answer.Response.StatusCode
		return status == http.StatusBadGateway || status == http.StatusServiceUnavailable ||
			status == http.StatusGatewayTimeout
	}

	return errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, io.EOF) || errors.As(err, &broken) ||
		errors.Is(err, pktline.ErrInvalidPktLen) // of a line that was cut off
}
