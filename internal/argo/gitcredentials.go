package argo

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// RepositoryCredentials are those of one git repository; the zero value is none.
type RepositoryCredentials struct {
	Username, Password string
	SSHPrivateKey      []byte
	KnownHosts         string // content of a known_hosts file; empty: the user's own
}

// GitCredentials finds the credentials of repositories in Secrets.
type GitCredentials struct {
	Secret func(ctx context.Context, namespace, name string) (map[string][]byte, error)
	// Repositories returns Argo CD's repository Secrets; nil where there is no cluster.
	Repositories func(ctx context.Context) ([]map[string][]byte, error)
	KnownHosts   func(ctx context.Context) string
}

// Find returns the credentials that an Application's write-back-method asks
// for: those of secret:NAMESPACE/NAME, else of the Secret by which Argo CD
// itself reads the repository, else none. Errors never quote a Secret.
func (g *GitCredentials) Find(ctx context.Context, address, from string) (RepositoryCredentials, error) {
	knownHosts := ""
	if g.KnownHosts != nil {
		knownHosts = g.KnownHosts(ctx)
	}
	if reference, ok := strings.CutPrefix(from, "secret:"); ok {
		namespace, name, _ := strings.Cut(reference, "/")
		data, err := g.Secret(ctx, namespace, name)
		if err != nil {
			return RepositoryCredentials{}, err
		}
		found, err := credentialsOf(data)
		if err == nil && found.empty() {
			err = errors.New("it has neither username and password nor sshPrivateKey")
		}
		if err != nil {
			return RepositoryCredentials{}, fmt.Errorf("the Secret %s: %w", reference, err)
		}
		found.KnownHosts = knownHosts
		return found, nil
	}
	if g.Repositories == nil {
		return RepositoryCredentials{}, nil
	}
	secrets, err := g.Repositories(ctx)
	if err != nil {
		return RepositoryCredentials{}, err
	}
	found, err := match(secrets, address)
	found.KnownHosts = knownHosts
	return found, err
}

func (c RepositoryCredentials) empty() bool {
	return c.Username == "" && c.Password == "" && len(c.SSHPrivateKey) == 0
}

func credentialsOf(data map[string][]byte) (RepositoryCredentials, error) {
	if len(data["githubAppPrivateKey"]) > 0 {
		return RepositoryCredentials{}, errors.New("a GitHub App in a Secret is not supported by this version; configure github.app in config.yaml")
	}
	return RepositoryCredentials{Username: string(data["username"]), Password: string(data["password"]), SSHPrivateKey: data["sshPrivateKey"]}, nil
}

// match finds the Secret of a repository, else the template with the longest
// prefix of its URL, as Argo CD does.
func match(secrets []map[string][]byte, address string) (RepositoryCredentials, error) {
	want := normalURL(address)
	var best map[string][]byte
	longest := -1
	for _, data := range secrets {
		have := normalURL(string(data["url"]))
		switch {
		case have == "":
		case have == want && string(data[templateMark]) == "":
			found, err := credentialsOf(data)
			if err != nil || !found.empty() {
				return found, err
			}
		case string(data[templateMark]) != "" && strings.HasPrefix(want, have) && len(have) > longest:
			best, longest = data, len(have)
		}
	}
	return credentialsOf(best)
}

// templateMark is added to the data of credential templates; no Secret can
// have such a key.
const templateMark = "/template"

// normalURL makes the spellings of one address equal: SSH's short form, case
// of the host, user, and a trailing .git.
func normalURL(address string) string {
	address = strings.TrimSpace(address)
	if !strings.Contains(address, "://") {
		if host, path, ok := strings.Cut(address, ":"); ok {
			address = "ssh://" + host + "/" + strings.TrimPrefix(path, "/")
		}
	}
	u, err := url.Parse(address)
	if err != nil {
		return address
	}
	u.User = nil
	u.Host = strings.ToLower(u.Host)
	return strings.TrimSuffix(strings.TrimSuffix(u.String(), "/"), ".git")
}

// RepositorySecrets lists the Secrets by which Argo CD reads repositories, and
// its credential templates.
func (c *Cluster) RepositorySecrets(ctx context.Context, namespace string) ([]map[string][]byte, error) {
	list, err := c.core.CoreV1().Secrets(namespace).List(ctx, metav1.ListOptions{LabelSelector: "argocd.argoproj.io/secret-type in (repository, repo-creds)"})
	if err != nil {
		return nil, fmt.Errorf("listing Argo CD's repository Secrets in namespace %s: %w; grant list on secrets there, or set github.app in config.yaml", namespace, err)
	}
	var all []map[string][]byte
	for _, secret := range list.Items {
		data := secret.Data
		if data == nil {
			continue
		}
		if secret.Labels["argocd.argoproj.io/secret-type"] == "repo-creds" {
			data[templateMark] = []byte("yes")
		}
		all = append(all, data)
	}
	return all, nil
}

// KnownHosts is Argo CD's own list of SSH hosts; empty where it cannot be read.
func (c *Cluster) KnownHosts(ctx context.Context, namespace string) string {
	hosts, err := c.core.CoreV1().ConfigMaps(namespace).Get(ctx, "argocd-ssh-known-hosts-cm", metav1.GetOptions{})
	if err != nil {
		return ""
	}
	return hosts.Data["ssh_known_hosts"]
}
