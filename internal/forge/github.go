package forge

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"path"
	"strings"
	"sync"
	"time"

	"github.com/bradleyfalzon/ghinstallation/v2"
	"github.com/golang-jwt/jwt/v5"
	"github.com/google/go-github/v88/github"
	"golang.org/x/time/rate"

	"github.com/liverty-music/image-writeback/internal/giturl"
)

// GitHub is an App, or a personal access token, at one GitHub.
type GitHub struct {
	api          *url.URL
	app          func() *ghinstallation.AppsTransport // nil with a token
	installation int64                                // 0: found from the repository
	token        string
	userAgent    string
	// writes paces requests that change something: github.com allows 80 of them
	// a minute, and asks for a second between two. nil: a server of one's own.
	writes *rate.Limiter

	mu            sync.Mutex
	repositories  map[string]*GitHubRepository // by owner/name
	installations map[int64]*installation
	bot           *author
}

// installation is one of the App's, or the token, with its own rate limit.
type installation struct {
	tokens *ghinstallation.Transport // nil with a token
	client *github.Client
}

type author struct{ name, email string }

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
	parsed, err := jwt.ParseRSAPrivateKeyFromPEM(key)
	if err != nil {
		// The parser's own message could quote the key.
		return nil, fmt.Errorf("github.app.privateKeyFile: %s holds no RSA private key in PEM form; download one from the App's settings", privateKeyFile)
	}
	base := httpTransport()
	// One for each installation: what renews its tokens writes into it.
	g.app = func() *ghinstallation.AppsTransport {
		t := ghinstallation.NewAppsTransportFromPrivateKey(base, appID, parsed)
		t.BaseURL = strings.TrimSuffix(g.api.String(), "/")
		return t
	}
	g.installation = installation
	return g, nil
}

// NewGitHubToken returns GitHub with a personal access token from a file.
func NewGitHubToken(apiURL, tokenFile, userAgent string) (*GitHub, error) {
	g, err := newGitHub(apiURL, userAgent)
	if err != nil {
		return nil, err
	}
	g.token, err = readToken("github.tokenFile", tokenFile)
	return g, err
}

func readToken(key, file string) (string, error) {
	content, err := os.ReadFile(file)
	if err != nil {
		return "", fmt.Errorf("%s: %w", key, err)
	}
	token := strings.TrimSpace(string(content))
	if token == "" {
		return "", fmt.Errorf("%s: %s is empty", key, file)
	}
	return token, nil
}

func newGitHub(apiURL, userAgent string) (*GitHub, error) {
	api, err := url.Parse(apiURL)
	if err != nil || api.Host == "" || api.Scheme != "https" && api.Scheme != "http" {
		return nil, fmt.Errorf("github.apiURL: %q is no http or https URL", apiURL)
	}
	api.Path = strings.TrimSuffix(api.Path, "/") + "/"
	g := &GitHub{api: api, userAgent: userAgent, repositories: map[string]*GitHubRepository{}, installations: map[int64]*installation{}}
	if host := g.host(); host == "github.com" || strings.HasSuffix(host, ".ghe.com") {
		g.writes = rate.NewLimiter(rate.Every(time.Second), 20)
	}
	return g, nil
}

// host is the name that repositories have in their addresses.
func (g *GitHub) host() string { return strings.TrimPrefix(g.api.Hostname(), "api.") }

// Repository returns the repository of an address whose host is that of the
// API, ports aside and without its leading "api."; nil for any other.
func (g *GitHub) Repository(repository string) *GitHubRepository {
	at := giturl.Parse(repository)
	if at.Owner() == "" || !strings.EqualFold(at.Host(), g.host()) {
		return nil
	}
	r := &GitHubRepository{hub: g, owner: path.Base(at.Owner()), name: at.Name()}
	g.mu.Lock()
	defer g.mu.Unlock()
	if known, ok := g.repositories[r.fullName()]; ok {
		return known
	}
	g.repositories[r.fullName()] = r
	return r
}

// GitHubRepository is one repository at GitHub.
type GitHubRepository struct {
	hub         *GitHub
	owner, name string

	mu        sync.Mutex
	installed int64      // found, or configured
	open      []openPage // the open pull requests when they were last listed
}

func (r *GitHubRepository) fullName() string { return r.owner + "/" + r.name }

// reach returns the installation that may work on the repository.
func (r *GitHubRepository) reach(ctx context.Context) (*installation, error) {
	g := r.hub
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.installed == 0 {
		r.installed = g.installation
	}
	if r.installed == 0 && g.app != nil {
		found, _, err := g.client(g.app()).Apps.GetRepositoryInstallation(ctx, r.owner, r.name)
		if err != nil {
			return nil, r.failed("finding the App's installation", "Metadata: read", err)
		}
		r.installed = found.GetID()
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	known, ok := g.installations[r.installed]
	if !ok {
		known = &installation{}
		base := http.RoundTripper(&tokenTransport{token: g.token, base: httpTransport()})
		if g.app != nil {
			known.tokens = ghinstallation.NewFromAppsTransport(g.app(), r.installed)
			known.tokens.InstallationTokenOptions = &github.InstallationTokenOptions{} // without them it sends null
			base = known.tokens
		}
		known.client = g.client(&patient{base: base, writes: g.writes})
		g.installations[r.installed] = known
	}
	return known, nil
}

// forget has the installation found anew: it was removed and made again.
func (r *GitHubRepository) forget() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.installed = 0
}

func (g *GitHub) client(t http.RoundTripper) *github.Client {
	base := g.api.String()
	// The transport limits each attempt: waiting for a rate limit is not one,
	// and our own patience stands in for the library's.
	c, err := github.NewClient(github.WithTransport(t), github.WithURLs(&base, nil), github.WithUserAgent(g.userAgent), github.WithDisableRateLimitCheck())
	if err != nil {
		panic(err) // the URL has been parsed
	}
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

// Login is how git itself signs in.
func (r *GitHubRepository) Login(ctx context.Context) (user, password string, err error) {
	found, err := r.reach(ctx)
	if err != nil {
		return "", "", err
	}
	password = r.hub.token
	if found.tokens != nil {
		if password, err = found.tokens.Token(ctx); err != nil {
			return "", "", r.failed("getting an installation token", "Contents: read and write", err)
		}
	}
	return "x-access-token", password, nil
}

// Author is the App's bot user with the address by which GitHub knows it;
// empty with a token, and where GitHub does not answer: a name is not worth a
// cycle, and the next one asks again.
func (r *GitHubRepository) Author(ctx context.Context) (name, email string) {
	g := r.hub
	if g.app == nil {
		return "", ""
	}
	g.mu.Lock()
	bot := g.bot
	g.mu.Unlock()
	if bot == nil {
		app, _, err := g.client(g.app()).Apps.Get(ctx, "")
		if err != nil {
			return "", ""
		}
		found, err := r.reach(ctx)
		if err != nil {
			return "", ""
		}
		login := app.GetSlug() + "[bot]"
		user, _, err := found.client.Users.Get(ctx, login)
		if err != nil {
			return "", ""
		}
		bot = &author{login, fmt.Sprintf("%d+%s@users.noreply.%s", user.GetID(), login, g.host())}
		g.mu.Lock()
		g.bot = bot
		g.mu.Unlock()
	}
	return bot.name, bot.email
}
