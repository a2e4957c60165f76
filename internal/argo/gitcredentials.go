package argo

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

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

// GitCredentials finds the credentials of repositories in Secrets.
type GitCredentials struct {
	Secret func(ctx context.Context, namespace, name string) (map[string][]byte, error)
	// Repositories returns Argo CD's repository Secrets; nil where there is no cluster.
	Repositories func(ctx context.Context) ([]map[string][]byte, error)
	// Trust returns Argo CD's known SSH hosts, and by host the certificates
	// that it trusts; nil where there is no cluster.
	Trust func(ctx context.Context) (knownHosts string, certificates map[string]string)

	mu           sync.Mutex
	secrets      []map[string][]byte
	listed       time.Time
	knownHosts   string
	certificates map[string]string
	trusted      time.Time
}

// listLife is how long the list of Argo CD's Secrets is used before it is
// asked for again: a cycle may need it for thousands of repositories.
const listLife = 30 * time.Second

func (g *GitCredentials) list(ctx context.Context) ([]map[string][]byte, error) {
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

// Scoped tells whether Argo CD has credentials for a repository that only one
// of its projects may use.
func (g *GitCredentials) Scoped(ctx context.Context, address string) bool {
	secrets, err := g.list(ctx)
	if err != nil {
		return false // Find says it
	}
	for _, data := range secrets {
		if len(data["project"]) > 0 && covers(data, giturl.Parse(address)) {
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
	var found RepositoryCredentials
	var err error
	if reference, ok := strings.CutPrefix(from, "secret:"); ok {
		found, err = g.named(ctx, reference)
	} else {
		var secrets []map[string][]byte
		if secrets, err = g.list(ctx); err == nil {
			found, err = match(secrets, address, project)
		}
	}
	if err == nil {
		knownHosts, certificates := g.trust(ctx)
		found.KnownHosts = knownHosts
		found.CA = []byte(certificates[giturl.Parse(address).Host()])
	}
	return found, err
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

// present tells whether anything is there to sign in with.
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
			problems = append(problems, fmt.Errorf("its field %s is no number", key))
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

// match finds the Secret of a repository: the one of the project before the
// one of all. Where it has no credentials of its own, they come from the
// template with the longest prefix of the URL, as in Argo CD.
func match(secrets []map[string][]byte, address, project string) (RepositoryCredentials, error) {
	want := giturl.Parse(address)
	var own, template map[string][]byte
	for _, data := range secrets {
		of := string(data["project"])
		if of != "" && of != project || !covers(data, want) {
			continue
		}
		switch {
		case string(data[templateMark]) == "":
			if own == nil || of != "" {
				own = data
			}
		case template == nil || len(addressOf(data).ProtocolKey()) > len(addressOf(template).ProtocolKey()):
			template = data
		}
	}
	found, err := credentialsOf(own)
	if err != nil {
		return found, fmt.Errorf("the Secret %s: %w", own[nameMark], err)
	}
	if found.present() || template == nil {
		return found, nil
	}
	inherited, err := credentialsOf(template)
	if err != nil {
		return found, fmt.Errorf("the Secret %s: %w", template[nameMark], err)
	}
	inherited.Insecure = inherited.Insecure || found.Insecure
	if found.Proxy != "" {
		inherited.Proxy, inherited.NoProxy = found.Proxy, found.NoProxy
	}
	return inherited, nil
}

// covers reports whether a Secret is of a repository, or a template of its URL.
func covers(data map[string][]byte, want giturl.Address) bool {
	if string(data[templateMark]) != "" {
		return addressOf(data).Covers(want)
	}
	return addressOf(data).ProtocolKey() == want.ProtocolKey()
}

func addressOf(data map[string][]byte) giturl.Address { return giturl.Parse(string(data["url"])) }

// templateMark and nameMark are added to the data of Secrets: whether it is a
// credential template, and its name. No Secret can have such keys.
const (
	templateMark = "/template"
	nameMark     = "/name"
)

// RepositorySecrets lists the Secrets by which Argo CD reads repositories, and
// its credential templates.
func (c *Cluster) RepositorySecrets(ctx context.Context, namespace string) ([]map[string][]byte, error) {
	list, err := c.core.Secrets(namespace).List(ctx, metav1.ListOptions{LabelSelector: "argocd.argoproj.io/secret-type in (repository, repo-creds)"})
	if err != nil {
		return nil, fmt.Errorf("listing Argo CD's repository Secrets in namespace %s: %w; grant list on secrets there, or set github.app in config.yaml", namespace, err)
	}
	var all []map[string][]byte
	for _, secret := range list.Items {
		data := secret.Data
		if data == nil {
			continue
		}
		data[nameMark] = []byte(namespace + "/" + secret.Name)
		if secret.Labels["argocd.argoproj.io/secret-type"] == "repo-creds" {
			data[templateMark] = []byte("yes")
		}
		all = append(all, data)
	}
	return all, nil
}

// Trust is Argo CD's own list of SSH hosts, and by host the certificates that
// it trusts; what cannot be read is empty.
func (c *Cluster) Trust(ctx context.Context, namespace string) (knownHosts string, certificates map[string]string) {
	maps := c.core.ConfigMaps(namespace)
	if hosts, err := maps.Get(ctx, "argocd-ssh-known-hosts-cm", metav1.GetOptions{}); err == nil {
		knownHosts = hosts.Data["ssh_known_hosts"]
	}
	if trusted, err := maps.Get(ctx, "argocd-tls-certs-cm", metav1.GetOptions{}); err == nil {
		certificates = trusted.Data
	}
	return knownHosts, certificates
}
