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
	"github.com/google/go-github/v88/github"
	"golang.org/x/net/http/httpproxy"
	"golang.org/x/oauth2"
	"golang.org/x/oauth2/google"

	"github.com/liverty-music/image-writeback/internal/giturl"
	"github.com/liverty-music/image-writeback/internal/httpclient"
)

// Access names a repository and the credentials to use for it.
type Access struct {
	URL string
	// From is the source of the credentials, as in the Application's write-back-method:
	// empty, repocreds, or secret:NAMESPACE/NAME.
	From string
	// Project is the Application's project, for credentials that belong to one project;
	// empty if it is not certain that the Application belongs to it.
	Project string
	// Vouched: the Secret that the Application names may be used for the repository even
	// if it has no url that says so.
	Vouched bool
}

// secret returns the Secret that the Application names; ok is false if it names none.
func (a Access) secret() (namespace, name string, ok bool) {
	reference, ok := strings.CutPrefix(a.From, "secret:")
	namespace, name, _ = strings.Cut(reference, "/")
	return namespace, name, ok
}

// connection is how requests reach a repository.
type connection struct {
	transport transport.Transport
	endpoint  *transport.Endpoint
	auth      signIn
	guard     *httpclient.Guard
}

// connect prepares the connection to a repository. A repository at a forge uses the
// forge's login, unless the Application names credentials. All other repositories use
// Options.Credentials.
func (s *Service) connect(access Access) (*remote, error) {
	address := strings.TrimRight(strings.TrimSpace(access.URL), "/") // as giturl reads it
	login := s.login(access)
	if login != nil {
		address = giturl.Parse(address).HTTPS()
	}

	r := &remote{public: giturl.Parse(address).Public(), limits: s.limits}
	endpoint, err := transport.NewEndpoint(address)
	if err != nil {
		return nil, &Error{
			Repository: r.public, Doing: "connecting", Err: errors.New("the URL is invalid"),
			Remedy: "write https://host/owner/name.git or git@host:owner/name.git",
		}
	}

	switch endpoint.Protocol {
	case "http", "https", "ssh":
	default:
		return nil, &Error{
			Repository: r.public, Doing: "connecting",
			Err:    fmt.Errorf("the protocol %s is not supported", endpoint.Protocol),
			Remedy: "use an https or SSH URL",
		}
	}

	if login != nil {
		r.forge = true
		endpoint.User, endpoint.Password = "", ""
		base := httpTransport()
		s.options.Guard.Protect(base)
		client := githttp.NewClient(&http.Client{Transport: &loginTransport{login, &boundedTransport{base}}})
		c := &connection{transport: client, endpoint: endpoint, auth: login.auth}
		r.connection = func(context.Context) (*connection, error) { return c, nil }
		return r, nil
	}

	access.URL = address
	r.connection = r.renewed(func(ctx context.Context) (*connection, error) {
		c := Credentials{}
		if s.options.Credentials != nil {
			var err error
			if c, err = s.options.Credentials(ctx, access); err != nil {
				return nil, err
			}
		}
		return c.connection(address, s.options.Guard.With(c.Hosts...))
	})
	return r, nil
}

// Login returns the user and the password with which git signs in to a forge, at the
// HTTPS address of a repository. refused is a password of it that the server has
// refused, or empty: another one is returned then, if there is one. Its errors say what
// to do.
type Login func(ctx context.Context, refused string) (user, password string, err error)

// loginTransport sends a request again with another password, if the server refuses the
// one that it has.
type loginTransport struct {
	login Login
	base  http.RoundTripper
}

// RoundTrip sends a request.
func (t *loginTransport) RoundTrip(request *http.Request) (*http.Response, error) {
	response, err := t.base.RoundTrip(request)
	user, password, signed := request.BasicAuth()
	if err != nil || response.StatusCode != http.StatusUnauthorized || !signed ||
		request.Body != nil && request.GetBody == nil {
		return response, err
	}

	_, other, err := t.login(request.Context(), password)
	if err != nil || other == password {
		return response, nil //nolint:nilerr // what the server has answered says enough
	}

	again := request.Clone(request.Context())
	if request.GetBody != nil {
		if again.Body, err = request.GetBody(); err != nil {
			return response, nil //nolint:nilerr // as above
		}
	}
	_ = response.Body.Close()
	again.SetBasicAuth(user, other)

	return t.base.RoundTrip(again)
}

// loginError is an error of a [Login]. It is reported unchanged.
type loginError struct{ error }

func (l Login) auth(ctx context.Context) (transport.AuthMethod, error) {
	user, password, err := l(ctx, "")
	if err != nil {
		return nil, &loginError{err}
	}
	return &githttp.BasicAuth{Username: user, Password: password}, nil
}

// login returns the forge's login for a repository; nil if the Application names
// credentials, or no forge has the repository.
func (s *Service) login(access Access) Login {
	if access.From != "" || s.options.Login == nil {
		return nil
	}
	return s.options.Login(giturl.Parse(access.URL))
}

// connection returns a connection with credentials to the repository at an address,
// which is opened only where guard permits it.
func (c Credentials) connection(address string, guard *httpclient.Guard) (*connection, error) {
	endpoint, err := transport.NewEndpoint(address)
	if err != nil {
		return nil, errors.New("the URL is invalid")
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
		return &connection{gitssh.DefaultClient, endpoint, always(auth), guard}, nil
	}

	base, err := c.httpTransport()
	if err != nil {
		return nil, err
	}
	guard.Protect(base)

	endpoint.User, endpoint.Password = "", ""
	client := githttp.NewClient(&http.Client{Transport: &boundedTransport{base}})
	w := &connection{client, endpoint, always(httpAuth(c, user, password)), guard}
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

// signIn returns the authentication of requests.
type signIn func(context.Context) (transport.AuthMethod, error)

func always(auth transport.AuthMethod) signIn {
	return func(context.Context) (transport.AuthMethod, error) { return auth, nil }
}

// gitHubApp signs in as the GitHub App of a Secret. Tokens are renewed before they
// expire.
func (c Credentials) gitHubApp(base http.RoundTripper, endpoint *transport.Endpoint) (signIn, error) {
	api := strings.TrimSuffix(c.GitHubURL, "/")
	if api == "" {
		api = "https://api.github.com"
	}

	apps, err := ghinstallation.NewAppsTransport(base, c.GitHubAppID, c.GitHubAppKey)
	if err != nil {
		// The parser's message could quote the key.
		return nil, errors.New("githubAppPrivateKey is not an RSA private key in PEM form")
	}

	address := giturl.Parse(endpoint.String())
	if !address.ServedBy(giturl.ParseAPI(api)) {
		return nil, &ElsewhereError{
			Reason: fmt.Sprintf("a token of its GitHub App is sent only to the GitHub of %s", api),
			Remedy: "write the URL of the repository with https and the host of that GitHub, or set " +
				"githubAppEnterpriseBaseUrl in the Secret",
		}
	}

	apps.BaseURL = api
	installation := c.GitHubInstallationID
	if installation == 0 {
		return nil, errors.New("it has the field githubAppID, but not githubAppInstallationID")
	}

	tokens := ghinstallation.NewFromAppsTransport(apps, installation)
	write := "write"
	tokens.InstallationTokenOptions = &github.InstallationTokenOptions{
		Repositories: []string{address.Name()},
		Permissions:  &github.InstallationPermissions{Contents: &write},
	}
	return func(ctx context.Context) (transport.AuthMethod, error) {
		token, err := tokens.Token(ctx)
		if err != nil {
			var status *ghinstallation.HTTPError
			if errors.As(err, &status) && status.Response != nil {
				err = fmt.Errorf("%s answered %s", api, status.Response.Status)
			}
			return nil, &Error{
				Repository: address.Public(),
				Doing:      "getting a token for the GitHub App of its Secret", Err: err,
				Remedy: "check githubAppID, githubAppInstallationID and githubAppPrivateKey, and that the App is " +
					"installed on the repository with the permission Contents: read and write",
			}
		}
		return &githttp.BasicAuth{Username: "x-access-token", Password: token}, nil
	}, nil
}

// google signs in to Google's source repositories with the key of a service account.
func (c Credentials) google(base http.RoundTripper) (signIn, error) {
	config, err := google.JWTConfigFromJSON(c.GCPServiceAccountKey, "https://www.googleapis.com/auth/cloud-platform")
	if err != nil {
		return nil, errors.New("gcpServiceAccountKey is not the key of a service account in JSON")
	}

	client := &http.Client{Transport: base, Timeout: advertiseTimeout}
	source := config.TokenSource(context.WithValue(context.Background(), oauth2.HTTPClient, client))
	return func(context.Context) (transport.AuthMethod, error) {
		token, err := source.Token()
		if err != nil {
			return nil, errors.New("the service account of gcpServiceAccountKey did not receive a token from Google")
		}
		return &githttp.BasicAuth{Username: config.Email, Password: token.AccessToken}, nil
	}, nil
}

func httpTransport() *http.Transport {
	t := httpclient.NewTransport(transferTimeout)
	t.IdleConnTimeout = time.Minute
	t.MaxResponseHeaderBytes = maxRefusal
	return t
}

// httpTransport returns a transport with the certificates and the proxy of the
// credentials.
func (c Credentials) httpTransport() (*http.Transport, error) {
	t := httpTransport()
	t.TLSClientConfig = &tls.Config{
		MinVersion:         tls.VersionTLS12,
		InsecureSkipVerify: c.Insecure, //nolint:gosec // only if the Secret says so
	}

	if len(c.TLSClientCert) > 0 {
		pair, err := tls.X509KeyPair(c.TLSClientCert, c.TLSClientKey)
		if err != nil {
			return nil, errors.New("tlsClientCertData and tlsClientCertKey are not a certificate and its key in PEM")
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
			return nil, errors.New("proxy is not a URL")
		}
		through := httpproxy.Config{HTTPProxy: c.Proxy, HTTPSProxy: c.Proxy, NoProxy: c.NoProxy}
		t.Proxy = func(r *http.Request) (*url.URL, error) { return through.ProxyFunc()(r.URL) }
	}

	return t, nil
}

// bypasses reports whether a host is reached without the proxy, because noProxy names
// it.
func (c Credentials) bypasses(host string) bool {
	through := httpproxy.Config{HTTPSProxy: "http://proxy.invalid", NoProxy: c.NoProxy}
	u, err := through.ProxyFunc()(&url.URL{Scheme: "https", Host: host})
	return err == nil && u == nil
}

// credentialsLife is how long credentials are used before they are read again, so that
// changes of a Secret take effect.
const credentialsLife = time.Minute

// connect returns a connection.
type connect func(context.Context) (*connection, error)

// renewed returns a connect function that calls find when a connection is first
// needed, and again after credentialsLife.
func (r *remote) renewed(find connect) connect {
	var mu sync.Mutex
	var last *connection
	var found time.Time
	return func(ctx context.Context) (*connection, error) {
		mu.Lock()
		defer mu.Unlock()
		if last != nil && time.Since(found) < credentialsLife {
			return last, nil
		}
		next, err := find(ctx)
		if err != nil {
			return nil, r.noCredentials(err)
		}
		last, found = next, time.Now()
		return last, nil
	}
}

// noCredentials is the error for credentials that cannot be read, or that must not be
// sent to the repository.
func (r *remote) noCredentials(err error) error {
	e := &Error{
		Repository: r.public, Doing: "finding its credentials", Err: err,
		Remedy: "correct the Secret, or name another in write-back-method: git:secret:NAMESPACE/NAME",
	}
	var elsewhere *ElsewhereError
	if errors.As(err, &elsewhere) {
		e.Remedy = elsewhere.Remedy
	}

	return e
}
