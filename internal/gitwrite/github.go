package gitwrite

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"path"
	"strings"
	"sync"
	"time"

	"github.com/bradleyfalzon/ghinstallation/v2"
	"github.com/go-git/go-git/v5/plumbing/transport"
	githttp "github.com/go-git/go-git/v5/plumbing/transport/http"
	"github.com/google/go-github/v60/github"
)

// GitHub is an App, or a personal access token, at one GitHub.
type GitHub struct {
	api          *url.URL
	app          *ghinstallation.AppsTransport // nil with a token
	installation int64                         // 0: found from the repository
	token        string
	userAgent    string

	mu            sync.Mutex
	installations map[string]*ghinstallation.Transport // by owner/name
	bot           *Signature
}

// NewGitHubApp returns GitHub with an App's private key. installation 0 is
// found from each repository. The error is for a URL or key that cannot be read.
func NewGitHubApp(apiURL string, appID, installation int64, privateKeyFile, userAgent string) (*GitHub, error) {
	g, err := newGitHub(apiURL, userAgent)
	if err != nil {
		return nil, err
	}
	key, err := os.ReadFile(privateKeyFile)
	if err != nil {
		return nil, fmt.Errorf("github.app.privateKeyFile: %w", err)
	}
	if g.app, err = ghinstallation.NewAppsTransport(httpTransport(), appID, key); err != nil {
		// The parser's own message could quote the key.
		return nil, fmt.Errorf("github.app.privateKeyFile: %s holds no RSA private key in PEM form; download one from the App's settings", privateKeyFile)
	}
	g.app.BaseURL = strings.TrimSuffix(g.api.String(), "/")
	g.installation = installation
	return g, nil
}

// NewGitHubToken returns GitHub with a personal access token from a file.
func NewGitHubToken(apiURL, tokenFile, userAgent string) (*GitHub, error) {
	g, err := newGitHub(apiURL, userAgent)
	if err != nil {
		return nil, err
	}
	token, err := os.ReadFile(tokenFile)
	if err != nil {
		return nil, fmt.Errorf("github.tokenFile: %w", err)
	}
	if g.token = strings.TrimSpace(string(token)); g.token == "" {
		return nil, fmt.Errorf("github.tokenFile: %s is empty", tokenFile)
	}
	return g, nil
}

func newGitHub(apiURL, userAgent string) (*GitHub, error) {
	api, err := url.Parse(apiURL)
	if err != nil || api.Host == "" || api.Scheme != "https" && api.Scheme != "http" {
		return nil, fmt.Errorf("github.apiURL: %q is no http or https URL", apiURL)
	}
	api.Path = strings.TrimSuffix(api.Path, "/") + "/"
	return &GitHub{api: api, userAgent: userAgent, installations: map[string]*ghinstallation.Transport{}}, nil
}

// hubRepository is one repository at GitHub.
type hubRepository struct {
	hub         *GitHub
	owner, name string
}

// repository returns the repository of an address whose host is that of the
// API, ports aside and without its leading "api."; nil for any other.
func (g *GitHub) repository(address string) *hubRepository {
	endpoint, err := transport.NewEndpoint(address)
	if err != nil || !strings.EqualFold(hostname(endpoint.Host), strings.TrimPrefix(g.api.Hostname(), "api.")) {
		return nil
	}
	parts := strings.Split(strings.Trim(strings.TrimSuffix(endpoint.Path, ".git"), "/"), "/")
	if len(parts) < 2 {
		return nil
	}
	return &hubRepository{hub: g, owner: parts[len(parts)-2], name: parts[len(parts)-1]}
}

func hostname(host string) string {
	u := url.URL{Host: host}
	return u.Hostname()
}

// https is the address to use with a token: that of SSH becomes HTTPS.
func (r *hubRepository) https(address string) string {
	endpoint, err := transport.NewEndpoint(address)
	if err != nil || endpoint.Protocol != "ssh" {
		return address
	}
	return (&url.URL{Scheme: "https", Host: hostname(endpoint.Host), Path: path.Join("/", r.owner, r.name+".git")}).String()
}

// transportFor returns the HTTP transport that signs requests for a repository.
func (r *hubRepository) transportFor(ctx context.Context) (http.RoundTripper, error) {
	g := r.hub
	if g.app == nil {
		return &tokenTransport{token: g.token, base: http.DefaultTransport}, nil
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	key := r.owner + "/" + r.name
	if t, ok := g.installations[key]; ok {
		return t, nil
	}
	id := g.installation
	if id == 0 {
		found, _, err := g.client(g.app).Apps.FindRepositoryInstallation(ctx, r.owner, r.name)
		if err != nil {
			return nil, r.failed("finding the App's installation", err)
		}
		id = found.GetID()
	}
	t := ghinstallation.NewFromAppsTransport(g.app, id)
	g.installations[key] = t
	return t, nil
}

func (g *GitHub) client(t http.RoundTripper) *github.Client {
	c := github.NewClient(&http.Client{Transport: t, Timeout: 30 * time.Second})
	c.BaseURL = g.api
	c.UserAgent = g.userAgent
	return c
}

type tokenTransport struct {
	token string
	base  http.RoundTripper
}

// RoundTrip signs a request with the token.
func (t *tokenTransport) RoundTrip(request *http.Request) (*http.Response, error) {
	request = request.Clone(request.Context())
	request.Header.Set("Authorization", "Bearer "+t.token)
	return t.base.RoundTrip(request)
}

// auth is how git itself signs in: as x-access-token with the token.
func (r *hubRepository) auth(ctx context.Context) (transport.AuthMethod, error) {
	t, err := r.transportFor(ctx)
	if err != nil {
		return nil, err
	}
	token := r.hub.token
	if installation, ok := t.(*ghinstallation.Transport); ok {
		if token, err = installation.Token(ctx); err != nil {
			return nil, r.failed("getting an installation token", err)
		}
	}
	return &githttp.BasicAuth{Username: "x-access-token", Password: token}, nil
}

// signature is the author of commits: the configured one, else the App's bot
// user with the address by which GitHub knows it, else image-writeback.
func (r *Repository) signature(ctx context.Context) Signature {
	author := r.options.Author
	if author.Name != "" && author.Email != "" {
		return author
	}
	fallback := Signature{Name: "image-writeback", Email: "image-writeback@localhost"}
	if r.github != nil && r.github.hub.app != nil {
		// A name is not worth a cycle: without an answer the commit goes by
		// the fallback, and the next one asks again.
		if bot, err := r.github.botUser(ctx); err == nil {
			fallback = bot
		}
	}
	if author.Name == "" {
		author.Name = fallback.Name
	}
	if author.Email == "" {
		author.Email = fallback.Email
	}
	return author
}

func (r *hubRepository) botUser(ctx context.Context) (Signature, error) {
	g := r.hub
	g.mu.Lock()
	bot := g.bot
	g.mu.Unlock()
	if bot != nil {
		return *bot, nil
	}
	app, _, err := g.client(g.app).Apps.Get(ctx, "")
	if err != nil {
		return Signature{}, err
	}
	t, err := r.transportFor(ctx)
	if err != nil {
		return Signature{}, err
	}
	login := app.GetSlug() + "[bot]"
	user, _, err := g.client(t).Users.Get(ctx, login)
	if err != nil {
		return Signature{}, err
	}
	host := strings.TrimPrefix(g.api.Hostname(), "api.")
	found := Signature{Name: login, Email: fmt.Sprintf("%d+%s@users.noreply.%s", user.GetID(), login, host)}
	g.mu.Lock()
	g.bot = &found
	g.mu.Unlock()
	return found, nil
}

// failed puts an answer of GitHub's API in words, with what to do.
func (r *hubRepository) failed(doing string, err error) error {
	e := &Error{Repository: r.owner + "/" + r.name + " at GitHub", Doing: doing, Err: err}
	var answer *github.ErrorResponse
	var token *ghinstallation.HTTPError
	var limited *github.RateLimitError
	var abuse *github.AbuseRateLimitError
	status := 0
	switch {
	case errors.As(err, &limited), errors.As(err, &abuse):
		e.Err, e.Remedy = errors.New("GitHub's rate limit is used up"), "it is tried again in the next cycle"
		return e
	case errors.As(err, &answer) && answer.Response != nil:
		status = answer.Response.StatusCode
		e.Err = fmt.Errorf("GitHub answered %d %s", status, answer.Message)
		for _, detail := range answer.Errors {
			e.Err = fmt.Errorf("%w (%s)", e.Err, strings.TrimSpace(detail.Field+" "+detail.Code+" "+detail.Message))
		}
	case errors.As(err, &token) && token.Response != nil:
		status = token.Response.StatusCode
		e.Err = fmt.Errorf("GitHub answered %d", status)
	default:
		var failed *url.Error
		if errors.As(err, &failed) {
			e.Err = failed.Err
		}
		e.Remedy = "check github.apiURL and that it can be reached from here"
		return e
	}
	switch {
	case status == http.StatusUnauthorized:
		e.Remedy = "check github.app.id and its private key, or the token, and this machine's clock"
	case status == http.StatusForbidden:
		e.Remedy = "grant the App Contents and Pull requests, read and write, and accept the new permissions in its installation"
	case status == http.StatusNotFound:
		e.Remedy = "install the App on this repository, and check github.app.installationID"
	case status >= 500:
		e.Remedy = "GitHub has trouble; it is tried again in the next cycle"
	default:
		e.Remedy = "see GitHub's message"
	}
	return e
}
