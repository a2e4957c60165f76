package registry

import (
	"context"
	"errors"
	"net/http"
	"reflect"
	"sync"
	"sync/atomic"
	"time"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/v1/remote/transport"
)

// connectionLife is how long credentials are used before they are read again, so
// that rotated credentials are noticed. Tokens are renewed independently.
const connectionLife = 15 * time.Minute

// connection is an authenticated transport to one repository.
type connection struct {
	mu        sync.Mutex
	transport http.RoundTripper // nil until it was made
	since     time.Time
	auth      *authn.AuthConfig // the credentials that it uses
	tokens    atomic.Int64      // see limitTransport
}

// connectionSize is about how many bytes a connection needs, without its tokens.
const connectionSize = 4 << 10

// connect returns a transport that authenticates, and keeps it for many cycles.
func (r *Repository) connect(ctx context.Context) (http.RoundTripper, error) {
	h, err := r.client.host(r.registry)
	if err != nil {
		return nil, err
	}
	c := r.connection()
	c.mu.Lock()
	defer c.mu.Unlock()

	life := connectionLife
	if r.registry.CredentialsLife > 0 {
		life = r.registry.CredentialsLife
	}
	if c.transport != nil && time.Since(c.since) < life {
		return c.transport, nil
	}

	authenticator, err := r.client.authenticator(ctx, r)
	if err != nil {
		return nil, err
	}
	auth, err := authenticator.Authorization()
	if err != nil {
		return nil, err
	}

	// The same credentials: the token is good until the registry refuses it.
	if c.transport != nil && reflect.DeepEqual(c.auth, auth) {
		c.since = time.Now()
		return c.transport, nil
	}

	c.tokens.Store(0)
	tr, err := r.newTransport(ctx, h, authenticator, &c.tokens)
	r.client.connections.Resize(r.key(), connectionSize+c.tokens.Load())
	if err != nil {
		return nil, err
	}
	c.transport, c.since, c.auth = tr, time.Now(), auth

	return tr, nil
}

// newTransport signs in. Requests pass through the layers from the outside in:
// authentication, user agent, protection of credentials, remembered pings, remembered
// lists, whole answers, limits of answers, limit of requests and retries.
//
// The library sends credentials to the registry's host and port, and to the server of
// tokens that the registry itself names, which is its own word: it is reached by HTTPS,
// unless the registry is not. Neither redirects nor links to further pages take them
// elsewhere.
func (r *Repository) newTransport(
	ctx context.Context, h *host, auth authn.Authenticator, tokens *atomic.Int64,
) (http.RoundTripper, error) {
	var tr http.RoundTripper = &retryTransport{host: h, onRequest: r.client.OnRequest}
	tr = &limitTransport{next: tr, tokens: tokens, room: r.client.largeAnswers}
	tr = &wholeTransport{next: tr}
	tr = &conditionalTransport{cache: r.client.lists, viewer: r.key(), next: tr}
	tr = &pingTransport{host: h, next: tr}
	tr = &clearTextTransport{allowed: r.clearText(h), next: tr}
	tr = transport.NewUserAgent(tr, r.client.userAgent)

	scopes := []string{r.repo.Scope(transport.PullScope)}

	return transport.NewWithContext(r.withBudget(ctx), r.repo.Registry, auth, tr, scopes)
}

// clearText reports whether the registry is reached by HTTP, as it is configured, or as
// the library finds out for hosts that look local.
func (r *Repository) clearText(h *host) bool {
	return h.scheme == "http" || h.scheme == "" && r.repo.Scheme() == "http"
}

// clearTextTransport sends no credentials in clear text, wherever a registry leads to.
type clearTextTransport struct {
	allowed bool
	next    http.RoundTripper
}

// RoundTrip sends a request. What is posted are credentials for a token.
func (t *clearTextTransport) RoundTrip(request *http.Request) (*http.Response, error) {
	secret := request.Header.Get("Authorization") != "" || request.Method == http.MethodPost
	if secret && request.URL.Scheme != "https" && !t.allowed {
		return nil, errors.New("the registry leads from https to http, where credentials are not sent")
	}

	return t.next.RoundTrip(request)
}

// connection returns the connection of this repository and these credentials.
func (r *Repository) connection() *connection {
	return r.client.connections.GetOrPut(r.key(), connectionSize, func() *connection { return &connection{} })
}

// disconnect drops a connection that the registry no longer accepts.
func (r *Repository) disconnect() { r.client.connections.Remove(r.key()) }
