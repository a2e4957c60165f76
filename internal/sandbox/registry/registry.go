// Package registry is a container registry for tests and stories, with images
// that are pushed to it without a network.
package registry

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"sort"
	"strconv"
	"strings"
	"sync"
	"time"

	"io"
	"log"

	"github.com/google/go-containerregistry/pkg/name"
	ggcr "github.com/google/go-containerregistry/pkg/registry"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"

	"github.com/liverty-music/image-writeback/internal/sandbox"
)

// Server is a container registry. Its list of tags is Google's, with
// manifests and times, unless Plain is set.
type Server struct {
	*httptest.Server
	// Plain lists as the OCI distribution specification has it: only names,
	// PageSize at a time.
	Plain    bool
	PageSize int
	// ETags gives lists an ETag, and answers 304 to requests that have it.
	ETags bool
	// User and Password are asked for where they are set.
	User, Password string
	// Fault may answer a request in the registry's stead; it then returns true.
	Fault func(w http.ResponseWriter, r *http.Request) bool

	inner           http.Handler
	mu              sync.Mutex
	repos           map[string]map[string]pushed // repository → tag → image
	sandbox.Counter                              // of "list", "manifest", "blob" and "ping"
}

type pushed struct {
	digest            string
	created, uploaded time.Time
	mediaType         string
}

// New starts a registry; close it with Close.
func New() *Server {
	r := &Server{inner: ggcr.New(ggcr.Logger(log.New(io.Discard, "", 0))), repos: map[string]map[string]pushed{}}
	r.Server = httptest.NewServer(r)
	return r
}

// Host is the registry's address as images name it.
func (r *Server) Host() string { return strings.TrimPrefix(r.URL, "http://") }

// Build is an image to push.
type Build struct {
	Created   time.Time
	Uploaded  time.Time // zero: as Created
	Platforms []string  // none: linux/amd64; several: an index
	Labels    map[string]string
}

// Push builds an image and pushes it under tags. It returns its digest.
func (r *Server) Push(repository string, b Build, tags ...string) string {
	if b.Uploaded.IsZero() {
		b.Uploaded = b.Created
	}

	var digest, mediaType string
	created := b.Created
	if len(b.Platforms) > 1 {
		index := v1.ImageIndex(empty.Index)
		for _, p := range b.Platforms {
			platform := sandbox.Must(v1.ParsePlatform(p))
			index = mutate.AppendManifests(index, mutate.IndexAddendum{Add: r.image(b, p),
				Descriptor: v1.Descriptor{Platform: platform}})
		}
		for _, tag := range tags {
			sandbox.Check(remote.WriteIndex(r.reference(repository, tag), index,
				remote.WithTransport(direct{r.inner})))
		}
		digest, mediaType = sandbox.Must(index.Digest()).String(), string(sandbox.Must(index.MediaType()))
		created = time.Time{} // an index has none of its own
	} else {
		platform := "linux/amd64"
		if len(b.Platforms) == 1 {
			platform = b.Platforms[0]
		}
		img := r.image(b, platform)
		for _, tag := range tags {
			sandbox.Check(remote.Write(r.reference(repository, tag), img, remote.WithTransport(direct{r.inner})))
		}
		digest, mediaType = sandbox.Must(img.Digest()).String(), string(sandbox.Must(img.MediaType()))
	}

	r.mu.Lock()
	defer r.mu.Unlock()
	if r.repos[repository] == nil {
		r.repos[repository] = map[string]pushed{}
	}

	for _, tag := range tags {
		r.repos[repository][tag] = pushed{digest, created, b.Uploaded, mediaType}
	}

	return digest
}

// Announce lists a tag, with digest and creation time, that nothing was pushed
// for: enough for whatever a listing like Google's answers alone.
func (r *Server) Announce(repository, tag, digest string, created time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.repos[repository] == nil {
		r.repos[repository] = map[string]pushed{}
	}
	r.repos[repository][tag] = pushed{digest, created, created, "application/vnd.oci.image.manifest.v1+json"}
}

// Hide takes a tag out of the list, and returns what puts it back.
func (r *Server) Hide(repository, tag string) (show func()) {
	r.mu.Lock()
	defer r.mu.Unlock()
	hidden := r.repos[repository][tag]
	delete(r.repos[repository], tag)

	return func() {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.repos[repository][tag] = hidden
	}
}

func (r *Server) image(b Build, platform string) v1.Image {
	p := sandbox.Must(v1.ParsePlatform(platform))
	labels := map[string]string{"uploaded": b.Uploaded.Format(time.RFC3339Nano)}
	for k, v := range b.Labels {
		labels[k] = v
	}

	return sandbox.Must(mutate.ConfigFile(empty.Image, &v1.ConfigFile{Created: v1.Time{Time: b.Created}, OS: p.OS,
		Architecture: p.Architecture, Variant: p.Variant,
		Config: v1.Config{Labels: labels}, RootFS: v1.RootFS{Type: "layers"}}))
}

func (r *Server) reference(repository, tag string) name.Reference {
	return sandbox.Must(name.ParseReference("sandbox.localhost/" + repository + ":" + tag))
}

// direct calls a handler without a network, so that pushes are not counted.
type direct struct{ handler http.Handler }

// RoundTrip calls the handler.
func (d direct) RoundTrip(request *http.Request) (*http.Response, error) {
	recorder := httptest.NewRecorder()
	if request.Body == nil { // a server always has one
		request = request.Clone(request.Context())
		request.Body = http.NoBody
	}

	d.handler.ServeHTTP(recorder, request)
	response := recorder.Result()
	response.Request = request

	return response, nil
}

// ServeHTTP serves the registry API.
func (r *Server) ServeHTTP(w http.ResponseWriter, request *http.Request) {
	kind := "blob"
	switch {
	case request.URL.Path == "/v2/":
		kind = "ping"
	case strings.HasSuffix(request.URL.Path, "/tags/list"):
		kind = "list"
	case strings.Contains(request.URL.Path, "/manifests/"):
		kind = "manifest"
	}

	r.Served(kind)
	if r.Fault != nil && r.Fault(w, request) {
		return
	}

	if user, password, _ := request.BasicAuth(); r.User != "" && (user != r.User || password != r.Password) {
		w.Header().Set("WWW-Authenticate", `Basic realm="sandbox"`)
		http.Error(w, `{"errors":[{"code":"UNAUTHORIZED"}]}`, http.StatusUnauthorized)
		return
	}

	if kind == "list" {
		r.list(w, request)
		return
	}

	r.inner.ServeHTTP(w, request)
}

// list answers as Artifact Server does, or with plain pages.
func (r *Server) list(w http.ResponseWriter, request *http.Request) {
	repository := strings.TrimSuffix(strings.TrimPrefix(request.URL.Path, "/v2/"), "/tags/list")
	r.mu.Lock()
	defer r.mu.Unlock()
	tags, ok := r.repos[repository]
	if !ok {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(http.StatusNotFound)
		_, _ = fmt.Fprint(w, `{"errors":[{"code":"NAME_UNKNOWN","message":"no such repository"}]}`)
		return
	}

	names := make([]string, 0, len(tags))
	for tag := range tags {
		names = append(names, tag)
	}

	sort.Strings(names)
	answer := map[string]any{"name": repository, "tags": names}
	if r.Plain {
		answer["tags"] = r.page(w, request, names)
	} else {
		answer["child"] = []string{}
		answer["manifest"] = manifests(tags, names)
	}

	body := sandbox.Must(json.Marshal(answer))
	if r.ETags {
		etag := fmt.Sprintf(`"%x"`, sha256.Sum256(body))
		w.Header().Set("ETag", etag)
		if request.Header.Get("If-None-Match") == etag {
			r.Served("unchanged list")
			w.WriteHeader(http.StatusNotModified)
			return
		}
	}

	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write(append(body, '\n')) // the client may be gone
}

func (r *Server) page(w http.ResponseWriter, request *http.Request, names []string) []string {
	if last := request.URL.Query().Get("last"); last != "" {
		names = names[sort.SearchStrings(names, last+"\x00"):]
	}

	if r.PageSize > 0 && len(names) > r.PageSize {
		names = names[:r.PageSize]
		w.Header().Set("Link", fmt.Sprintf("<%s?last=%s&n=%d>; rel=\"next\"", request.URL.Path,
			names[len(names)-1], r.PageSize))
	}

	return names
}

func manifests(tags map[string]pushed, names []string) map[string]any {
	out := map[string]any{}
	for _, tag := range names {
		p := tags[tag]
		if m, ok := out[p.digest].(map[string]any); ok {
			m["tag"] = append(m["tag"].([]string), tag)
			continue
		}
		out[p.digest] = map[string]any{"imageSizeBytes": "1", "layerId": "", "mediaType": p.mediaType,
			"tag":           []string{tag},
			"timeCreatedMs": milliseconds(p.created), "timeUploadedMs": milliseconds(p.uploaded)}
	}

	return out
}

func milliseconds(t time.Time) string {
	if t.IsZero() {
		return "0"
	}
	return strconv.FormatInt(t.UnixMilli(), 10)
}

// Tags lists the tags of a repository.
func (r *Server) Tags(repository string) []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	var names []string
	for tag := range r.repos[repository] {
		names = append(names, tag)
	}

	slices.Sort(names)

	return names
}
