// Package registry tells which tags an image repository has, with digest and
// creation time. It reads the listing of Google's registries, which carries
// all of that in one answer, and the OCI distribution API of any other.
//
// A Client is made once and used for many cycles: connections, tokens and
// what a digest contains are kept. Within a cycle every repository is asked at
// most once for its list (see reconcile), with few tries and within a time
// limit, so that a registry that is dying holds up nobody else.
package registry

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"reflect"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/google"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/remote/transport"
	"golang.org/x/sync/singleflight"
	"golang.org/x/time/rate"

	"github.com/liverty-music/image-writeback/internal/httpclient"
	"github.com/liverty-music/image-writeback/internal/image"
)

// Registry is the configuration of one registry, or of a part of it.
type Registry struct {
	Prefix      string // of the images it serves: a host, or a host and a path
	APIURL      string // empty: https:// and the host of Prefix
	Credentials string // see Credentials; empty: those of Docker's configuration and of the clouds
	Limit       int    // requests per second; 0: DefaultLimit
	CAFile      string // PEM bundle; empty: the system's
	Insecure    bool   // do not verify the certificate
	// CredentialsLife is how long credentials are used before they are
	// resolved anew; 0: 15 minutes.
	CredentialsLife time.Duration
	// Sorted is the order of the registry's list of tags: latest-first or
	// latest-last; empty: it says nothing.
	Sorted string
	// Namespace is put before the names of images that have none.
	Namespace string
	// Default makes it the registry of images that name none, instead of
	// Docker Hub.
	Default bool
}

// DefaultLimit is how many requests per second a registry gets, where its
// configuration does not say.
const DefaultLimit = 20

// A registry that is dying must hold up nobody else. All requests for one
// repository in one cycle share these: Patience is how long it may go without
// a good answer, maxTries how often a request is sent in all, and maxTime how
// long a registry may take that does answer, slowly.
const (
	Patience = 20 * time.Second
	maxTime  = 2 * time.Minute
	maxTries = 4
)

// mostAtOnce bounds how many repositories of one registry are asked at a time,
// whatever its limit.
const mostAtOnce = 64

// Client asks registries. It is safe for concurrent use.
type Client struct {
	// OnRequest is told of every request that is sent to a registry's API;
	// nil: nobody is.
	OnRequest func(api string, failed bool)

	registries []Registry
	secrets    SecretReader
	userAgent  string

	mu      sync.Mutex
	hosts   map[string]*host
	tunnels map[string]*tunnel
	tags    map[string]*tags
	known   *contents
	lists   lists
}

// host is what all repositories of one registry share.
type host struct {
	base    http.RoundTripper
	limiter *rate.Limiter
	scheme  string // of api_url; empty: as the library finds out
	pings   pings
}

// tunnel is an authenticated way to one repository.
type tunnel struct {
	mu        sync.Mutex
	transport http.RoundTripper // nil until the registry was pinged
	since     time.Time
	with      *authn.AuthConfig // the credentials that it has
}

// tunnelLife is how long credentials are used before they are resolved anew,
// so that a rotated secret is noticed. Tokens are renewed on their own.
const tunnelLife = 15 * time.Minute

// New returns a client of the configured registries; others are reached under
// their own names. secrets may be nil where there is no cluster. The error is
// for a CA file that cannot be read or a URL that is none.
func New(registries []Registry, secrets SecretReader, userAgent string) (*Client, error) {
	c := &Client{registries: registries, secrets: secrets, userAgent: userAgent,
		hosts: map[string]*host{}, tunnels: map[string]*tunnel{}, tags: map[string]*tags{}, known: newContents()}
	for i, r := range registries {
		base, err := baseTransport(r)
		if err != nil {
			return nil, fmt.Errorf("registry %s: %w", r.Prefix, err)
		}
		if r.APIURL != "" {
			u, err := url.Parse(r.APIURL)
			if err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http" {
				return nil, fmt.Errorf("registry %s: api_url %q is no http or https URL", r.Prefix, r.APIURL)
			}
		}
		registries[i].Prefix = strings.TrimSuffix(r.Prefix, "/")
		c.hosts[registries[i].Prefix] = newHost(base, r)
	}
	return c, nil
}

func newHost(base http.RoundTripper, r Registry) *host {
	limit := r.Limit
	if limit <= 0 {
		limit = DefaultLimit
	}
	h := &host{base: base, limiter: rate.NewLimiter(rate.Limit(limit), limit)}
	if u, err := url.Parse(r.APIURL); err == nil {
		h.scheme = u.Scheme
	}
	return h
}

func baseTransport(r Registry) (http.RoundTripper, error) {
	t := remote.DefaultTransport.(*http.Transport).Clone()
	t.MaxIdleConnsPerHost = mostAtOnce
	t.ResponseHeaderTimeout = Patience / 2
	if r.Insecure {
		t.TLSClientConfig = &tls.Config{InsecureSkipVerify: true} //nolint:gosec // the operator asked for it, for a registry of their own
	}
	if r.CAFile != "" {
		pem, err := os.ReadFile(r.CAFile)
		if err != nil {
			return nil, fmt.Errorf("caFile: %w", err)
		}
		pool, err := httpclient.CertPool(pem)
		if err != nil {
			return nil, fmt.Errorf("caFile: %s: %w", r.CAFile, err)
		}
		t.TLSClientConfig = &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}
	}
	return t, nil
}

// registryFor is the configuration with the longest prefix of an image.
func (c *Client) registryFor(ref image.Ref) Registry {
	full := ref.Registry + "/" + ref.Repository
	best := Registry{Prefix: ref.Registry}
	found := false
	for _, r := range c.registries {
		if (full == r.Prefix || strings.HasPrefix(full, r.Prefix+"/")) && (!found || len(r.Prefix) > len(best.Prefix)) {
			best, found = r, true
		}
	}
	return best
}

// place finds the registry of an image, and what the image is called there.
func (c *Client) place(ref image.Ref) (image.Ref, Registry) {
	if i := slices.IndexFunc(c.registries, func(r Registry) bool { return r.Default }); i >= 0 && ref.Registry == image.DockerHub && !strings.Contains(ref.Name, image.DockerHub+"/") {
		ref.Registry, _, _ = strings.Cut(c.registries[i].Prefix, "/")
		ref.Repository = ref.Name
	}
	r := c.registryFor(ref)
	if r.Namespace != "" && !strings.Contains(ref.Repository, "/") {
		ref.Repository = r.Namespace + "/" + ref.Repository
	}
	return ref, r
}

// Names are those that a registry may call an image by when it tells of it, each
// as registry/repository: its own, that under which it is asked for, and that of
// the API.
func (c *Client) Names(ref image.Ref) []string {
	names := []string{ref.Registry + "/" + ref.Repository}
	placed, registry := c.place(ref)
	if name := placed.Registry + "/" + placed.Repository; name != names[0] {
		names = append(names, name)
	}
	if u, err := url.Parse(registry.APIURL); err == nil && u.Host != "" && u.Host != placed.Registry {
		names = append(names, u.Host+"/"+placed.Repository)
	}
	return names
}

// Listing is what one repository told in one cycle.
type Listing struct {
	Tags []image.Tag
	// Complete tells that digests and times are those of the listing itself,
	// as Google's registries give them; otherwise Describe fetches them.
	Complete bool
	// Ranked tells that the tags have ranks instead of times.
	Ranked bool
}

// Repository is one image repository as one Application may see it. It is good
// for one cycle: its tries and its time are those of that cycle.
type Repository struct {
	client   *Client
	ref      image.Ref
	repo     name.Repository
	registry Registry
	creds    string
	allow    *allowance
	tags     *tags
	doubted  bool
	configs  singleflight.Group

	mu       sync.Mutex
	resolved map[string]string // tag → digest, asked for once in a cycle
}

// Host is the registry that is asked, for grouping.
func (r *Repository) Host() string { return r.repo.RegistryStr() }

// AtOnce is how many repositories of its registry to ask at a time: as many as
// it takes requests in a second, so that answers may take that long before its
// limit is not reached.
func (r *Repository) AtOnce() int {
	limit := r.registry.Limit
	if limit <= 0 {
		limit = DefaultLimit
	}
	return min(limit, mostAtOnce)
}

// Repository returns the repository of an image. credentials are those of the
// annotation, empty for those of the configuration. The error is for a name
// that the registry protocol does not allow.
func (c *Client) Repository(ref image.Ref, credentials string) (*Repository, error) {
	ref, registry := c.place(ref)
	if credentials == "" {
		credentials = registry.Credentials
	}
	apiHost, options := ref.Registry, []name.Option{name.WeakValidation}
	if ref.Registry == image.DockerHub {
		apiHost = name.DefaultRegistry
	}
	if registry.APIURL != "" {
		u, err := url.Parse(registry.APIURL)
		if err != nil {
			return nil, err
		}
		apiHost = u.Host
		if u.Scheme == "http" {
			options = append(options, name.Insecure)
		}
	}
	repo, err := name.NewRepository(apiHost+"/"+ref.Repository, options...)
	if err != nil {
		return nil, fmt.Errorf("image %s: %w", ref.Name, err)
	}
	r := &Repository{client: c, ref: ref, repo: repo, registry: registry, creds: credentials, allow: newAllowance(), resolved: map[string]string{}}
	r.tags = c.tagsOf(r.tunnelKey())
	return r, nil
}

// List asks for the tags, with one request where the registry answers as
// Google's do and with one for each page elsewhere. The error is an *Error.
func (r *Repository) List(ctx context.Context) (Listing, error) {
	tr, err := r.connect(ctx)
	if err != nil {
		return Listing{}, r.failed("listing the tags", err)
	}
	answer, err := google.List(r.repo, google.WithContext(r.with(ctx)), google.WithTransport(tr))
	if err != nil {
		return Listing{}, r.failed("listing the tags", err)
	}
	if len(answer.Manifests) > 0 {
		return Listing{Tags: googleTags(answer), Complete: true}, nil
	}
	tags := make([]image.Tag, len(answer.Tags))
	for i, t := range answer.Tags {
		tags[i] = image.Tag{Name: t}
		switch r.registry.Sorted {
		case "latest-first":
			tags[i].Rank = len(tags) - i
		case "latest-last":
			tags[i].Rank = i + 1
		}
	}
	r.tags.listed(tags, r.doubted, time.Now())
	return Listing{Tags: tags, Ranked: r.registry.Sorted != ""}, nil
}

// googleTags turns Google's listing, which goes by manifests, into tags.
func googleTags(answer *google.Tags) []image.Tag {
	tags := make([]image.Tag, 0, len(answer.Tags))
	for digest, m := range answer.Manifests {
		for _, t := range m.Tags {
			tags = append(tags, image.Tag{Name: t, Digest: digest, Created: known(m.Created), Uploaded: known(m.Uploaded)})
		}
	}
	sortTags(tags)
	return tags
}

// known maps the zero of Unix time, which means "not told", to the zero Time.
func known(t time.Time) time.Time {
	if t.Unix() <= 0 {
		return time.Time{}
	}
	return t
}

// Begin starts the clock of this repository and cycle: the context that it
// returns ends when the registry has gone without an answer for too long.
// Call end when no more will be asked.
func (r *Repository) Begin(ctx context.Context) (_ context.Context, end func()) {
	return r.allow.begin(ctx)
}

// Once lets no request be repeated in this cycle.
func (r *Repository) Once() { r.allow.tries.Store(0) }

// with attaches the allowance of this repository and cycle to a request.
func (r *Repository) with(ctx context.Context) context.Context {
	return context.WithValue(ctx, allowanceKey{}, r.allow)
}

// connect pings the registry and authenticates, once for many cycles.
func (r *Repository) connect(ctx context.Context) (http.RoundTripper, error) {
	c := r.client
	c.mu.Lock()
	h := c.hosts[r.registry.Prefix]
	if h == nil {
		base, err := baseTransport(r.registry)
		if err != nil {
			c.mu.Unlock()
			return nil, err
		}
		h = newHost(base, r.registry)
		c.hosts[r.registry.Prefix] = h
	}
	t := c.tunnels[r.tunnelKey()]
	if t == nil {
		t = &tunnel{}
		c.tunnels[r.tunnelKey()] = t
	}
	c.mu.Unlock()

	t.mu.Lock()
	defer t.mu.Unlock()
	life := tunnelLife
	if r.registry.CredentialsLife > 0 {
		life = r.registry.CredentialsLife
	}
	if t.transport != nil && time.Since(t.since) < life {
		return t.transport, nil
	}
	auth, err := c.authenticator(ctx, r)
	if err != nil {
		return nil, err
	}
	with, err := auth.Authorization()
	if err != nil {
		return nil, err
	}
	if t.transport != nil && reflect.DeepEqual(t.with, with) {
		t.since = time.Now() // nothing has changed: its token is good until the registry says otherwise
		return t.transport, nil
	}
	inner := transport.NewUserAgent(&pinging{h, &conditional{lists: &c.lists, as: r.tunnelKey(), next: &retrying{host: h, done: c.OnRequest}}}, c.userAgent)
	tr, err := transport.NewWithContext(r.with(ctx), r.repo.Registry, auth, inner, []string{r.repo.Scope(transport.PullScope)})
	if err != nil {
		return nil, err
	}
	t.transport, t.since, t.with = tr, time.Now(), with
	return tr, nil
}

// forget drops a way that the registry no longer accepts.
func (r *Repository) forget() {
	r.client.mu.Lock()
	defer r.client.mu.Unlock()
	delete(r.client.tunnels, r.tunnelKey())
}

func (r *Repository) tunnelKey() string { return r.repo.Name() + " " + r.creds }

// Error is a request to a registry that failed, with what to do about it.
type Error struct {
	Image  string
	Doing  string
	Remedy string
	// Silent tells that the registry could not be reached, or gave no good
	// answer in its time; Struggling, that it answered with 429 or 5xx to the
	// last try.
	Silent, Struggling bool
	Err                error
}

// Error says it all in one line.
func (e *Error) Error() string {
	return fmt.Sprintf("image %s: %s: %v; %s", e.Image, e.Doing, e.Err, e.Remedy)
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// failed says what went wrong and what to do, without the registry's body
// where that is a page of HTML, and without credentials, which are in neither.
func (r *Repository) failed(doing string, err error) error {
	e := &Error{Image: r.ref.Name, Doing: doing, Err: err}
	var status *transport.Error
	var credentials *CredentialsError
	where := r.repo.RegistryStr()
	switch {
	case errors.As(err, &credentials):
		e.Err, e.Remedy = credentials.Err, credentials.Remedy
	case errors.As(err, &status):
		e.Err = fmt.Errorf("%s answered %d %s", where, status.StatusCode, http.StatusText(status.StatusCode))
		e.Remedy = r.remedy(status.StatusCode)
		e.Struggling = transient(status.StatusCode)
		if status.StatusCode == http.StatusUnauthorized || status.StatusCode == http.StatusForbidden {
			r.forget()
		}
	case errors.Is(err, context.DeadlineExceeded) || isTimeout(err) || r.allow.expired.Load():
		e.Silent = r.allow.answers.Load() == 0
		e.Err = fmt.Errorf("%s did not answer within %s", where, Patience)
		e.Remedy = "it is asked again in the next cycle; check that it can be reached from here"
	case r.allow.broken.Load() != nil:
		e.Silent = r.allow.answers.Load() == 0
		e.Err = fmt.Errorf("%s: %w", where, inWords(*r.allow.broken.Load()))
		e.Remedy = "check the registry's name and that it can be reached from here"
	case isGarbage(err):
		e.Err = fmt.Errorf("%s answered with something that is no registry's answer: %w", where, err)
		e.Remedy = "check that the image's registry, or api_url, is a registry and no proxy or login page"
	default:
		e.Err = inWords(err)
		e.Remedy = "check the image's name and the registry's api_url"
	}
	return e
}

func (r *Repository) remedy(status int) string {
	how := "set credentials for " + r.registry.Prefix + " under registries: in config.yaml, or the annotation pull-secret"
	if r.creds != "" {
		how = "check the credentials " + publicPart(r.creds)
	}
	switch {
	case status == http.StatusUnauthorized || status == http.StatusForbidden:
		return how + "; they need to read the repository (Artifact Registry: roles/artifactregistry.reader)"
	case status == http.StatusNotFound:
		return "check the image's name in image-list, and that an image was pushed; some registries also answer this way where read access is missing"
	case status == http.StatusTooManyRequests:
		return "it limits requests; lower limit: for " + r.registry.Prefix + " in config.yaml, or use credentials with a higher quota"
	case status >= 500:
		return "the registry has trouble; it is asked again in the next cycle"
	}
	return "check the image's name and the registry's api_url"
}
