// Package registry finds out which tags an image repository has, with digest,
// creation time and platforms. Use a [Client] for the whole life of the process
// and a [Repository] for one cycle.
//
// Google's registries answer a listing with all of that at once; for any other
// registry, the OCI distribution API is asked for the tags first and then, in
// [Repository.Describe], for what a policy still needs to know. What never changes
// is remembered: connections, tokens, and what lies behind a digest, up to a number
// of bytes.
//
// A registry that does not answer must not delay others. Each repository has one
// budget of retries and time per cycle; the caller asks each repository at most
// once per cycle for its list, and stops asking a registry whose [Error] reports
// NoAnswer. This package decides nothing: which tag wins is up to package policy.
package registry

import (
	"crypto/tls"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/google/go-containerregistry/pkg/v1/remote"
	lru "github.com/hashicorp/golang-lru/v2"
	"golang.org/x/time/rate"

	"github.com/liverty-music/image-writeback/internal/httpclient"
	"github.com/liverty-music/image-writeback/internal/limit"
)

// Registry is the configuration of one registry, or of a part of it.
type Registry struct {
	Prefix      string // of the images that it serves: a host, or a host and a path
	APIURL      string // empty: https:// and the host of Prefix
	Credentials string // one of image.CredentialForms; empty: Docker's configuration, then the cloud's
	Limit       int    // requests per second; 0: DefaultLimit
	CAFile      string // PEM bundle; empty: the system's certificate authorities
	Insecure    bool   // do not verify the certificate
	// CredentialsLife is how long credentials are used before they are read
	// again; 0: 15 minutes.
	CredentialsLife time.Duration
	// Sorted is the order of the registry's list of tags: [image.LatestFirst] or
	// [image.LatestLast]; empty: unknown.
	Sorted string
	// Namespace is put before the names of images that have none.
	Namespace string
	// Default makes this the registry of images whose name has none, instead of
	// Docker Hub.
	Default bool
}

// DefaultLimit is how many requests per second are sent to a registry whose
// configuration does not say.
const DefaultLimit = 20

// maxConcurrentRepositories bounds how many repositories of one registry are
// asked at a time, whatever its limit.
const maxConcurrentRepositories = 64

// concurrency is how many repositories of the registry to ask at a time.
func (r Registry) concurrency() int { return min(r.limit(), maxConcurrentRepositories) }

func (r Registry) limit() int {
	if r.Limit <= 0 {
		return DefaultLimit
	}

	return r.Limit
}

// Client asks registries. It is safe for concurrent use.
type Client struct {
	// OnRequest is called for every request that is sent to a registry's API,
	// with the API's scheme and host; nil: it is not.
	OnRequest func(api string, failed bool)
	// Settings is where registries are configured, as messages name it.
	Settings string

	registries []Registry
	secrets    SecretReader
	guard      *httpclient.Guard
	userAgent  string
	limits     Limits

	mu         sync.Mutex
	configured map[string]*host          // by prefix
	hosts      *lru.Cache[string, *host] // of other registries, by name

	connections *limit.Cache[string, *connection] // by Repository.key
	tags        *limit.Cache[string, *tagCache]   // by Repository.key
	contents    *contents
	lists       *limit.Cache[string, cachedList]
	large       *limit.Room // for lists; see takeRoom

	largeAnswers *limit.Room // see roomyBody
}

// host is what all repositories of one registry share.
type host struct {
	base    *http.Transport
	limiter *fairLimiter
	scheme  string // of the API's URL; empty: as the library finds out
	pings   pingCache
}

// maxHosts is how many registries that are not configured are remembered.
const maxHosts = 1000

// New returns a client for the configured registries, with DefaultLimits; other
// registries are reached under their own names, where guard permits it. secrets may
// be nil if there is no cluster. The error means that a CA file cannot be read, or
// that a URL is not valid.
func New(
	registries []Registry, secrets SecretReader, guard *httpclient.Guard, userAgent string,
) (*Client, error) {
	others, err := lru.NewWithEvict(maxHosts, func(_ string, h *host) { h.close() })
	if err != nil {
		return nil, err
	}

	c := &Client{
		Settings:   "the configuration of registries",
		registries: registries,
		secrets:    secrets,
		guard:      guard,
		userAgent:  userAgent,
		configured: map[string]*host{},
		hosts:      others,
		large:      limit.NewRoom(maxLargeLists),

		largeAnswers: limit.NewRoom(maxLargeAnswers),
	}
	c.SetLimits(DefaultLimits())

	for i, r := range registries {
		registries[i].Prefix = strings.TrimSuffix(r.Prefix, "/")
		if err := checkURL(r.APIURL); err != nil {
			return nil, fmt.Errorf("registry %s: %w", r.Prefix, err)
		}

		h, err := c.newHost(r)
		if err != nil {
			return nil, fmt.Errorf("registry %s: %w", r.Prefix, err)
		}
		c.configured[registries[i].Prefix] = h
	}

	return c, nil
}

// SetLimits replaces the limits, and drops what is remembered. Call it before the
// first request.
func (c *Client) SetLimits(l Limits) {
	c.limits = l
	c.connections = limit.NewCache[string, *connection](l.Memory * 3 / 8)
	c.tags = limit.NewCache[string, *tagCache](l.Memory / 4)
	c.contents = newContents(l.Memory / 4)
	c.lists = limit.NewCache[string, cachedList](l.Memory / 8)
}

func checkURL(api string) error {
	if api == "" {
		return nil
	}

	u, err := url.Parse(api)
	if err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http" {
		return fmt.Errorf("the URL of its API, %q, is not an http or https URL", api)
	}

	return nil
}

// host returns what the repositories of a registry share. Registries that are not
// configured are added when they are needed.
func (c *Client) host(r Registry) (*host, error) {
	c.mu.Lock()
	defer c.mu.Unlock()

	if h := c.configured[r.Prefix]; h != nil {
		return h, nil
	}
	if h, ok := c.hosts.Get(r.Prefix); ok {
		return h, nil
	}

	h, err := c.newHost(r)
	if err != nil {
		return nil, err
	}
	c.hosts.Add(r.Prefix, h)

	return h, nil
}

// close closes the connections that nobody uses.
func (h *host) close() { h.base.CloseIdleConnections() }

func (c *Client) newHost(r Registry) (*host, error) {
	base, err := baseTransport(r)
	if err != nil {
		return nil, err
	}
	c.guard.Protect(base)

	h := &host{base: base, limiter: newFairLimiter(rate.NewLimiter(rate.Limit(r.limit()), r.limit()))}
	if u, err := url.Parse(r.APIURL); err == nil {
		h.scheme = u.Scheme
	}

	return h, nil
}

func baseTransport(r Registry) (*http.Transport, error) {
	t := remote.DefaultTransport.(*http.Transport).Clone()
	t.MaxIdleConnsPerHost = maxConcurrentRepositories
	t.MaxResponseHeaderBytes = maxHeader
	t.ResponseHeaderTimeout = Patience / 2

	if r.Insecure {
		t.TLSClientConfig = &tls.Config{InsecureSkipVerify: true} //nolint:gosec // the operator asked for it
	}
	if r.CAFile != "" {
		pem, err := os.ReadFile(r.CAFile)
		if err != nil {
			return nil, fmt.Errorf("reading its certificate authorities: %w", err)
		}
		pool, err := httpclient.CertPool(pem)
		if err != nil {
			return nil, fmt.Errorf("reading its certificate authorities: %s: %w", r.CAFile, err)
		}
		t.TLSClientConfig = &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}
	}

	return t, nil
}
