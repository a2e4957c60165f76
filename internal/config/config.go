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

	"k8s.io/apimachinery/pkg/api/resource"
	"sigs.k8s.io/kustomize/kyaml/yaml"
)

// Config is config.yaml.
type Config struct {
	Interval        Duration       `yaml:"interval"`
	ShutdownTimeout Duration       `yaml:"shutdownTimeout"`
	Applications    Applications   `yaml:"applications"`
	Defaults        Defaults       `yaml:"defaults"`
	Registries      []Registry     `yaml:"registries"`
	Projects        Projects       `yaml:"projects"`
	Annotations     Annotations    `yaml:"annotations"`
	Images          Images         `yaml:"images"`
	ArgoCD          ArgoCD         `yaml:"argocd"`
	Git             Git            `yaml:"git"`
	GitHub          GitHub         `yaml:"github"`
	GitLab          GitLab         `yaml:"gitlab"`
	Web             Web            `yaml:"web"`
	Events          Events         `yaml:"events"`
	Network         Network        `yaml:"network"`
	Limits          Limits         `yaml:"limits"`
	LeaderElection  LeaderElection `yaml:"leaderElection"`
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

// Projects says whether Argo CD's AppProjects limit what Applications may do.
type Projects struct {
	Follow string `yaml:"follow"` // auto, required or off
}

// Annotations says which credentials annotations may name beyond those that are
// the Application's own.
type Annotations struct {
	Secrets     []AnnotationSecret `yaml:"secrets"`
	Credentials []string           `yaml:"credentials"` // env, ext, google
}

// AnnotationSecret is a Secret that annotations may name.
type AnnotationSecret struct {
	Secret   string   `yaml:"secret"`   // NAMESPACE/NAME
	Hosts    []string `yaml:"hosts"`    // globs of HOST or HOST:PORT that it may be sent to
	Projects []string `yaml:"projects"` // globs; empty: all
}

// Images limits which images may be written.
type Images struct {
	Allow []string `yaml:"allow"` // globs with **; empty: all
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
	// Allow replaces the built-in rule of where Applications may write.
	Allow []GitAllow `yaml:"allow"`
}

// GitAllow allows Applications to write somewhere. All fields hold globs with
// **; an empty one matches everything.
type GitAllow struct {
	Project      string   `yaml:"project"`
	Namespace    string   `yaml:"namespace"`
	Application  string   `yaml:"application"`
	Repositories []string `yaml:"repositories"`
	Branches     []string `yaml:"branches"`
	Paths        []string `yaml:"paths"`
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
	// Enforce means that annotations cannot ask for less than Use.
	Enforce bool `yaml:"enforce"`
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

// Network says which addresses may be connected to because an image or a
// repository names them. The lists hold CIDRs.
type Network struct {
	Allow []string `yaml:"allow"`
	Deny  []string `yaml:"deny"`
}

// Limits are the sizes and counts that users may need to raise.
type Limits struct {
	Tags         int      `yaml:"tags"`         // of one image repository
	TagListSize  Size     `yaml:"tagListSize"`  // of the list of tags of one image repository, all pages
	FileSize     Size     `yaml:"fileSize"`     // of a file to edit
	PackSize     Size     `yaml:"packSize"`     // of one answer of a git server
	References   int      `yaml:"references"`   // of a git repository
	Images       int      `yaml:"images"`       // of one Application
	DecisionTime Duration `yaml:"decisionTime"` // for the answers about one image, or from one repository
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

// Size is a number of bytes, in Kubernetes' notation, such as 32Mi.
type Size int64

// UnmarshalYAML reads "32Mi".
func (s *Size) UnmarshalYAML(node *yaml.Node) error {
	quantity, err := resource.ParseQuantity(node.Value)
	if err != nil {
		return fmt.Errorf("line %d: %q is not a size; write it like 512Ki or 32Mi", node.Line, node.Value)
	}
	*s = Size(quantity.Value())
	return nil
}

// Default returns the configuration that applies without a file.
func Default() Config {
	return Config{
		Interval: Duration(2 * time.Minute), ShutdownTimeout: Duration(25 * time.Second),
		Defaults: Defaults{WriteBackMethod: "git", WriteBackTarget: "kustomization"},
		Projects: Projects{Follow: "auto"},
		Git: Git{Commits: "per-application", CommitVia: "push",
			Delivery: Delivery{Default: "commit"}},
		GitHub: GitHub{APIURL: "https://api.github.com/"},
		GitLab: GitLab{URL: "https://gitlab.com"},
		Web:    Web{Listen: ":8080"},
		Limits: Limits{
			Tags: 200_000, TagListSize: 32 << 20, FileSize: 1 << 20, PackSize: 256 << 20, References: 50_000,
			Images: 200, DecisionTime: Duration(time.Minute),
		},
		LeaderElection: LeaderElection{Name: "image-writeback", LeaseDuration: Duration(15 * time.Second)},
	}
}
