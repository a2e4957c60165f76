package gitwrite

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/liverty-music/image-writeback/internal/giturl"
	"github.com/liverty-music/image-writeback/internal/httpclient"
)

// ArgoSecrets finds the credentials of repositories in the Secrets that Argo CD
// uses to read them. The fields of the Secrets, and how a Secret is matched to a
// repository, are defined by Argo CD.
// https://argo-cd.readthedocs.io/en/stable/operator-manual/declarative-setup/#repositories
//
// It is safe for concurrent use. Errors name the Secret and never quote it.
type ArgoSecrets struct {
	// Secret returns the data of a Secret. Its error names the Secret.
	Secret func(ctx context.Context, namespace, name string) (map[string][]byte, error)
	// Repositories returns the Secrets of repositories and the credential templates;
	// nil if there is no cluster.
	Repositories func(ctx context.Context) ([]RepositorySecret, error)
	// Trust returns Argo CD's known SSH hosts and its trusted certificates by host; nil
	// if there is no cluster.
	Trust func(ctx context.Context) (knownHosts string, certificates map[string]string)
	// Servers are the operator's own git servers, beside those of Repositories: only
	// there a Secret without url is used that nothing vouches for.
	Servers []giturl.Address
	// Remedy says what lets the Applications of a project use a Secret, NAMESPACE/NAME, for a host; nil:
	// only a url in the Secret does.
	Remedy func(secret, host, project string) string

	mu           sync.Mutex
	secrets      []RepositorySecret
	listed       time.Time
	knownHosts   string
	certificates map[string]string
	trusted      time.Time
}

// RepositorySecret is a Secret that Argo CD uses to read repositories.
type RepositorySecret struct {
	Name     string // namespace/name
	Template bool   // for all repositories whose URL begins with the Secret's url
	Data     map[string][]byte
}

// listLife is how long the list of Argo CD's Secrets is used before it is
// requested again: a cycle can need it for thousands of repositories.
const listLife = 30 * time.Second

func (a *ArgoSecrets) list(ctx context.Context) ([]RepositorySecret, error) {
	a.mu.Lock()
	defer a.mu.Unlock()

	if a.Repositories == nil || !a.listed.IsZero() && time.Since(a.listed) < listLife {
		return a.secrets, nil
	}

	secrets, err := a.Repositories(ctx)
	if err == nil {
		a.secrets, a.listed = secrets, time.Now()
	}

	return secrets, err
}

func (a *ArgoSecrets) trust(ctx context.Context) (knownHosts string, certificates map[string]string) {
	a.mu.Lock()
	defer a.mu.Unlock()

	if a.Trust != nil && time.Since(a.trusted) >= listLife {
		a.knownHosts, a.certificates = a.Trust(ctx)
		a.trusted = time.Now()
	}

	return a.knownHosts, a.certificates
}

// ProjectRepositories returns, by project, the repositories for which a project has a
// Secret of its own. The error is for Secrets that cannot be listed.
func (a *ArgoSecrets) ProjectRepositories(ctx context.Context) (map[string][]string, error) {
	secrets, err := a.list(ctx)
	if err != nil {
		return nil, err
	}

	all := map[string][]string{}
	for _, secret := range secrets {
		if project := secret.project(); project != "" && !secret.Template {
			all[project] = append(all[project], string(secret.Data["url"]))
		}
	}

	return all, nil
}

// Scoped reports whether Argo CD has credentials for a repository that only one
// of its projects may use.
func (a *ArgoSecrets) Scoped(ctx context.Context, url string) bool {
	secrets, err := a.list(ctx)
	if err != nil {
		return false // Find returns the error
	}

	address := giturl.Parse(url)
	for _, secret := range secrets {
		if secret.project() != "" && secret.covers(address) {
			return true
		}
	}

	return false
}

// Find returns the credentials that an Application's write-back-method selects: from
// the Secret of secret:NAMESPACE/NAME, else from the Secret that Argo CD itself uses
// for the repository and the project, else none.
func (a *ArgoSecrets) Find(ctx context.Context, access Access) (Credentials, error) {
	found, err := a.find(ctx, access)
	if err != nil {
		return Credentials{}, err
	}

	knownHosts, certificates := a.trust(ctx)
	found.KnownHosts = knownHosts
	found.CA = []byte(certificates[giturl.Parse(access.URL).Host()])

	return found, nil
}

func (a *ArgoSecrets) find(ctx context.Context, access Access) (Credentials, error) {
	if _, _, ok := access.secret(); ok {
		return a.named(ctx, access)
	}

	secrets, err := a.list(ctx)
	if err != nil {
		return Credentials{}, err
	}

	return matchSecrets(secrets, giturl.Parse(access.URL), access.Project)
}

// ElsewhereError means that credentials must not be sent to a repository: nothing says
// that they are for its server.
type ElsewhereError struct{ Reason, Remedy string }

// Error returns the reason.
func (e *ElsewhereError) Error() string { return e.Reason }

// named returns the credentials of the Secret that an Application names. The error is an
// *[ElsewhereError] if the Secret is for other repositories.
func (a *ArgoSecrets) named(ctx context.Context, access Access) (Credentials, error) {
	namespace, name, _ := access.secret()
	data, err := a.Secret(ctx, namespace, name)
	if err != nil {
		return Credentials{}, err
	}

	if err := a.mayUse(ctx, access, data); err != nil {
		return Credentials{}, err
	}
	found, err := readSecret(data)
	if err == nil && !found.present() {
		err = errors.New("it has neither username and password, nor sshPrivateKey, nor githubAppID")
	}

	if err != nil {
		return Credentials{}, fmt.Errorf("the Secret %s/%s: %w", namespace, name, err)
	}

	return found, nil
}

// mayUse reports whether the Secret that an Application names may be used for a
// repository: its url covers the repository's address. Without url, something vouches
// for it, or the repository is at a server that is the operator's.
func (a *ArgoSecrets) mayUse(ctx context.Context, access Access, data map[string][]byte) error {
	namespace, name, _ := access.secret()
	secret, address := namespace+"/"+name, giturl.Parse(access.URL)

	if covered := strings.TrimSpace(string(data["url"])); covered != "" {
		if giturl.Parse(covered).Covers(address) {
			return nil
		}
		return &ElsewhereError{
			Reason: fmt.Sprintf("the url of the Secret %s does not cover this repository", secret),
			Remedy: "name a Secret whose url covers the repository: the same protocol, host and port, and the " +
				"beginning of its path",
		}
	}
	if access.Vouched || a.known(ctx, address) {
		return nil
	}

	remedy := fmt.Sprintf("add a url to the Secret, such as %s", address.Public())
	if host := address.HostPort(); a.Remedy != nil && host != "" {
		remedy += ", or " + a.Remedy(secret, host, access.Project)
	}

	return &ElsewhereError{
		Reason: fmt.Sprintf("the Secret %s has no url, so nothing says that it may be sent to this server", secret),
		Remedy: remedy,
	}
}

// known reports whether an address is at a server that is the operator's: a forge of the
// configuration, or one of which Argo CD has repositories. Those of a single project do
// not count: people of the project may have added them.
func (a *ArgoSecrets) known(ctx context.Context, address giturl.Address) bool {
	host := address.HostPort()
	if host == "" {
		return false
	}
	for _, server := range a.Servers {
		if server.HostPort() == host || address.ServedBy(server) {
			return true
		}
	}

	secrets, err := a.list(ctx)
	if err != nil {
		return false // the Secret is then refused, with the remedy
	}

	return slices.ContainsFunc(secrets, func(s RepositorySecret) bool {
		return s.project() == "" && s.address().HostPort() == host
	})
}

// matchSecrets finds the Secret of a repository. A Secret of the project takes
// precedence over one for all projects. If the Secret has no credentials, they come
// from the template with the longest prefix of the address.
func matchSecrets(secrets []RepositorySecret, address giturl.Address, project string) (Credentials, error) {
	var own, template RepositorySecret
	for _, secret := range secrets {
		of := secret.project()
		if of != "" && of != project || !secret.covers(address) {
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

	found, err := own.read()
	found.Hosts = append(own.hosts(found), template.hosts(Credentials{})...)
	if err != nil || found.present() || template.Data == nil {
		return found, err
	}

	inherited, err := template.read()
	if err != nil {
		return found, err
	}

	inherited.Hosts = slices.Concat(found.Hosts, template.hosts(inherited))
	if of := own.project(); of != "" && of != template.project() {
		// People of the project may have added the Secret: it does not decide by which way
		// the credentials of others travel.
		return inherited, nil
	}

	inherited.Insecure = inherited.Insecure || found.Insecure
	if found.Proxy != "" {
		inherited.Proxy, inherited.NoProxy = found.Proxy, found.NoProxy
	}

	return inherited, nil
}

// covers reports whether a Secret is for the repository at an address, or a template
// that applies to it.
func (s RepositorySecret) covers(address giturl.Address) bool {
	if s.Template {
		return s.address().Covers(address)
	}

	return s.address().ProtocolKey() == address.ProtocolKey()
}

func (s RepositorySecret) address() giturl.Address { return giturl.Parse(string(s.Data["url"])) }

// hosts returns the servers that a Secret names, as HOST:PORT: that of its url, its
// proxy, and the API of its GitHub App. c is what it holds.
func (s RepositorySecret) hosts(c Credentials) []string {
	all := []string{s.address().Server()}
	for _, text := range []string{c.Proxy, c.GitHubURL} {
		if u, err := url.Parse(text); err == nil {
			all = append(all, httpclient.HostPort(u))
		}
	}

	return slices.DeleteFunc(all, func(host string) bool { return host == "" })
}

func (s RepositorySecret) project() string { return string(s.Data["project"]) }

func (s RepositorySecret) read() (Credentials, error) {
	found, err := readSecret(s.Data)
	if err != nil {
		return found, fmt.Errorf("the Secret %s: %w", s.Name, err)
	}

	return found, nil
}

// readSecret reads the fields of a Secret. The error names invalid and missing fields.
func readSecret(data map[string][]byte) (Credentials, error) {
	f := secretFields{data: data}
	c := Credentials{
		Username:             f.text("username"),
		Password:             f.text("password"),
		BearerToken:          f.text("bearerToken"),
		SSHPrivateKey:        data["sshPrivateKey"],
		GitHubAppID:          f.number("githubAppID"),
		GitHubInstallationID: f.number("githubAppInstallationID"),
		GitHubAppKey:         data["githubAppPrivateKey"],
		GitHubURL:            f.text("githubAppEnterpriseBaseUrl"),
		GCPServiceAccountKey: data["gcpServiceAccountKey"],
		TLSClientCert:        data["tlsClientCertData"],
		TLSClientKey:         data["tlsClientCertKey"],
		Proxy:                f.text("proxy"),
		NoProxy:              f.text("noProxy"),
	}

	insecure, ignoreHostKey := f.boolean("insecure"), f.boolean("insecureIgnoreHostKey")
	c.Insecure = insecure || ignoreHostKey

	f.needs("username", "password")
	f.needs("githubAppID", "githubAppPrivateKey")
	f.needs("githubAppPrivateKey", "githubAppID")
	f.needs("tlsClientCertData", "tlsClientCertKey")
	f.needs("tlsClientCertKey", "tlsClientCertData")

	return c, errors.Join(f.problems...)
}

// secretFields reads the fields of a Secret and collects their problems.
type secretFields struct {
	data     map[string][]byte
	problems []error
}

func (f *secretFields) text(key string) string { return strings.TrimSpace(string(f.data[key])) }

func (f *secretFields) number(key string) int64 {
	value := f.text(key)
	if value == "" {
		return 0
	}

	n, err := strconv.ParseInt(value, 10, 64)
	if err != nil || n <= 0 {
		f.problems = append(f.problems, fmt.Errorf("its field %s is not a number", key))
	}

	return n
}

func (f *secretFields) boolean(key string) bool {
	value := f.text(key)
	if value == "" {
		return false
	}

	yes, err := strconv.ParseBool(value)
	if err != nil {
		f.problems = append(f.problems, fmt.Errorf("its field %s is neither true nor false", key))
	}

	return yes
}

// needs adds a problem if one field is set without another.
func (f *secretFields) needs(key, other string) {
	if f.text(key) != "" && f.text(other) == "" {
		f.problems = append(f.problems, fmt.Errorf("it has the field %s, but no %s", key, other))
	}
}
