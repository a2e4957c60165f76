package registry

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"testing/iotest"

	"github.com/liverty-music/image-writeback/internal/image"
	"github.com/liverty-music/image-writeback/internal/limit"
	"github.com/liverty-music/image-writeback/internal/sandbox/registry"
)

// small are limits that tests reach quickly.
func small() Limits {
	return Limits{
		Tags:        limit.Limit{Max: 1000, Raise: "raise TAGS"},
		TagListSize: limit.Limit{Max: 64 << 10, Raise: "raise SIZE"},
		Memory:      1 << 20,
	}
}

// limited returns a client of a registry with other limits, but for requests per
// second.
func limited(t *testing.T, s *registry.Server, l Limits) *Client {
	t.Helper()
	c, err := New([]Registry{{Prefix: s.Host(), Limit: 1 << 20}}, nil, nil, "test")
	if err != nil {
		t.Fatal(err)
	}
	c.SetLimits(l)

	return c
}

// buffers is how many bytes may be on their way from an endless body when the client
// stops reading.
const buffers = 64 << 20

// endless is a body that has a beginning and no end. It counts what was taken.
type endless struct {
	begin, again string
	taken        *atomic.Int64
}

// write sends until the client goes away.
func (e endless) write(w io.Writer) {
	n, err := io.WriteString(w, e.begin)
	for chunk := strings.Repeat(e.again, 100); err == nil; {
		e.taken.Add(int64(n))
		n, err = io.WriteString(w, chunk)
	}
}

// longList is a list of tags that is too long, and what the error says.
type longList struct {
	answer func(http.ResponseWriter, *http.Request)
	want   string
}

func longLists(taken *atomic.Int64) map[string]longList {
	body := func(begin, again string) func(http.ResponseWriter, *http.Request) {
		return func(w http.ResponseWriter, _ *http.Request) { endless{begin, again, taken}.write(w) }
	}
	page := func(tags, next func(n int) string) func(http.ResponseWriter, *http.Request) {
		n := 0
		return func(w http.ResponseWriter, r *http.Request) {
			n++
			w.Header().Set("Link", fmt.Sprintf("<%s?%s>; rel=next", r.URL.Path, next(n)))
			_, _ = fmt.Fprintf(w, `{"tags":[%s]}`, tags(n))
		}
	}
	long := strings.Repeat("a", 200) // no registry serves such a tag
	number := func(n int) string { return fmt.Sprintf("last=%d", n) }

	return map[string]longList{
		"short tags":    {body(`{"tags":["a"`, `,"b"`), "the repository has more than 1,000 tags; raise TAGS"},
		"long tags":     {body(`{"tags":["a"`, `,"`+strings.Repeat("b", 100)+`"`), "larger than 64 KiB; raise SIZE"},
		"no tags":       {body(`{"tags":["`+long+`"`, `,"`+long+`"`), "raise SIZE"},
		"one tag":       {body(`{"tags":["`, `b`), "not a list of tags"},
		"one number":    {body(`{"x":1`, `1`), "not a list of tags"},
		"white space":   {body(`{"tags": `, ` `), "not a list of tags"},
		"depth":         {body(`{"x":[`, `[`), "not a list of tags"},
		"fields":        {body(`{"x":0`, `,"x":[{"y":null}]`), "raise SIZE"},
		"what follows":  {body(`{"tags":[]}`, `{}`), "raise SIZE"},
		"manifests":     {body(`{"manifest":{"sha256:0":{}`, `,"sha256:1":{}`), "raise SIZE"},
		"Google's tags": {body(`{"manifest":{"sha256:0":{"tag":["a"`, `,"b"`), "more than 1,000 tags; raise TAGS"},
		"a zip bomb": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Encoding", "gzip")
			z := gzip.NewWriter(w)
			endless{`{"tags":["a"`, `,"` + strings.Repeat("b", 100) + `"`, taken}.write(z)
		}, "larger than 64 KiB; raise SIZE"},
		"pages": {page(func(n int) string { return fmt.Sprintf(`"v%d"`, n) }, number), "more than 1,000 pages"},
		"large pages": {page(func(int) string {
			return `"` + strings.Repeat("b", 100) + `","` + strings.Repeat("c", 2000) + `"`
		}, number), "raise SIZE"},
		"a circle": {
			page(func(int) string { return `"v1"` }, func(n int) string { return number(n % 3) }), "has no end",
		},
		"empty pages": {page(func(int) string { return "" }, number), "has no end"},
		"another server": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Link", "<http://169.254.169.254/v2/x/tags/list>")
			_, _ = io.WriteString(w, `{"tags":["a"]}`)
		}, "is not at"},
	}
}

// TestListsAreLimited holds that a list is given up at its limit, whatever makes it
// long, and that the error says which limit that is.
func TestListsAreLimited(t *testing.T) {
	var taken atomic.Int64
	for name, c := range longLists(&taken) {
		t.Run(name, func(t *testing.T) {
			s := start(t)
			taken.Store(0)
			s.Fault = func(w http.ResponseWriter, r *http.Request) bool {
				if !isList(r) {
					return false
				}
				c.answer(w, r)
				return true
			}
			_, err := repository(t, limited(t, s, small()), s.Host()+"/"+server, "").List(t.Context())
			var failed *Error
			if !errors.As(err, &failed) || !strings.Contains(err.Error(), c.want) || failed.Remedy == "" {
				t.Errorf("error %v, want %q", err, c.want)
			}
			if n := s.Count("list"); n > 1001 {
				t.Errorf("%d pages", n)
			}
			s.Close() // waits for the handler
			if n := taken.Load(); n > buffers {
				t.Errorf("%d bytes were taken", n)
			}
		})
	}
}

// TestPagesAreLimited holds that a list has at most 1,000 pages, even if it is short.
func TestPagesAreLimited(t *testing.T) {
	s := start(t)
	n := 0
	s.Fault = func(w http.ResponseWriter, r *http.Request) bool {
		if isList(r) {
			n++
			w.Header().Set("Link", fmt.Sprintf("<%s?last=%d>", r.URL.Path, n))
			_, _ = fmt.Fprintf(w, `{"tags":["v%d"]}`, n)
		}
		return isList(r)
	}
	_, err := repository(t, limited(t, s, DefaultLimits()), s.Host()+"/"+server, "").List(t.Context())
	if err == nil || !strings.Contains(err.Error(), "more than 1,000 pages") || s.Count("list") != maxPages {
		t.Errorf("%d pages, error %v", s.Count("list"), err)
	}
}

// TestAListNearTheLimitNeedsLittleMemory holds that reading a list allocates little
// more than its tags need.
func TestAListNearTheLimitNeedsLittleMemory(t *testing.T) {
	const tags = 200_000
	var body bytes.Buffer
	body.WriteString(`{"name":"x","tags":["v0"`)
	for i := 1; i < tags; i++ {
		fmt.Fprintf(&body, `,"v1.%d.0-%040d"`, i, i)
	}
	body.WriteString("]}")

	list := &tagList{limit: DefaultLimits().Tags, room: func(int) error { return nil }}
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	if err := list.add(&body); err != nil || list.count() != tags {
		t.Fatalf("%d tags, %v", list.count(), err)
	}
	got := list.tags(image.LatestFirst)
	runtime.ReadMemStats(&after)

	// For each tag: its name, what the decoder makes of it, and an image.Tag.
	perTag := (after.TotalAlloc - before.TotalAlloc) / tags
	if len(got) != tags || perTag > 400 {
		t.Errorf("%d tags, %d bytes for each", len(got), perTag)
	}
}

// TestManifestsAndConfigsAreLimited holds that what lies behind a tag has a limit, and
// so have the answers of a token server and of errors.
func TestManifestsAndConfigsAreLimited(t *testing.T) {
	for name, c := range map[string]struct {
		path   string
		status int
		want   string
	}{
		"manifest":        {"/manifests/", http.StatusOK, "the manifest is larger than 4 MiB"},
		"config":          {"/blobs/", http.StatusOK, "the config is larger than 4 MiB"},
		"refused":         {"/manifests/", http.StatusForbidden, "answered 403"},
		"a refused list":  {"/tags/list", http.StatusForbidden, "answered 403"},
		"a failing list":  {"/tags/list", http.StatusInternalServerError, "has trouble"},
		"the first touch": {"/v2/", http.StatusTeapot, ""},
	} {
		t.Run(name, func(t *testing.T) {
			s := start(t)
			s.Plain = true
			s.Push(server, registry.Build{Created: built}, "v1")
			var taken atomic.Int64
			s.Fault = func(w http.ResponseWriter, r *http.Request) bool {
				if name == "config" && strings.Contains(r.URL.Path, "/manifests/") {
					w.Header().Set("Content-Type", "application/vnd.oci.image.manifest.v1+json")
					_, _ = fmt.Fprintf(w, `{"schemaVersion":2,"config":{"size":%d,"digest":"sha256:%064d"}}`, 1<<30, 0)
					return true
				}
				if !strings.Contains(r.URL.Path, c.path) || c.path == "/v2/" && r.URL.Path != c.path {
					return false
				}
				w.Header().Set("Content-Type", "application/vnd.oci.image.manifest.v1+json")
				w.WriteHeader(c.status)
				endless{"{", " ", &taken}.write(w)
				return true
			}
			r := repository(t, limited(t, s, DefaultLimits()), s.Host()+"/"+server, "")
			listing, err := r.List(t.Context())
			if err == nil {
				_, _, err = r.Describe(t.Context(), false, listing.Tags, Wanted{Created: true, Default: "linux/amd64"})
			}
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("error %v, want %q", err, c.want)
			}
			s.Close() // waits for the handler
			if n := taken.Load(); n > buffers {
				t.Errorf("%d bytes were taken", n)
			}
		})
	}
}

// TestWhatIsKeptIsBounded names a new repository in each cycle.
func TestWhatIsKeptIsBounded(t *testing.T) {
	s := start(t)
	s.Plain, s.ETags = true, true
	c := limited(t, s, small())
	for i := range 1000 {
		name := fmt.Sprintf("p/app%d", i)
		s.Announce(name, "v1", "sha256:"+strings.Repeat("0", 64), built)
		r := repository(t, c, s.Host()+"/"+name, "")
		ctx, end := r.StartClock(t.Context())
		if _, err := r.List(ctx); err != nil {
			t.Fatal(err)
		}
		r.setDigest("v1", "sha256:"+strings.Repeat("0", 64))
		c.contents.put(fmt.Sprintf("sha256:%064d", i), content{hasConfig: true, platform: strings.Repeat("p", 500)})
		end()
	}
	for what, n := range map[string]int{
		"connections": c.connections.Len(), "tags": c.tags.Len(), "lists": c.lists.Len(),
		"contents": c.contents.byDigest.Len(),
	} {
		if n == 0 || n > 600 {
			t.Errorf("%d %s are kept", n, what)
		}
	}

	// What was used last is kept: it is not signed in again.
	before := s.Count("list")
	if _, err := repository(t, c, s.Host()+"/p/app999", "").List(t.Context()); err != nil {
		t.Fatal(err)
	}
	if s.Count("list") != before+1 || s.Count("unchanged list") != 1 {
		t.Errorf("%d lists, %d of them unchanged", s.Count("list")-before, s.Count("unchanged list"))
	}
}

// TestTheFileOfContentsIsBounded writes more than fits, and reads it again.
func TestTheFileOfContentsIsBounded(t *testing.T) {
	s, dir := start(t), t.TempDir()
	c := limited(t, s, small())
	if err := c.CacheIn(dir); err != nil {
		t.Fatal(err)
	}
	for i := range 20_000 {
		c.contents.put(fmt.Sprintf("sha256:%064d", i), content{hasConfig: true, created: built})
	}
	if c.contents.size > c.contents.maxSize {
		t.Errorf("the file has %d bytes", c.contents.size)
	}

	again := limited(t, s, small())
	if err := again.CacheIn(dir); err != nil {
		t.Fatal(err)
	}
	if _, ok := again.contents.get(fmt.Sprintf("sha256:%064d", 19_999)); !ok {
		t.Error("what was written last is lost")
	}
}

// TestLargeListsWaitForRoom holds that only some lists of many tags are in memory at a
// time, and that short ones wait for none of them.
func TestLargeListsWaitForRoom(t *testing.T) {
	s := start(t)
	s.Plain, s.PageSize = true, largeList/2+1
	for i := range largeList + 1 {
		s.Announce("p/large", fmt.Sprintf("v%d", i), "sha256:"+strings.Repeat("0", 64), built)
	}
	s.Announce("p/small", "v1", "sha256:"+strings.Repeat("0", 64), built)
	c := limited(t, s, DefaultLimits())

	var ends []func()
	for i := range maxLargeLists {
		r := repository(t, c, s.Host()+"/p/large", "")
		ctx, end := r.StartClock(limit.WithTenant(t.Context(), strconv.Itoa(i)))
		if _, err := r.List(ctx); err != nil {
			t.Fatal(err)
		}
		ends = append(ends, end)
	}

	waiting := make(chan error)
	go func() {
		r := repository(t, c, s.Host()+"/p/large", "")
		ctx, end := r.StartClock(t.Context())
		defer end()
		_, err := r.List(ctx)
		waiting <- err
	}()
	small := repository(t, c, s.Host()+"/p/small", "")
	ctx, end := small.StartClock(t.Context())
	defer end()
	if _, err := small.List(ctx); err != nil {
		t.Fatal(err)
	}
	select {
	case err := <-waiting:
		t.Fatalf("another large list did not wait: %v", err)
	default:
	}

	ends[0]()
	if err := <-waiting; err != nil {
		t.Error(err)
	}
	for _, end := range ends[1:] {
		end()
	}
}

// TestALongListWaitsForRoomBeforeItsEnd holds that a list whose end never comes is not
// in memory without room.
func TestALongListWaitsForRoomBeforeItsEnd(t *testing.T) {
	noRoom, noEnd := errors.New("no room"), errors.New("the end has not come")
	for form, begin := range map[string]string{
		"names": `{"tags":["a"`, "manifests": `{"manifest":{"sha256:0":{"tag":["a"`,
	} {
		most := 0
		list := tagList{limit: limit.Limit{Max: 100}, room: func(tags int) error {
			most = max(most, tags)
			if tags > 10 {
				return noRoom
			}

			return nil
		}}
		page := io.MultiReader(strings.NewReader(begin+strings.Repeat(`,"b"`, 50)), iotest.ErrReader(noEnd))
		if err := list.add(page); !errors.Is(err, noRoom) || most != 11 {
			t.Errorf("%s: %v after %d tags", form, err, most)
		}
	}
}

// TestLargeAnswersWaitForRoom holds that only some large manifests are in memory at a
// time, though none of them has come to its end, and that short ones wait for nothing.
func TestLargeAnswersWaitForRoom(t *testing.T) {
	room, noEnd := limit.NewRoom(maxLargeAnswers), errors.New("the end has not come")
	read := func(ctx context.Context, size int) (io.Closer, error) {
		request := httptest.NewRequestWithContext(ctx, http.MethodGet, "/v2/p/app/manifests/1", nil)
		transport := &limitTransport{room: room, next: answers(func() io.Reader {
			return io.MultiReader(strings.NewReader(strings.Repeat("x", size)), iotest.ErrReader(noEnd))
		})}
		response, err := transport.RoundTrip(request)
		if err != nil {
			t.Fatal(err)
		}
		_, err = io.Copy(io.Discard, response.Body)

		return response.Body, err
	}

	var bodies []io.Closer
	for i := range maxLargeAnswers {
		body, err := read(limit.WithTenant(t.Context(), strconv.Itoa(i)), 1<<20)
		if !errors.Is(err, noEnd) {
			t.Fatal(err)
		}
		bodies = append(bodies, body)
	}

	impatient, cancel := context.WithCancel(t.Context())
	cancel()
	for size, want := range map[int]error{largeAnswer: noEnd, 1 << 20: context.Canceled} {
		body, err := read(impatient, size)
		if _ = body.Close(); !errors.Is(err, want) {
			t.Errorf("%d bytes: %v, want %v", size, err, want)
		}
	}

	for i := range maxLargeAnswers + 1 {
		_, _ = bodies[0].Close(), bodies[0].Close() // the second time, there is nothing to leave
		body, err := read(limit.WithTenant(t.Context(), strconv.Itoa(i+2)), 1<<20)
		if bodies[0] = body; !errors.Is(err, noEnd) {
			t.Errorf("after the end of another one: %v", err)
		}
	}
	for _, body := range bodies {
		_ = body.Close()
	}
}

// answers answers each request with a new body.
type answers func() io.Reader

// RoundTrip answers.
func (a answers) RoundTrip(*http.Request) (*http.Response, error) {
	return &http.Response{StatusCode: http.StatusOK, Body: io.NopCloser(a())}, nil
}
