package registry

import (
	"bytes"
	"io"
	"net/http"
	"strings"
	"sync"
)

// lists are lists of tags with the ETag that their registry gave them, so that
// one which has not changed need not be sent again (RFC 9110, 13). Most
// registries give none.
type lists struct {
	mu   sync.Mutex
	kept map[string]list
	size int // of all bodies
}

type list struct {
	etag   string
	header http.Header
	body   []byte
}

// mostLists bounds what is kept, in bytes; beyond it everything is forgotten.
const mostLists = 32 << 20

func (l *lists) get(key string) (list, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	found, ok := l.kept[key]
	return found, ok
}

func (l *lists) put(key string, one list) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.size += len(one.body) - len(l.kept[key].body)
	if l.kept == nil || l.size > mostLists {
		l.kept, l.size = map[string]list{}, len(one.body)
	}
	if l.size <= mostLists {
		l.kept[key] = one
	}
}

// conditional asks for a list only if it is another than the one we have.
type conditional struct {
	lists *lists
	as    string // whose view it is
	next  http.RoundTripper
}

// RoundTrip answers 304 with what was there before.
func (t *conditional) RoundTrip(request *http.Request) (*http.Response, error) {
	if request.Method != http.MethodGet || !strings.HasSuffix(request.URL.Path, "/tags/list") {
		return t.next.RoundTrip(request)
	}
	key := t.as + " " + request.URL.String()
	known, ok := t.lists.get(key)
	if ok {
		request = request.Clone(request.Context())
		request.Header.Set("If-None-Match", known.etag)
	}
	response, err := t.next.RoundTrip(request)
	switch {
	case err != nil:
		return nil, err
	case ok && response.StatusCode == http.StatusNotModified:
		_ = response.Body.Close()
		response.StatusCode, response.Status = http.StatusOK, "200 OK"
		response.Header, response.Body, response.ContentLength = known.header.Clone(), io.NopCloser(bytes.NewReader(known.body)), int64(len(known.body))
	case response.StatusCode == http.StatusOK && response.Header.Get("ETag") != "":
		body, err := io.ReadAll(response.Body)
		_ = response.Body.Close()
		if err != nil {
			return nil, err
		}
		t.lists.put(key, list{response.Header.Get("ETag"), response.Header.Clone(), body})
		response.Body = io.NopCloser(bytes.NewReader(body))
	}
	return response, nil
}
