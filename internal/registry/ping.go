package registry

import (
	"bytes"
	"io"
	"net/http"
	"sync"
	"time"

	"golang.org/x/sync/singleflight"
)

// pingCache has the answers of a registry to the question how to sign in, by
// scheme and host. One ping serves all of its repositories: each has a transport
// of its own, and the library pings for each.
type pingCache struct {
	flight singleflight.Group

	mu      sync.Mutex
	results map[string]pingResult
}

// maxPings is more than a registry has addresses.
const maxPings = 100

// pingResult is the answer to a ping.
type pingResult struct {
	status int
	header http.Header
	body   []byte
	since  time.Time
}

func (p pingResult) response(request *http.Request) *http.Response {
	return &http.Response{
		Status:        http.StatusText(p.status),
		StatusCode:    p.status,
		Proto:         "HTTP/1.1",
		ProtoMajor:    1,
		ProtoMinor:    1,
		Header:        p.header.Clone(),
		Body:          io.NopCloser(bytes.NewReader(p.body)),
		ContentLength: int64(len(p.body)),
		Request:       request,
	}
}

// get returns a result that is not too old.
func (c *pingCache) get(key string) (pingResult, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	result, found := c.results[key]

	return result, found && time.Since(result.since) < connectionLife
}

// put keeps a result that says how to sign in.
func (c *pingCache) put(key string, result pingResult) {
	if result.status != http.StatusOK && result.status != http.StatusUnauthorized {
		return
	}

	c.mu.Lock()
	defer c.mu.Unlock()
	if c.results == nil || len(c.results) >= maxPings {
		c.results = map[string]pingResult{}
	}
	c.results[key] = result
}

// pingTransport sends only the first of many pings to the registry.
type pingTransport struct {
	host *host
	next http.RoundTripper
}

// RoundTrip answers a ping with a recent result. A failed ping is not remembered,
// and fails for everyone who waits for it.
func (t *pingTransport) RoundTrip(request *http.Request) (*http.Response, error) {
	if request.URL.Path != "/v2/" || request.Method != http.MethodGet {
		return t.next.RoundTrip(request)
	}

	cache, key := &t.host.pings, request.URL.Scheme+"://"+request.URL.Host
	if result, ok := cache.get(key); ok {
		return result.response(request), nil
	}

	flight := cache.flight.DoChan(key, func() (any, error) {
		result, err := t.ping(request)
		if err == nil {
			cache.put(key, result)
		}
		return result, err
	})

	select {
	case <-request.Context().Done():
		return nil, request.Context().Err()
	case sent := <-flight:
		if sent.Err != nil {
			// Whoever sent the ping has noted a more precise error.
			if budget := budgetOf(request.Context()); budget != nil {
				budget.lastError.CompareAndSwap(nil, &sent.Err)
			}
			return nil, sent.Err
		}
		return sent.Val.(pingResult).response(request), nil //nolint:forcetypeassert // as above
	}
}

// ping asks the registry.
func (t *pingTransport) ping(request *http.Request) (pingResult, error) {
	response, err := t.next.RoundTrip(request)
	if err != nil {
		return pingResult{}, err
	}
	defer func() { _ = response.Body.Close() }()

	body, err := io.ReadAll(io.LimitReader(response.Body, 1<<16))

	return pingResult{response.StatusCode, response.Header, body, time.Now()}, err
}
