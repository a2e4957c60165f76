package github

import (
	"context"
	"crypto/rsa"
	"errors"
	"net/http"
	"sync"
	"time"

	"github.com/bradleyfalzon/ghinstallation/v2"

	"github.com/liverty-music/image-writeback/internal/forge"
	"github.com/liverty-music/image-writeback/internal/secretfile"
)

// signer signs requests with a token. Where GitHub refuses the token, it signs again with
// a newer one, if there is one.
type signer interface {
	http.RoundTripper
	// token returns a token that is not refused, if there is another one.
	token(ctx context.Context, refused string) (string, error)
}

// personal signs with an access token.
type personal struct {
	http.RoundTripper
	in *forge.Token
}

func newPersonal(token *forge.Token, base http.RoundTripper) *personal {
	bearer := func(h http.Header, token string) { h.Set("Authorization", "Bearer "+token) }
	return &personal{token.Transport(base, bearer), token}
}

func (p *personal) token(_ context.Context, refused string) (string, error) {
	return p.in.Current(refused), nil
}

// renewal is how often at most a token is replaced before its time.
const renewal = time.Minute

// installation signs with tokens of an installation of the App, which it renews before
// they end, if GitHub refuses one, and if the App's key changes.
type installation struct {
	key  *secretfile.File[*rsa.PrivateKey]
	make func(key *rsa.PrivateKey) *ghinstallation.Transport

	mu      sync.Mutex
	madeBy  *rsa.PrivateKey
	tokens  *ghinstallation.Transport
	renewed time.Time
}

// current returns the tokens that the present key signs for.
func (i *installation) current() *ghinstallation.Transport {
	key := i.key.Current()
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.tokens == nil || key != i.madeBy {
		i.tokens, i.madeBy = i.make(key), key
	}

	return i.tokens
}

// renew drops tokens that were refused, and reports whether others can be tried: at most
// once a minute, for one revoked token costs no more than that.
func (i *installation) renew(refused *ghinstallation.Transport) bool {
	key := i.key.Current()
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.tokens != refused { // somebody has renewed them
		return true
	}
	if time.Since(i.renewed) < renewal {
		return false
	}
	i.renewed, i.tokens, i.madeBy = time.Now(), i.make(key), key

	return true
}

// RoundTrip signs and sends a request.
func (i *installation) RoundTrip(request *http.Request) (*http.Response, error) {
	used := i.current()
	sent, err := forge.Replay(request)
	if err != nil {
		return nil, err
	}
	response, err := used.RoundTrip(sent)
	keyIsOld := i.keyRefused(err)
	if !keyIsOld && (!unauthorizedBy(response, err) || !forge.Replayable(request) || !i.renew(used)) {
		return response, err
	}

	if response != nil {
		_ = response.Body.Close()
	}
	if sent, err = forge.Replay(request); err != nil {
		return nil, err
	}

	return i.current().RoundTrip(sent)
}

func (i *installation) token(ctx context.Context, refused string) (string, error) {
	used := i.current()
	token, err := used.Token(ctx)
	if i.keyRefused(err) || err == nil && token == refused && i.renew(used) {
		return i.current().Token(ctx)
	}

	return token, err
}

// keyRefused reports whether a token was not given since the App's key was refused, and
// its file has another key by now.
func (i *installation) keyRefused(err error) bool {
	var failed *ghinstallation.HTTPError
	if !errors.As(err, &failed) || failed.Response == nil || failed.Response.StatusCode != http.StatusUnauthorized {
		return false
	}

	return i.key.Current() != i.key.Refused()
}

func unauthorizedBy(response *http.Response, err error) bool {
	return err == nil && response.StatusCode == http.StatusUnauthorized
}
