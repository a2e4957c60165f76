package gitwrite

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/bradleyfalzon/ghinstallation/v2"
	"github.com/go-git/go-git/v5/plumbing/transport"
	githttp "github.com/go-git/go-git/v5/plumbing/transport/http"
	gitssh "github.com/go-git/go-git/v5/plumbing/transport/ssh"
	"golang.org/x/net/http/httpproxy"
	"golang.org/x/oauth2"
	"golang.org/x/oauth2/google"

	"github.com/liverty-music/image-writeback/internal/giturl"
	"github.com/liverty-music/image-writeback/internal/httpclient"
)

// Access names a repository and whose credentials are asked for.
type Access struct {
	URL string
	// From is what the Application says of its credentials: empty, repocreds,
	// or secret:NAMESPACE/NAME.
	From string
	// Project is the Application's, for credentials that belong to one.
	Project string
}

// secret returns the Secret that the Application names; ok is false where it names
// none.
func (a Access) secret() (namespace, name string, ok bool) {
	reference, ok := strings.CutPrefix(a.From, "secret:")
	namespace, name, _ = strings.Cut(reference, "/")
	return namespace, name, ok
}

// way is how requests reach a repository.
type way struct {
	transport transport.Transport
	endpoint  *transport.Endpoint
	auth      func(ctx context.Context) (transport.AuthMethod, error)
}

// connect finds out how to reach a repository: GitHub's through the App or
// token of config.yaml, unless the Application names a Secret; any other with
// its own credentials.
func (s *Service) connect(access Access) (*remote, Forge, error) {
	address := strings.TrimRight(access.URL, "/")
	at := s.forge(giturl.Parse(address))
	byForge := at != nil && access.From == ""
	if byForge {
		address = giturl.Parse(address).HTTPS()
	}
	r := &remote{public: giturl.Parse(address).Public()}
	endpoint, err := transport.NewEndpoint(address)
	if err != nil {
		return nil, nil, &Error{Repository: r.public, Doing: "connecting", Err: errors.New("the URL cannot be read"), Remedy: "write https://host/owner/name.git or git@host:owner/name.git"}
	}
	switch endpoint.Protocol {
	case "http", "https", "ssh":
	default:
		return nil, nil, &Error{Repository: r.public, Doing: "connecting", Err: fmt.Errorf("%s is no protocol that is supported", endpoint.Protocol), Remedy: "use an https or SSH URL"}
	}
	if byForge {
		endpoint.User, endpoint.Password = "", ""
		found := &way{transport: githttp.NewClient(&http.Client{Transport: httpTransport()}), endpoint: endpoint, auth: func(ctx context.Context) (transport.AuthMethod, error) {
			user, password, err := at.Login(ctx)
			return &githttp.BasicAuth{Username: user, Password: password}, err
		}}
		r.way = func(context.Context) (*way, error) { return found, nil }
		return r, at, nil
	}
	access.URL = address
	r.way = r.lasting(func(ctx context.Context) (*way, error) {
		c := Credentials{}
		if s.options.Credentials != nil {
			var err error
			if c, err = s.options.Credentials(ctx, access); err != nil {
				return nil, err
			}
		}
		return c.way(address)
	})
	return r, at, nil
}

// forge returns where the pull requests of a repository live; nil where there is
// no such place.
func (s *Service) forge(address giturl.Address) Forge {
	if s.options.Forge == nil {
		return nil
	}
	return s.options.Forge(address)
}

// way is how a repository is reached with credentials.
func (c Credentials) way(address string) (*way, error) {
	endpoint, err := transport.NewEndpoint(address)
	if err != nil {
		return nil, errors.New("the URL cannot be read")
	}
	user, password := endpoint.User, endpoint.Password
	if endpoint.Protocol == "ssh" {
		auth, err := sshAuth(c, user)
		if err != nil {
			return nil, err
		}
		if c.Proxy != "" && !c.bypasses(endpoint.Host) {
			endpoint.Proxy = transport.ProxyOptions{URL: c.Proxy}
		}
		return &way{gitssh.DefaultClient, endpoint, always(auth)}, nil
	}
	base, err := c.httpTransport()
	if err != nil {
		return nil, err
	}
	endpoint.User, endpoint.Password = "", ""
	w := &way{githttp.NewClient(&http.Client{Transport: base}), endpoint, always(httpAuth(c, user, password))}
	switch {
	case c.GitHubAppID != 0:
		w.auth, err = c.gitHubApp(base, endpoint)
	case c.BearerToken != "":
		w.auth = always(&githttp.TokenAuth{Token: c.BearerToken})
	case len(c.GCPServiceAccountKey) > 0 && c.Password == "":
		w.auth, err = c.google(base)
	}
	return w, err
}

func always(auth transport.AuthMethod) func(context.Context) (transport.AuthMethod, error) {
	return func(context.Context) (transport.AuthMethod, error) { return auth, nil }
}

// gitHubApp signs in as an App that a Secret names. Its tokens are renewed
// before they end.
func (c Credentials) gitHubApp(base http.RoundTripper, endpoint *transport.Endpoint) (func(context.Context) (transport.AuthMethod, error), error) {
	api := strings.TrimSuffix(c.GitHubURL, "/")
	if api == "" {
		api = "https://api.github.com"
	}
	apps, err := ghinstallation.NewAppsTransport(base, c.GitHubAppID, c.GitHubAppKey)
	if err != nil {
		// The parser's own message could quote the key.
		return nil, errors.New("githubAppPrivateKey is no RSA private key in PEM form")
	}
	apps.BaseURL = api
	installation := c.GitHubInstallationID
	if installation == 0 {
		return nil, errors.New("it has the field githubAppID, but no githubAppInstallationID")
	}
	tokens := ghinstallation.NewFromAppsTransport(apps, installation)
	return func(ctx context.Context) (transport.AuthMethod, error) {
		token, err := tokens.Token(ctx)
		if err != nil {
			var status *ghinstallation.HTTPError
			if errors.As(err, &status) && status.Response != nil {
				err = fmt.Errorf("%s answered %s", api, status.Response.Status)
			}
			return nil, &Error{Repository: giturl.Parse(endpoint.String()).Public(), Doing: "getting a token for the GitHub App of its Secret", Err: err, Remedy: "check githubAppID, githubAppInstallationID and githubAppPrivateKey"}
		}
		return &githttp.BasicAuth{Username: "x-access-token", Password: token}, nil
	}, nil
}

// google signs in with a service account's key at Google's source repositories.
func (c Credentials) google(base http.RoundTripper) (func(context.Context) (transport.AuthMethod, error), error) {
	config, err := google.JWTConfigFromJSON(c.GCPServiceAccountKey, "https://www.googleapis.com/auth/cloud-platform")
	if err != nil {
		return nil, errors.New("gcpServiceAccountKey is no key of a service account in JSON")
	}
	source := config.TokenSource(context.WithValue(context.Background(), oauth2.HTTPClient, &http.Client{Transport: base, Timeout: advertiseTimeout}))
	return func(context.Context) (transport.AuthMethod, error) {
		token, err := source.Token()
		if err != nil {
			return nil, errors.New("no token for the service account of gcpServiceAccountKey was given by Google")
		}
		return &githttp.BasicAuth{Username: config.Email, Password: token.AccessToken}, nil
	}, nil
}

func httpTransport() *http.Transport {
	t := httpclient.NewTransport(transferTimeout)
	t.IdleConnTimeout = time.Minute
	return t
}

// httpTransport has the certificates and the proxy of the credentials.
func (c Credentials) httpTransport() (*http.Transport, error) {
	t := httpTransport()
	t.TLSClientConfig = &tls.Config{MinVersion: tls.VersionTLS12, InsecureSkipVerify: c.Insecure} //nolint:gosec // where the Secret asks for it
	if len(c.TLSClientCert) > 0 {
		pair, err := tls.X509KeyPair(c.TLSClientCert, c.TLSClientKey)
		if err != nil {
			return nil, errors.New("tlsClientCertData and tlsClientCertKey are no certificate and key in PEM form")
		}
		t.TLSClientConfig.Certificates = []tls.Certificate{pair}
	}
	if len(c.CA) > 0 {
		pool, err := httpclient.CertPool(c.CA)
		if err != nil {
			return nil, fmt.Errorf("the entry for this server in Argo CD's ConfigMap argocd-tls-certs-cm: %w", err)
		}
		t.TLSClientConfig.RootCAs = pool
	}
	if c.Proxy != "" {
		if u, err := url.Parse(c.Proxy); err != nil || u.Host == "" {
			return nil, errors.New("proxy is no URL")
		}
		through := httpproxy.Config{HTTPProxy: c.Proxy, HTTPSProxy: c.Proxy, NoProxy: c.NoProxy}
		t.Proxy = func(r *http.Request) (*url.URL, error) { return through.ProxyFunc()(r.URL) }
	}
	return t, nil
}

// bypasses tells whether noProxy names a host.
func (c Credentials) bypasses(host string) bool {
	through := httpproxy.Config{HTTPSProxy: "http://proxy.invalid", NoProxy: c.NoProxy}
	u, err := through.ProxyFunc()(&url.URL{Scheme: "https", Host: host})
	return err == nil && u == nil
}

// credentialsLife is how long credentials are used before they are read again,
// so that a rotated Secret is noticed.
const credentialsLife = time.Minute

// lasting finds the way when it is first needed, and again after a while.
func (r *remote) lasting(find func(context.Context) (*way, error)) func(context.Context) (*way, error) {
	var mu sync.Mutex
	var last *way
	var found time.Time
	return func(ctx context.Context) (*way, error) {
		mu.Lock()
		defer mu.Unlock()
		if last != nil && time.Since(found) < credentialsLife {
			return last, nil
		}
		next, err := find(ctx)
		if err != nil {
			return nil, &Error{Repository: r.public, Doing: "finding its credentials", Err: err, Remedy: "correct the Secret, or name another in write-back-method: git:secret:NAMESPACE/NAME"}
		}
		last, found = next, time.Now()
		return last, nil
	}
}
