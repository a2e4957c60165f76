package registry

import (
	"bytes"
	"errors"
	"io"
	"net/http"

	"github.com/liverty-music/image-writeback/internal/limit"
)

// cachedList is a page of a list of tags with its ETag, so that a registry need not
// send an unchanged list again (RFC 9110, 13). Most registries send no ETag.
type cachedList struct {
	etag   string
	header http.Header
	body   []byte
}

// maxCachedList bounds the pages that are kept. A larger one is sent again.
const maxCachedList = 1 << 20

// conditionalTransport asks for a list only if it differs from the cached one.
type conditionalTransport struct {
	cache  *limit.Cache[string, cachedList]
	viewer string // whose list it is: others may see other tags
	next   http.RoundTripper
}

// RoundTrip answers 304 Not Modified with the cached list.
func (t *conditionalTransport) RoundTrip(request *http.Request) (*http.Response, error) {
	if !isList(request) {
		return t.next.RoundTrip(request)
	}

	key := t.viewer + " " + request.URL.String()
	cached, ok := t.cache.Get(key)
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
		list := cachedList{etag: response.Header.Get("ETag"), header: response.Header.Clone()}
		response.Body = &copyingBody{body: response.Body, complete: func(body []byte) {
			list.body = body
			t.cache.Put(key, list, int64(len(key)+len(body)+headerSize(list.header)))
		}}
	}

	return response, nil
}

// headerSize is about how many bytes a header needs.
func headerSize(h http.Header) int {
	size := 0
	for name, values := range h {
		for _, value := range values {
			size += len(name) + len(value)
		}
	}

	return size
}

// copyingBody keeps a copy of a body while it is read, unless it is large.
type copyingBody struct {
	body     io.ReadCloser
	copy     []byte
	large    bool
	complete func(body []byte) // called at the end of the body
}

// Read reads and copies.
func (b *copyingBody) Read(p []byte) (int, error) {
	n, err := b.body.Read(p)
	if !b.large {
		b.copy = append(b.copy, p[:n]...)
	}
	if len(b.copy) > maxCachedList {
		b.copy, b.large = nil, true
	}

	if errors.Is(err, io.EOF) && !b.large {
		b.complete(b.copy)
		b.large = true // once is enough
	}

	return n, err
}

// Close closes the body.
func (b *copyingBody) Close() error { return b.body.Close() }
