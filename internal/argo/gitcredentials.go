package argo

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/liverty-music/image-writeback/internal/giturl"
)

// RepositoryCredentials are those of one git repository, with the fields of
// Argo CD's repository Secrets; the zero value is none.
type RepositoryCredentials struct {
	Username, Password string
	BearerToken        string
	SSHPrivateKey      []byte
	KnownHosts         string // content of a known_hosts file; empty: the user's own
	// A GitHub App of the repository's own; GitHubURL is the API of an
	// Enterprise Server, empty for github.com.
	GitHubAppID, GitHubInstallationID int64
	GitHubAppKey                      []byte
	GitHubURL                         string
	GCPServiceAccountKey              []byte // JSON
	TLSClientCert, TLSClientKey       []byte // PEM
	CA                                []byte // PEM, beside the system's
	Insecure                          bool   // neither certificates nor host keys are verified
	Proxy, NoProxy                    string
}

// RepositorySecret is a Secret by which Argo CD reads repositories.
type RepositorySecret struct {
	Name     string // namespace/name
	Template bool   // for all repositories whose URL begins with its url
	Data     map[string][]byte
}

// GitCredentials finds the credentials of repositories in Secrets. It is safe
// for concurrent use.
type GitCredentials struct {
	// Secret returns the data of a Secret. Its error names the Secret.
	Secret func(ctx context.Context, namespace, name string) (map[string][]byte, error)
	// Repositories returns Argo CD's repository Secrets; nil if there is no cluster.
	Repositories func(ctx context.Context) ([]RepositorySecret, error)
	// Trust returns Argo CD's known SSH hosts, and by host the certificates
	// that it trusts; nil if there is no cluster.
	Trust func(ctx context.Context) (knownHosts string, certificates map[string]string)

	mu           sync.Mutex
	secrets      []RepositorySecret
	listed       time.Time
	knownHosts   string
	certificates map[string]string
	trusted      time.Time
}

// listLife is how long the list of Argo CD's Secrets is used before it is
// asked for again: a cycle can need it for thousands of repositories.
const listLife = 30 * time.Second

func (g *GitCredentials) list(ctx context.Context) ([]RepositorySecret, error) {
	g.mu.Lock()
	defer g.mu.Unlock()

	if g.Repositories == nil || !g.listed.IsZero() && time.Since(g.listed) < listLife {
		return g.secrets, nil
	}

	secrets, err := g.Repositories(ctx)
	if err == nil {
		g.secrets, g.listed = secrets, time.Now()
	}

	return secrets, err
}

func (g *GitCredentials) trust(ctx context.Context) (knownHosts string, certificates map[string]string) {
	g.mu.Lock()
	defer g.mu.Unlock()

	if g.Trust != nil && time.Since(g.trusted) >= listLife {
		g.knownHosts, g.certificates = g.Trust(ctx)
		g.trusted = time.Now()
	}

	return g.knownHosts, g.certificates
}

// Scoped reports whether Argo CD has credentials for a repository that only one
// of its projects may use.
func (g *GitCredentials) Scoped(ctx context.Context, address string) bool {
	secrets, err := g.list(ctx)
	if err != nil {
		return false // Find returns the error
	}

	want := giturl.Parse(address)
	for _, secret := range secrets {
		if len(secret.Data["project"]) > 0 && secret.covers(want) {
			return true
		}
	}

	return false
}

// Find returns the credentials that an Application's write-back-method asks
// for: those of secret:NAMESPACE/NAME, else of the Secret by which Argo CD
// itself reads the repository for a project, else none. Errors name the Secret
// and never quote it.
func (g *GitCredentials) Find(ctx context.Context, address, from, project string) (RepositoryCredentials, error) {
	found, err := g.find(ctx, address, from, project)
	if err == nil {
		knownHosts, certificates := g.trust(ctx)
		found.KnownHosts = knownHosts
		found.CA = []byte(certificates[giturl.Parse(address).Host()])
	}

	return found, err
}

func (g *GitCredentials) find(ctx context.Context, address, from, project string) (RepositoryCredentials, error) {
	if reference, ok := strings.CutPrefix(from, "secret:"); ok {
		return g.named(ctx, reference)
	}

	secrets, err := g.list(ctx)
	if err != nil {
		return RepositoryCredentials{}, err
	}

	return match(secrets, address, project)
}

func (g *GitCredentials) named(ctx context.Context, reference string) (RepositoryCredentials, error) {
	namespace, name, _ := strings.Cut(reference, "/")
	data, err := g.Secret(ctx, namespace, name)
	if err != nil {
		return RepositoryCredentials{}, err
	}

	found, err := credentialsOf(data)
	if err == nil && !found.present() {
		err = errors.New("it has neither username and password, nor sshPrivateKey, nor githubAppID")
	}
	if err != nil {
		return RepositoryCredentials{}, fmt.Errorf("the Secret %s: %w", reference, err)
	}

	return found, nil
}

// present reports whether there is anything to sign in with.
func (c RepositoryCredentials) present() bool {
	return c.Username != "" || c.Password != "" || c.BearerToken != "" || len(c.SSHPrivateKey) > 0 || c.GitHubAppID != 0 ||
		len(c.GCPServiceAccountKey) > 0 || len(c.TLSClientCert) > 0
}

// credentialsOf reads the fields of a Secret. The error names the field that
// is wrong or missing.
func credentialsOf(data map[string][]byte) (RepositoryCredentials, error) {
	text := func(key string) string { return strings.TrimSpace(string(data[key])) }
	c := RepositoryCredentials{
		Username: text("username"), Password: text("password"), BearerToken: text("bearerToken"), SSHPrivateKey: data["sshPrivateKey"],
		GCPServiceAccountKey: data["gcpServiceAccountKey"], TLSClientCert: data["tlsClientCertData"], TLSClientKey: data["tlsClientCertKey"],
		GitHubURL: text("githubAppEnterpriseBaseUrl"), GitHubAppKey: data["githubAppPrivateKey"], Proxy: text("proxy"), NoProxy: text("noProxy"),
	}

	var problems []error
	number := func(key string) int64 {
		value := text(key)
		if value == "" {
			return 0
		}
		n, err := strconv.ParseInt(value, 10, 64)
		if err != nil || n <= 0 {
			problems = append(problems, fmt.Errorf("its field %s is not a number", key))
		}
		return n
	}

	c.GitHubAppID, c.GitHubInstallationID = number("githubAppID"), number("githubAppInstallationID")
	for _, key := range []string{"insecure", "insecureIgnoreHostKey"} {
		if value := text(key); value != "" {
			yes, err := strconv.ParseBool(value)
			if err != nil {
				problems = append(problems, fmt.Errorf("its field %s is neither true nor false", key))
			}
			c.Insecure = c.Insecure || yes
		}
	}

	for _, pair := range [][2]string{{"username", "password"}, {"githubAppID", "githubAppPrivateKey"}, {"githubAppPrivateKey", "githubAppID"},
		{"tlsClientCertData", "tlsClientCertKey"}, {"tlsClientCertKey", "tlsClientCertData"}} {
		if text(pair[0]) != "" && text(pair[1]) == "" {
			problems = append(problems, fmt.Errorf("it has the field %s, but no %s", pair[0], pair[1]))
		}
	}

	return c, errors.Join(problems...)
}

// match finds the Secret of a repository: that of the project before that of
// all projects. If it has no credentials of its own, they come from the
// template with the longest prefix of the URL, as in Argo CD.
func match(secrets []RepositorySecret, address, project string) (RepositoryCredentials, error) {
	want := giturl.Parse(address)

	var own, template RepositorySecret
	for _, secret := range secrets {
		of := string(secret.Data["project"])
		if of != "" && of != project || !secret.covers(want) {
			continue
		}

		switch {
		case !secret.Template:
			if own.Data == nil || of != "" {
				own = secret
			}
		case template.Data == nil || len(secret.address().ProtocolKey()) > len(template.address().ProtocolKey()):
			template = secret
		}
	}

	found, err := credentialsOf(own.Data)
	if err != nil {
		return found, fmt.Errorf("the Secret %s: %w", own.Name, err)
	}
	if found.present() || template.Data == nil {
		return found, nil
	}

	inherited, err := credentialsOf(template.Data)
	if err != nil {
		return found, fmt.Errorf("the Secret %s: %w", template.Name, err)
	}

	inherited.Insecure = inherited.Insecure || found.Insecure
	if found.Proxy != "" {
		inherited.Proxy, inherited.NoProxy = found.Proxy, found.NoProxy
	}

	return inherited, nil
}

// covers reports whether a Secret is for a repository, or a template for its URL.
func (s RepositorySecret) covers(want giturl.Address) bool {
	if s.Template {
		return s.address().Covers(want)
	}

	return s.address().ProtocolKey() == want.ProtocolKey()
}

func (s RepositorySecret) address() giturl.Address { return giturl.Parse(string(s.Data["url"])) }
