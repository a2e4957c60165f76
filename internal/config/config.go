// Package config reads config.yaml. Use [ReadFile], and treat any [Problem] as
// fatal. It is strict: a key that is not known is an error that names the line
// and the key that was probably meant, and a value whose feature this version
// lacks is refused, so that no setting is silently without effect.
//
// Keys are spelt here and in the command line alone. Lists of values that
// another package owns, such as types of webhooks, are read from there.
package config

import (
	"fmt"
	"time"

	"sigs.k8s.io/kustomize/kyaml/yaml"
)

// Config is config.yaml.
type Config struct {
	Interval       Duration       `yaml:"interval"`
	Applications   Applications   `yaml:"applications"`
	Defaults       Defaults       `yaml:"defaults"`
	Registries     []Registry     `yaml:"registries"`
	ArgoCD         ArgoCD         `yaml:"argocd"`
	Git            Git            `yaml:"git"`
	GitHub         GitHub         `yaml:"github"`
	GitLab         GitLab         `yaml:"gitlab"`
	Web            Web            `yaml:"web"`
	Events         Events         `yaml:"events"`
	LeaderElection LeaderElection `yaml:"leaderElection"`
}

// Applications selects the Applications that are updated.
type Applications struct {
	Namespaces []string `yaml:"namespaces"`
	Selector   string   `yaml:"selector"`
	Names      []string `yaml:"names"`
}

// Defaults apply where an Application has no annotation.
type Defaults struct {
	WriteBackMethod string `yaml:"writeBackMethod"`
	WriteBackTarget string `yaml:"writeBackTarget"`
}

// Registry has the field names of Argo CD Image Updater's registries.conf.
type Registry struct {
	Name        string `yaml:"name"`
	Prefix      string `yaml:"prefix"`
	APIURL      string `yaml:"api_url"`
	Credentials string `yaml:"credentials"`
	Limit       int    `yaml:"limit"`
	CAFile      string `yaml:"caFile"`
	Insecure    bool   `yaml:"insecure"`
	// CredsExpire is how long credentials are used; 0: as package registry says.
	CredsExpire Duration `yaml:"credsexpire"`
	TagSortMode string   `yaml:"tagsortmode"`
	DefaultNS   string   `yaml:"defaultns"`
	Default     bool     `yaml:"default"`
	// Ping is accepted and ignored: every registry is pinged once.
	Ping bool `yaml:"ping"`
}

// ArgoCD is where Argo CD itself runs.
type ArgoCD struct {
	Namespace string `yaml:"namespace"`
}

// Git is how commits are made and delivered.
type Git struct {
	Author    Author   `yaml:"author"`
	Message   string   `yaml:"message"`
	SignOff   bool     `yaml:"signOff"`
	Commits   string   `yaml:"commits"`
	Signing   Signing  `yaml:"signing"`
	CommitVia string   `yaml:"commitVia"`
	CacheDir  string   `yaml:"cacheDir"`
	Delivery  Delivery `yaml:"delivery"`
}

// Author of commits.
type Author struct {
	Name  string `yaml:"name"`
	Email string `yaml:"email"`
}

// Signing of commits.
type Signing struct {
	Method  string `yaml:"method"`
	KeyFile string `yaml:"keyFile"`
}

// Delivery says which changes are delivered by pull request.
type Delivery struct {
	Default string         `yaml:"default"`
	Rules   []DeliveryRule `yaml:"rules"`
}

// DeliveryRule applies if all fields of When match.
type DeliveryRule struct {
	When When   `yaml:"when"`
	Use  string `yaml:"use"`
}

// When holds globs with **. An empty one matches everything.
type When struct {
	Path        string            `yaml:"path"`
	Application string            `yaml:"application"`
	Namespace   string            `yaml:"namespace"`
	Project     string            `yaml:"project"`
	Repository  string            `yaml:"repository"`
	Labels      map[string]string `yaml:"labels"`
}

// GitHub is github.com or a GitHub Enterprise Server, with credentials.
type GitHub struct {
	APIURL      string      `yaml:"apiURL"`
	App         App         `yaml:"app"`
	TokenFile   string      `yaml:"tokenFile"`
	PullRequest PullRequest `yaml:"pullRequest"`
}

// App is a GitHub App.
type App struct {
	ID             int64  `yaml:"id"`
	InstallationID int64  `yaml:"installationID"`
	PrivateKeyFile string `yaml:"privateKeyFile"`
}

// PullRequest is what pull requests are opened with.
type PullRequest struct {
	Title     string   `yaml:"title"`
	Body      string   `yaml:"body"`
	Branch    string   `yaml:"branch"`
	Labels    []string `yaml:"labels"`
	Reviewers []string `yaml:"reviewers"`
	Assignees []string `yaml:"assignees"`
	Draft     bool     `yaml:"draft"`
	AutoMerge bool     `yaml:"autoMerge"`
}

// GitLab is gitlab.com or an instance of one's own.
type GitLab struct {
	URL       string `yaml:"url"`
	TokenFile string `yaml:"tokenFile"`
}

// Web has the addresses of health and metrics.
type Web struct {
	Listen        string `yaml:"listen"`
	MetricsListen string `yaml:"metricsListen"`
}

// Events is how registries and git servers trigger cycles.
type Events struct {
	Listen      string            `yaml:"listen"`
	SecretFiles map[string]string `yaml:"secretFiles"`
	PubSub      PubSub            `yaml:"pubsub"`
	PubSubPush  PubSubPush        `yaml:"pubsubPush"`
	// Secrets are those that are given by flags, by type of webhook.
	Secrets map[string]string `yaml:"-"`
}

// PubSub is a pull subscription.
type PubSub struct {
	Subscription string `yaml:"subscription"`
}

// PubSubPush is a push subscription.
type PubSubPush struct {
	Audience       string `yaml:"audience"`
	ServiceAccount string `yaml:"serviceAccount"`
}

// LeaderElection divides the git repositories among replicas.
type LeaderElection struct {
	Enabled       bool     `yaml:"enabled"`
	Namespace     string   `yaml:"namespace"`
	Name          string   `yaml:"name"`
	LeaseDuration Duration `yaml:"leaseDuration"`
}

// Duration is a duration in Go's notation, such as 1h30m.
type Duration time.Duration

// UnmarshalYAML reads "2m". Empty means 0.
func (d *Duration) UnmarshalYAML(node *yaml.Node) error {
	if node.Value == "" {
		*d = 0
		return nil
	}
	parsed, err := time.ParseDuration(node.Value)
	if err != nil {
		return fmt.Errorf("line %d: %q is not a duration; write it like 30s or 2m", node.Line, node.Value)
	}
	*d = Duration(parsed)
	return nil
}

// Default returns the configuration that applies without a file.
func Default() Config {
	return Config{
		Interval: Duration(2 * time.Minute),
		Defaults: Defaults{WriteBackMethod: "git", WriteBackTarget: "kustomization"},
		Git: Git{Commits: "per-application", CommitVia: "push",
			Delivery: Delivery{Default: "commit"}},
		GitHub:         GitHub{APIURL: "https://api.github.com/"},
		GitLab:         GitLab{URL: "https://gitlab.com"},
		Web:            Web{Listen: ":8080"},
		LeaderElection: LeaderElection{Name: "image-writeback", LeaseDuration: Duration(15 * time.Second)},
	}
}
