package forge

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"github.com/liverty-music/image-writeback/internal/httpclient"
)

// longestWait is how long a request waits for a rate limit. Where the forge asks
// for more, the cycle goes on without the request.
const longestWait = time.Minute

// maxTries bounds how often one request is sent that meets a rate limit.
const maxTries = 5

// Limits are the rate limits of one account at a forge, whatever tokens it signs its
// requests with. The zero value knows of none yet.
type Limits struct {
	// Writes paces requests that change something; nil: they are not paced.
	Writes *rate.Limiter

	mu    sync.Mutex
	until time.Time // when the forge takes requests again
}

// limitTransport keeps to the rate limits of an account.
type limitTransport struct {
	*Limits
	base http.RoundTripper
}

// Transport returns a transport that keeps to the rate limits of the account: where
// an answer says until when to wait, nothing is sent before, and the request that
// was refused is sent again then. The error is a [LimitedError] where that is too
// long.
// https://docs.github.com/en/rest/using-the-rest-api/rate-limits-for-the-rest-api
func (l *Limits) Transport(base http.RoundTripper) http.RoundTripper { return &limitTransport{l, base} }

// RoundTrip sends a request, again where a rate limit has refused it.
func (t *limitTransport) RoundTrip(request *http.Request) (*http.Response, error) {
	ctx := request.Context()
	if request.Method != http.MethodGet && t.Writes != nil {
		if err := t.Writes.Wait(ctx); err != nil {
			return nil, errors.New("too many requests for one cycle; the rest are sent in the next one")
		}
	}

	for try := 1; ; try++ {
		if err := t.await(ctx); err != nil {
			return nil, err
		}
		sent, err := Replay(request)
		if err != nil {
			return nil, err
		}
		response, err := t.base.RoundTrip(sent)
		if err != nil {
			return nil, err
		}

		until := waitUntil(response, time.Now(), try)
		if until.IsZero() || try == maxTries {
			return response, nil
		}
		_ = response.Body.Close()
		t.mu.Lock()
		t.until = until
		t.mu.Unlock()
	}
}

// await waits until the limit is over, where that is soon.
func (t *limitTransport) await(ctx context.Context) error {
	t.mu.Lock()
	until := t.until
	t.mu.Unlock()

	wait := time.Until(until)
	switch {
	case wait <= 0:
		return nil
	case wait > longestWait:
		return &LimitedError{until}
	}

	return httpclient.Wait(ctx, wait)
}

// waitUntil returns until when an answer asks to wait, and zero where it does not.
func waitUntil(response *http.Response, now time.Time, try int) time.Time {
	if response.StatusCode != http.StatusForbidden && response.StatusCode != http.StatusTooManyRequests {
		return time.Time{}
	}
	if seconds, err := strconv.Atoi(response.Header.Get("Retry-After")); err == nil {
		return now.Add(time.Duration(seconds) * time.Second)
	}
	for _, prefix := range []string{"X-RateLimit-", "RateLimit-"} { // GitHub's, GitLab's
		reset, err := strconv.ParseInt(response.Header.Get(prefix+"Reset"), 10, 64)
		if err == nil && response.Header.Get(prefix+"Remaining") == "0" {
			return time.Unix(reset, 0).Add(time.Second) // the header has whole seconds
		}
	}

	if response.StatusCode == http.StatusTooManyRequests || mentionsSecondaryLimit(response) {
		return now.Add(time.Minute << (try - 1)) // what GitHub asks for where it gives no time
	}
	return time.Time{}
}

// mentionsSecondaryLimit reads the body of an answer, and leaves it to be read.
func mentionsSecondaryLimit(response *http.Response) bool {
	body, err := io.ReadAll(io.LimitReader(response.Body, 1<<16))
	_ = response.Body.Close()
	response.Body = io.NopCloser(bytes.NewReader(body))
	return err == nil && strings.Contains(strings.ToLower(string(body)), "secondary rate limit")
}
