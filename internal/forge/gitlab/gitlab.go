// Package gitlab implements the contract of package forge for gitlab.com and for
// GitLab servers. [New] makes a [Client] of a personal, group or project access
// token. Pull requests are called merge requests there, and a repository is a
// project.
//
// Use it for projects and their merge requests only. The addresses of git itself
// are read by package giturl, and git's protocol is spoken by gitwrite.
package gitlab

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"sync"

	lru "github.com/hashicorp/golang-lru/v2"
	gitlab "gitlab.com/gitlab-org/api/client-go"
	"golang.org/x/time/rate"

	"github.com/liverty-music/image-writeback/internal/forge"
	"github.com/liverty-music/image-writeback/internal/giturl"
	"github.com/liverty-music/image-writeback/internal/httpclient"
)

// Options say which GitLab it is, and how to sign in there.
type Options struct {
	URL       string // such as https://gitlab.com, or with the path below which GitLab is
	TokenFile string // the token needs the scopes api and write_repository
	UserAgent string
	// Guard decides to which addresses connections may be opened; nil: to all.
	Guard *httpclient.Guard
}

// Client is a personal, group or project access token at one GitLab.
type Client struct {
	url   *url.URL
	token *forge.Token
	api   *gitlab.Client

	mu           sync.Mutex
	repositories *lru.Cache[string, *repository] // by the key of their path
	users        *lru.Cache[string, int64]       // by username
	self         *author
}

// mostRemembered bounds how many projects, and how many users, are remembered. One that
// was forgotten costs a request.
const mostRemembered = 2000

type author struct{ name, email string }

// New returns a client. The error names the setting of config.yaml with a URL or
// a token that cannot be read.
func New(o Options) (*Client, error) {
	at, err := forge.ParseURL("gitlab.url", o.URL)
	if err != nil {
		return nil, err
	}
	c := &Client{url: at}
	if c.repositories, err = lru.New[string, *repository](mostRemembered); err != nil {
		return nil, err
	}
	if c.users, err = lru.New[string, int64](mostRemembered); err != nil {
		return nil, err
	}
	if c.token, err = forge.OpenToken("gitlab.tokenFile", o.TokenFile); err != nil {
		return nil, err
	}

	// The transport signs, and keeps to the rate limits, as for all forges.
	transport := (&forge.Limits{}).Transport(c.token.Transport(forge.NewTransport(at, o.Guard),
		func(h http.Header, token string) { h.Set("PRIVATE-TOKEN", token) }))
	c.api, err = gitlab.NewClient("", gitlab.WithBaseURL(o.URL), gitlab.WithUserAgent(o.UserAgent),
		gitlab.WithoutRetries(), gitlab.WithCustomLimiter(rate.NewLimiter(rate.Inf, 1)),
		gitlab.WithHTTPClient(&http.Client{Transport: transport}))
	if err != nil {
		return nil, fmt.Errorf("gitlab.url: %w", err)
	}
	return c, nil
}

// Repository returns the project of an address at this GitLab, ports aside; nil
// for any other.
func (c *Client) Repository(address giturl.Address) forge.Repository {
	if r := c.repository(address); r != nil {
		return r
	}
	return nil
}

// CheckLogin allows HTTPS, and what GitLab itself is reached by.
func (c *Client) CheckLogin(address giturl.Address) error {
	return forge.CheckLogin(giturl.Parse(c.url.Scheme+"://"+c.url.Host), address)
}

func (c *Client) repository(address giturl.Address) *repository {
	if address.Owner() == "" || !strings.EqualFold(address.Host(), c.url.Hostname()) {
		return nil
	}
	// GitLab itself may be below a path.
	path := strings.TrimPrefix(address.Path(), strings.Trim(c.url.Path, "/")+"/")

	c.mu.Lock()
	defer c.mu.Unlock()
	key := strings.ToLower(path)
	if opened, ok := c.repositories.Get(key); ok {
		return opened
	}
	r := &repository{client: c, path: path}
	c.repositories.Add(key, r)
	return r
}

// repository is one project at GitLab.
type repository struct {
	client *Client
	path   string // with its groups
}

// Login returns the token.
func (r *repository) Login(_ context.Context, refused string) (user, password string, err error) {
	return "oauth2", r.client.token.Current(refused), nil
}

// Author returns the user of the token; empty where GitLab does not answer.
func (r *repository) Author(ctx context.Context) (name, email string) {
	c := r.client
	c.mu.Lock()
	self := c.self
	c.mu.Unlock()
	if self != nil {
		return self.name, self.email
	}

	user, _, err := c.api.Users.CurrentUser(gitlab.WithContext(ctx))
	if err != nil {
		return "", ""
	}
	self = &author{user.Name, user.Email}
	c.mu.Lock()
	c.self = self
	c.mu.Unlock()
	return self.name, self.email
}

// CompareURL returns the page that shows people what lies between two commits of
// a project at gitlab.com; empty for a project elsewhere.
func CompareURL(source giturl.Address, from, to string) string {
	if !strings.EqualFold(source.Host(), "gitlab.com") || source.Owner() == "" {
		return ""
	}
	return "https://gitlab.com/" + source.Path() + "/-/compare/" + from + "..." + to
}

// Compare needs the token to have access to the project.
func (r *repository) Compare(ctx context.Context, from, to string) (forge.Comparison, error) {
	options := &gitlab.CompareOptions{From: &from, To: &to}
	answer, _, err := r.client.api.Repositories.Compare(r.path, options, gitlab.WithContext(ctx))
	if err != nil {
		return forge.Comparison{}, r.failed("comparing two commits", err)
	}

	c := forge.Comparison{URL: answer.WebURL, Total: len(answer.Commits)}
	for i := len(answer.Commits) - 1; i >= 0 && len(c.Commits) < forge.MostCompared; i-- {
		one := answer.Commits[i]
		c.Commits = append(c.Commits, forge.ComparedCommit{SHA: one.ID, Subject: one.Title, URL: one.WebURL})
	}
	return c, nil
}
