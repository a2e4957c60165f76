package registry

import (
	"bytes"
	"io"
	"net/http"
	"strings"
	"sync"
)

// listCache keeps lists of tags with their ETags, so that a registry need not send
// an unchanged list again (RFC 9110, 13). Most registries send no ETag.
type listCache struct {
	mu    sync.Mutex
	lists map[string]cachedList
	size  int // of all bodies, in bytes
}

type cachedList struct {
	etag   string
	header http.Header
	body   []byte
}

// maxListBytes bounds the cache; when it is full, everything is dropped.
const maxListBytes = 32 << 20

func (c *listCache) get(key string) (cachedList, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	list, ok := c.lists[key]

	return list, ok
}

func (c *listCache) put(key string, list cachedList) {
	c.mu.Lock()
	defer c.mu.Unlock()

	c.size += len(list.body) - len(c.lists[key].body)
	if c.lists == nil || c.size > maxListBytes {
		c.lists, c.size = map[string]cachedList{}, len(list.body)
	}
	if c.size <= maxListBytes {
		c.lists[key] = list
	}
}

// conditionalTransport asks for a list only if it differs from the cached one.
type conditionalTransport struct {
	cache  *listCache
	viewer string // whose list it is: others may see other tags
	next   http.RoundTripper
}

// RoundTrip answers 304 Not Modified with the cached list.
func (t *conditionalTransport) RoundTrip(request *http.Request) (*http.Response, error) {
	if request.Method != http.MethodGet || !strings.HasSuffix(request.URL.Path, "/tags/list") {
		return t.next.RoundTrip(request)
	}

	key := t.viewer + " " + request.URL.String()
	cached, ok := t.cache.get(key)
	if ok {
		request = request.Clone(request.Context())
		request.Header.Set("If-None-Match", cached.etag)
	}

	response, err := t.next.RoundTrip(request)
	switch {
	case err != nil:
		return nil, err

	case ok && response.StatusCode == http.StatusNotModified:
		_ = response.Body.Close()
		response.StatusCode, response.Status = http.StatusOK, "200 OK"
		response.Header, response.ContentLength = cached.header.Clone(), int64(len(cached.body))
		response.Body = io.NopCloser(bytes.NewReader(cached.body))

	case response.StatusCode == http.StatusOK && response.Header.Get("ETag") != "":
		body, err := io.ReadAll(response.Body)
		_ = response.Body.Close()
		if err != nil {
			return nil, err
		}
		t.cache.put(key, cachedList{response.Header.Get("ETag"), response.Header.Clone(), body})
		response.Body = io.NopCloser(bytes.NewReader(body))
	}

	return response, nil
}
