// Package github implements the contract of package forge for github.com, GitHub
// Enterprise Cloud and GitHub Enterprise Server. [New] makes a [Client] of an App
// or of a personal access token.
//
// Use it for repositories and their pull requests only. The addresses of git
// itself are read by package giturl, and git's protocol is spoken by gitwrite.
package github

import (
	"context"
	"crypto/rsa"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/bradleyfalzon/ghinstallation/v2"
	"github.com/golang-jwt/jwt/v5"
	"github.com/google/go-github/v88/github"
	lru "github.com/hashicorp/golang-lru/v2"
	"golang.org/x/time/rate"

	"github.com/liverty-music/image-writeback/internal/forge"
	"github.com/liverty-music/image-writeback/internal/giturl"
	"github.com/liverty-music/image-writeback/internal/httpclient"
	"github.com/liverty-music/image-writeback/internal/secretfile"
)

// Options say which GitHub it is, and how to sign in there: as an App, or with a
// token where AppID is 0.
type Options struct {
	APIURL         string // such as https://api.github.com
	AppID          int64
	InstallationID int64 // 0: found for each repository
	PrivateKeyFile string
	TokenFile      string
	UserAgent      string
	// Guard decides to which addresses connections may be opened; nil: to all.
	Guard *httpclient.Guard
}

// Client is an App, or a personal access token, at one GitHub.
type Client struct {
	api            *url.URL
	server         giturl.Address                    // where repositories are
	base           http.RoundTripper                 // to the API alone
	key            *secretfile.File[*rsa.PrivateKey] // of the App; nil with a token
	appBy          func(key *rsa.PrivateKey) *ghinstallation.AppsTransport
	installationID int64 // 0: found from the repository
	token          *forge.Token
	userAgent      string
	// writes paces requests that change something: github.com allows 80 of them
	// a minute, and asks for a second between two. nil: a server of one's own.
	writes *rate.Limiter

	mu           sync.Mutex
	repositories *lru.Cache[string, *repository]  // by the key of owner/name
	limits       *lru.Cache[int64, *forge.Limits] // by installation; with a token there is one, 0
	bot          *author
}

// mostRepositories bounds how many repositories, each with its tokens, and how many
// installations are remembered. One that was forgotten costs a few requests.
const mostRepositories = 2000

type author struct{ name, email string }

// New returns a client. The error names the setting of config.yaml with a URL, a
// key or a token that cannot be read, and quotes neither key nor token.
func New(o Options) (*Client, error) {
	c, err := newClient(o)
	if err != nil {
		return nil, err
	}
	if o.AppID == 0 {
		c.token, err = forge.OpenToken("github.tokenFile", o.TokenFile)
		return c, err
	}

	c.key, err = secretfile.Open(o.PrivateKeyFile, func(data []byte) (*rsa.PrivateKey, error) {
		key, err := jwt.ParseRSAPrivateKeyFromPEM(data)
		if err != nil { // the parser's own message could quote the key
			return nil, fmt.Errorf("%s does not hold an RSA private key in PEM form; "+
				"download one from the App's settings", o.PrivateKeyFile)
		}
		return key, nil
	})
	if err != nil {
		return nil, fmt.Errorf("github.app.privateKeyFile: %w", err)
	}

	// One for each token: what renews it writes into it.
	c.appBy = func(key *rsa.PrivateKey) *ghinstallation.AppsTransport {
		t := ghinstallation.NewAppsTransportFromPrivateKey(c.base, o.AppID, key)
		t.BaseURL = strings.TrimSuffix(c.api.String(), "/")
		return t
	}
	return c, nil
}

// isApp reports whether the client is an App, and not the owner of a personal token.
func (c *Client) isApp() bool { return c.key != nil }

// app signs requests as the App itself.
func (c *Client) app() *ghinstallation.AppsTransport { return c.appBy(c.key.Current()) }

// newClient is a client that cannot sign in yet.
func newClient(o Options) (*Client, error) {
	api, err := forge.ParseURL("github.apiURL", o.APIURL)
	if err != nil {
		return nil, err
	}
	api.Path = strings.TrimSuffix(api.Path, "/") + "/"

	c := &Client{
		api:            api,
		server:         giturl.ParseAPI(o.APIURL),
		base:           forge.NewTransport(api, o.Guard),
		installationID: o.InstallationID,
		userAgent:      o.UserAgent,
	}
	if c.repositories, err = lru.New[string, *repository](mostRepositories); err != nil {
		return nil, err
	}
	if c.limits, err = lru.New[int64, *forge.Limits](mostRepositories); err != nil {
		return nil, err
	}
	if host := c.host(); host == "github.com" || strings.HasSuffix(host, ".ghe.com") {
		c.writes = rate.NewLimiter(rate.Every(time.Second), 20)
	}
	return c, nil
}

// host is the name that repositories have in their addresses.
func (c *Client) host() string { return strings.TrimPrefix(c.api.Hostname(), "api.") }

// Repository returns the repository of an address whose host is that of the API,
// ports aside and without its leading "api."; nil for any other.
func (c *Client) Repository(address giturl.Address) forge.Repository {
	if r := c.repository(address); r != nil {
		return r
	}
	return nil
}

func (c *Client) repository(address giturl.Address) *repository {
	owner := address.Owner() // without folders, which GitHub does not have: o/x/r is not x/r
	if owner == "" || strings.Contains(owner, "/") || !strings.EqualFold(address.Host(), c.host()) {
		return nil
	}
	r := &repository{client: c, owner: owner, name: address.Name()}

	c.mu.Lock()
	defer c.mu.Unlock()
	key := strings.ToLower(r.fullName())
	if opened, ok := c.repositories.Get(key); ok {
		return opened
	}
	c.repositories.Add(key, r)
	return r
}

// CheckLogin allows HTTPS, and what the API itself is reached by.
func (c *Client) CheckLogin(address giturl.Address) error { return forge.CheckLogin(c.server, address) }

// repository is one repository at GitHub.
type repository struct {
	client      *Client
	owner, name string

	mu             sync.Mutex
	installationID int64               // found, or configured
	sessions       map[rights]*session // with tokens for this repository alone
	open           []openPage          // the open pull requests when they were last listed
}

func (r *repository) fullName() string { return r.owner + "/" + r.name }

// rights are the permissions that a token of the App is asked for, beside that of
// reading metadata, which every token has. A personal token has those that it has.
type rights struct{ contents, pullRequests, members string }

var (
	toWrite   = rights{contents: "write"}
	toPropose = rights{contents: "write", pullRequests: "write"} // contents: to merge
	// GitHub finds no team for a token that may not read the members.
	toAskTeams = rights{contents: "write", pullRequests: "write", members: "read"}
	toCompare  = rights{contents: "read"}
)

// session signs requests about one repository with a token, which it renews.
type session struct {
	signer signer
	client *github.Client
}

// reach returns a session with the rights that are asked for, and no others.
func (r *repository) reach(ctx context.Context, asked rights) (*session, error) {
	r.mu.Lock()
	defer r.mu.Unlock()

	c := r.client
	if r.installationID == 0 {
		r.installationID = c.installationID
	}
	if r.installationID == 0 && c.isApp() {
		found, _, err := c.newAPI(c.app()).Apps.GetRepositoryInstallation(ctx, r.owner, r.name)
		if err != nil {
			return nil, r.failed("finding the App's installation", "Metadata: read", err)
		}
		r.installationID = found.GetID()
	}

	if !c.isApp() {
		asked = rights{} // there is one token
	}
	if opened, ok := r.sessions[asked]; ok {
		return opened, nil
	}
	if r.sessions == nil {
		r.sessions = map[rights]*session{}
	}
	opened := r.session(asked)
	r.sessions[asked] = opened

	return opened, nil
}

// session makes a session. No request is sent before it is used.
func (r *repository) session(asked rights) *session {
	c, id := r.client, r.installationID
	s := &session{signer: newPersonal(c.token, c.base)}
	if c.isApp() {
		s.signer = &installation{key: c.key, make: func(key *rsa.PrivateKey) *ghinstallation.Transport {
			t := ghinstallation.NewFromAppsTransport(c.appBy(key), id)
			t.InstallationTokenOptions = &github.InstallationTokenOptions{
				Repositories: []string{r.name}, Permissions: asked.permissions(),
			}
			return t
		}}
	}
	s.client = c.newAPI(c.limitsOf(id).Transport(s.signer))

	return s
}

func (a rights) permissions() *github.InstallationPermissions {
	given := func(level string) *string {
		if level == "" {
			return nil
		}
		return &level
	}

	return &github.InstallationPermissions{
		Contents: given(a.contents), PullRequests: given(a.pullRequests), Members: given(a.members),
	}
}

// forget makes the next request find the installation again: it was removed, and
// perhaps made again.
func (r *repository) forget() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.installationID, r.sessions = 0, nil
}

// limitsOf returns the rate limits of an installation, which all of its tokens share.
func (c *Client) limitsOf(installation int64) *forge.Limits {
	c.mu.Lock()
	defer c.mu.Unlock()
	if known, ok := c.limits.Get(installation); ok {
		return known
	}

	limits := &forge.Limits{Writes: c.writes}
	c.limits.Add(installation, limits)

	return limits
}

// newAPI returns the library's client for a transport.
func (c *Client) newAPI(t http.RoundTripper) *github.Client {
	base := c.api.String()
	// The transport limits the time of each attempt, and keeps to the rate limits.
	api, err := github.NewClient(github.WithTransport(t), github.WithURLs(&base, nil),
		github.WithUserAgent(c.userAgent), github.WithDisableRateLimitCheck())
	if err != nil {
		panic(err) // the URL has been parsed
	}
	return api
}

// Login returns a token of the installation that can write the contents of this
// repository, and nothing else; or the personal token.
func (r *repository) Login(ctx context.Context, refused string) (user, password string, err error) {
	in, err := r.reach(ctx, toWrite)
	if err != nil {
		return "", "", err
	}

	if password, err = in.signer.token(ctx, refused); err != nil {
		return "", "", r.failed("getting an installation token", writeContents, err)
	}
	return "x-access-token", password, nil
}

// Author returns the App's bot user with the address by which GitHub knows it.
// Both are empty with a token, and where GitHub does not answer: a cycle goes on
// without a name, and the next one asks again.
func (r *repository) Author(ctx context.Context) (name, email string) {
	c := r.client
	if !c.isApp() {
		return "", ""
	}
	c.mu.Lock()
	bot := c.bot
	c.mu.Unlock()
	if bot != nil {
		return bot.name, bot.email
	}

	app, _, err := c.newAPI(c.app()).Apps.Get(ctx, "")
	if err != nil {
		return "", ""
	}
	in, err := r.reach(ctx, toWrite)
	if err != nil {
		return "", ""
	}
	login := app.GetSlug() + "[bot]"
	user, _, err := in.client.Users.Get(ctx, login)
	if err != nil {
		return "", ""
	}

	bot = &author{login, fmt.Sprintf("%d+%s@users.noreply.%s", user.GetID(), login, c.host())}
	c.mu.Lock()
	c.bot = bot
	c.mu.Unlock()
	return bot.name, bot.email
}
