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
)

// longestWait is how long a request waits for a rate limit; for longer ones
// the cycle goes on without it.
const longestWait = time.Minute

// maxTries bounds how often a request runs into a rate limit.
const maxTries = 5

// patient is a transport that keeps to a forge's rate limits as GitHub asks:
// where it says until when to wait nothing is sent before, and what was refused
// is sent again then. https://docs.github.com/en/rest/using-the-rest-api/rate-limits-for-the-rest-api
type patient struct {
	base http.RoundTripper
	// writes paces requests that change something.
	writes *rate.Limiter

	mu    sync.Mutex
	until time.Time
}

// RoundTrip sends a request. The error is a LimitedError where the wait would
// be too long.
func (p *patient) RoundTrip(request *http.Request) (*http.Response, error) {
	ctx := request.Context()
	if request.Method != http.MethodGet && p.writes != nil {
		if err := p.writes.Wait(ctx); err != nil {
			return nil, errors.New("so many requests take longer than a cycle; the rest follow in the next one")
		}
	}
	for try := 1; ; try++ {
		if err := p.await(ctx); err != nil {
			return nil, err
		}
		again := request.Clone(ctx)
		if request.GetBody != nil {
			var err error
			if again.Body, err = request.GetBody(); err != nil {
				return nil, err
			}
		}
		response, err := p.base.RoundTrip(again)
		if err != nil {
			return nil, err
		}
		until := limit(response, time.Now(), try)
		if until.IsZero() || try == maxTries {
			return response, nil
		}
		_ = response.Body.Close()
		p.mu.Lock()
		p.until = until
		p.mu.Unlock()
	}
}

// await waits until the limit is over, where that is soon.
func (p *patient) await(ctx context.Context) error {
	p.mu.Lock()
	until := p.until
	p.mu.Unlock()
	wait := time.Until(until)
	switch {
	case wait <= 0:
		return nil
	case wait > longestWait:
		return &LimitedError{until}
	}
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}

// limit is until when an answer asks to wait; zero where it does not.
func limit(response *http.Response, now time.Time, try int) time.Time {
	if response.StatusCode != http.StatusForbidden && response.StatusCode != http.StatusTooManyRequests {
		return time.Time{}
	}
	if seconds, err := strconv.Atoi(response.Header.Get("Retry-After")); err == nil {
		return now.Add(time.Duration(seconds) * time.Second)
	}
	for _, prefix := range []string{"X-RateLimit-", "RateLimit-"} { // GitHub's, GitLab's
		reset, err := strconv.ParseInt(response.Header.Get(prefix+"Reset"), 10, 64)
		if err == nil && response.Header.Get(prefix+"Remaining") == "0" {
			return time.Unix(reset, 0).Add(time.Second) // it is told in whole seconds
		}
	}
	body, err := io.ReadAll(io.LimitReader(response.Body, 1<<16))
	_ = response.Body.Close()
	response.Body = io.NopCloser(bytes.NewReader(body))
	if err == nil && strings.Contains(strings.ToLower(string(body)), "secondary rate limit") || response.StatusCode == http.StatusTooManyRequests {
		return now.Add(time.Minute << (try - 1)) // as GitHub says where it gives no time
	}
	return time.Time{}
}
