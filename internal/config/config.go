// Package config reads config.yaml: every key of the contract, strictly. A key
// that is not known is an error that names the line and the nearest known key;
// a key whose capability this version does not have is accepted at its
// default or off value alone, so that nobody believes a setting that does
// nothing.
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

// Applications selects which Applications are looked at.
type Applications struct {
	Namespaces []string `yaml:"namespaces"`
	Selector   string   `yaml:"selector"`
	Names      []string `yaml:"names"`
}

// Defaults are what annotations leave open.
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
	// CredsExpire is how long credentials are used; 0: as the registry package says.
	CredsExpire Duration `yaml:"credsexpire"`
	TagSortMode string   `yaml:"tagsortmode"`
	DefaultNS   string   `yaml:"defaultns"`
	Default     bool     `yaml:"default"`
	// Ping says nothing that we need to know: every registry is pinged once.
	Ping bool `yaml:"ping"`
}

// ArgoCD tells where Argo CD itself runs.
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

// Delivery tells which changes go by pull request.
type Delivery struct {
	Default string         `yaml:"default"`
	Rules   []DeliveryRule `yaml:"rules"`
}

// DeliveryRule applies where all fields of When match.
type DeliveryRule struct {
	When When   `yaml:"when"`
	Use  string `yaml:"use"`
}

// When are globs with **, empty ones match everything.
type When struct {
	Path        string            `yaml:"path"`
	Application string            `yaml:"application"`
	Namespace   string            `yaml:"namespace"`
	Project     string            `yaml:"project"`
	Repository  string            `yaml:"repository"`
	Labels      map[string]string `yaml:"labels"`
}

// GitHub is one GitHub and how to sign in there.
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

// PullRequest is how pull requests look.
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

// GitLab is one GitLab.
type GitLab struct {
	URL       string `yaml:"url"`
	TokenFile string `yaml:"tokenFile"`
}

// Web is the status page, health and metrics.
type Web struct {
	Listen        string `yaml:"listen"`
	MetricsListen string `yaml:"metricsListen"`
}

// Events are pushes from registries and repositories.
type Events struct {
	Listen      string            `yaml:"listen"`
	SecretFiles map[string]string `yaml:"secretFiles"`
	PubSub      PubSub            `yaml:"pubsub"`
	PubSubPush  PubSubPush        `yaml:"pubsubPush"`
	// Secrets are those that flags give themselves, by type.
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

// LeaderElection divides the git repositories among several replicas.
type LeaderElection struct {
	Enabled       bool     `yaml:"enabled"`
	Namespace     string   `yaml:"namespace"`
	Name          string   `yaml:"name"`
	LeaseDuration Duration `yaml:"leaseDuration"`
}

// Duration is written as Go writes durations.
type Duration time.Duration

// UnmarshalYAML reads "2m"; nothing is 0.
func (d *Duration) UnmarshalYAML(node *yaml.Node) error {
	if node.Value == "" {
		*d = 0
		return nil
	}
	parsed, err := time.ParseDuration(node.Value)
	if err != nil {
		return fmt.Errorf("line %d: %q is no duration such as 30s or 2m", node.Line, node.Value)
	}
	*d = Duration(parsed)
	return nil
}

// Default is the configuration without a file.
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
