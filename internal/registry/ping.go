package registry

import (
	"bytes"
	"io"
	"net/http"
	"sync"
	"time"

	"golang.org/x/sync/singleflight"
)

// pings are what a registry has said of how to sign in, by scheme and host. One
// ping serves all of its repositories: each has a transport of its own, whose
// library asks for itself.
type pings struct {
	flight singleflight.Group
	mu     sync.Mutex
	known  map[string]pong
}

// pong is the answer to a ping.
type pong struct {
	status int
	header http.Header
	body   []byte
	since  time.Time
}

func (p pong) response(request *http.Request) *http.Response {
	return &http.Response{Status: http.StatusText(p.status), StatusCode: p.status, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: p.header.Clone(), Body: io.NopCloser(bytes.NewReader(p.body)), ContentLength: int64(len(p.body)), Request: request}
}

// pinging lets only the first ping of many through to the registry.
type pinging struct {
	host *host
	next http.RoundTripper
}

// RoundTrip answers a ping with what the registry has said not long ago. What
// fails is not remembered, and told to everybody who waits for it.
func (t *pinging) RoundTrip(request *http.Request) (*http.Response, error) {
	if request.URL.Path != "/v2/" || request.Method != http.MethodGet {
		return t.next.RoundTrip(request)
	}
	p, key := &t.host.pings, request.URL.Scheme+"://"+request.URL.Host
	p.mu.Lock()
	known, ok := p.known[key]
	p.mu.Unlock()
	if ok && time.Since(known.since) < tunnelLife {
		return known.response(request), nil
	}
	flight := p.flight.DoChan(key, func() (any, error) {
		response, err := t.next.RoundTrip(request)
		if err != nil {
			return nil, err
		}
		body, err := io.ReadAll(io.LimitReader(response.Body, 1<<16))
		_ = response.Body.Close()
		if err != nil {
			return nil, err
		}
		said := pong{response.StatusCode, response.Header, body, time.Now()}
		if said.status == http.StatusOK || said.status == http.StatusUnauthorized {
			p.mu.Lock()
			defer p.mu.Unlock()
			if p.known == nil {
				p.known = map[string]pong{}
			}
			p.known[key] = said
		}
		return said, nil
	})
	select {
	case <-request.Context().Done():
		return nil, request.Context().Err()
	case result := <-flight:
		if result.Err != nil {
			if allow, _ := request.Context().Value(allowanceKey{}).(*allowance); allow != nil {
				allow.broken.CompareAndSwap(nil, &result.Err) // who sent it knows better
			}
			return nil, result.Err
		}
		return result.Val.(pong).response(request), nil //nolint:forcetypeassert // as above
	}
}
