package config

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/bmatcuk/doublestar/v4"
	"k8s.io/apimachinery/pkg/util/validation"

	"github.com/liverty-music/image-writeback/internal/spec"
)

// finding is a value that cannot stand, under its key.
type finding struct{ key, message string }

// problems reports every value that is wrong or asks for what this version
// does not do.
func (c Config) problems() []finding {
	var found []finding
	add := func(key, format string, args ...any) {
		found = append(found, finding{key, fmt.Sprintf(format, args...)})
	}
	c.notBuiltYet(add)
	if c.Interval <= 0 {
		add("interval", "it must be more than nothing, such as 2m")
	}
	registries(c.Registries, add)
	if m := c.Defaults.WriteBackMethod; m != spec.MethodRestart && !slices.Contains(spec.Methods(), m) {
		add("defaults.writeBackMethod", "%q is no method; use %s", m, strings.Join(spec.Methods(), " or "))
	}
	if t := c.Defaults.WriteBackTarget; !slices.Contains(spec.DefaultForms(), t) {
		add("defaults.writeBackTarget", "%q is no target; use %s", t, strings.Join(spec.DefaultForms(), " or "))
	}
	switch c.Git.Signing.Method {
	case "openpgp", "ssh":
		if c.Git.Signing.KeyFile == "" {
			add("git.signing", "keyFile is missing: the private key")
		}
	case "":
		if c.Git.Signing.KeyFile != "" {
			add("git.signing", "method is missing: openpgp or ssh")
		}
	default:
		add("git.signing.method", "%q is no method; use openpgp or ssh", c.Git.Signing.Method)
	}
	commits(c, add)
	delivery(c.Git.Delivery, add)
	events(c.Events, add)
	if c.GitHub.App.ID != 0 && c.GitHub.App.PrivateKeyFile == "" {
		add("github.app", "privateKeyFile is missing: the App's private key")
	}
	if c.GitHub.App.ID == 0 && (c.GitHub.App.PrivateKeyFile != "" || c.GitHub.App.InstallationID != 0) {
		add("github.app", "id is missing: the App's number, from its settings")
	}
	if c.GitHub.App.ID != 0 && c.GitHub.TokenFile != "" {
		add("github", "set app or tokenFile, not both")
	}
	if len(validation.IsDNS1123Label(c.LeaderElection.Name)) > 0 {
		add("leaderElection.name", "%q is no name of a Lease; use lower-case letters, digits and hyphens, such as image-writeback", c.LeaderElection.Name)
	}
	if d := time.Duration(c.LeaderElection.LeaseDuration); d < time.Second || d > time.Hour || d%time.Second != 0 {
		add("leaderElection.leaseDuration", "it must be whole seconds, at most an hour, such as 15s")
	}
	return found
}

func registries(all []Registry, add func(key, format string, args ...any)) {
	defaults := 0
	for i, r := range all {
		key := fmt.Sprintf("registries[%d]", i)
		if r.Prefix == "" {
			add(key, "prefix is missing: the host of the images, such as ghcr.io")
		}
		if program, ok := strings.CutPrefix(r.Credentials, "ext:"); ok && !strings.HasPrefix(program, "/") {
			add(key+".credentials", "the path of the program must be absolute")
		}
		if r.Limit < 0 {
			add(key+".limit", "it is a number of requests per second")
		}
		if r.CredsExpire < 0 {
			add(key+".credsexpire", "it is a time, such as 9h")
		}
		if r.CAFile != "" && r.Insecure {
			add(key, "set caFile or insecure, not both")
		}
		switch r.TagSortMode {
		case "", "none", "latest-first", "latest-last", "latest_first", "latest_last":
		default:
			add(key+".tagsortmode", "%q is no order; use latest-first, latest-last or none", r.TagSortMode)
		}
		if r.Default {
			defaults++
		}
		if defaults > 1 {
			add(key+".default", "another registry is the default already")
			defaults = 1
		}
	}
}

func commits(c Config, add func(key, format string, args ...any)) {
	if m := c.Git.Commits; m != "per-application" && m != "combined" {
		add("git.commits", "%q is no way to divide commits; use per-application or combined", m)
	}
	switch c.Git.CommitVia {
	case "push":
		return
	case "github-api":
	default:
		add("git.commitVia", "%q is no way to commit; use push or github-api", c.Git.CommitVia)
		return
	}
	if c.Git.Author != (Author{}) {
		add("git.author", "GitHub makes the commits of commitVia: github-api in the name of its App or token; leave it empty, or use push")
	}
	if c.Git.Signing != (Signing{}) {
		add("git.signing", "GitHub signs the commits of commitVia: github-api itself; leave it empty, or use push")
	}
	if c.GitHub.App.ID == 0 && c.GitHub.TokenFile == "" {
		add("git.commitVia", "github-api needs github.app or github.tokenFile")
	}
	if c.Git.SignOff && c.GitHub.App.ID == 0 {
		add("git.signOff", "whose token it is, is not known to us; use an App, or commitVia: push")
	}
}

func delivery(d Delivery, add func(key, format string, args ...any)) {
	valid := func(key, value string) {
		if !slices.Contains(spec.Deliveries(), value) {
			add(key, "%q is no way of delivery; use %s", value, strings.Join(spec.Deliveries(), " or "))
		}
	}
	valid("git.delivery.default", d.Default)
	for i, rule := range d.Rules {
		key := fmt.Sprintf("git.delivery.rules[%d]", i)
		valid(key+".use", rule.Use)
		for name, glob := range map[string]string{"path": rule.When.Path, "application": rule.When.Application, "namespace": rule.When.Namespace,
			"project": rule.When.Project, "repository": rule.When.Repository} {
			if !doublestar.ValidatePattern(glob) {
				add(key+".when."+name, "%q is no glob", glob)
			}
		}
	}
}

// webhookTypes are the types of webhooks that have a secret; those of
// internal/events, which a test compares.
var webhookTypes = []string{"acr", "aliyun-acr", "cloudevents", "docker.io", "ghcr.io", "github", "harbor", "quay.io"}

var subscription = regexp.MustCompile(`^projects/[^/]+/subscriptions/[^/]+$`)

func events(e Events, add func(key, format string, args ...any)) {
	for _, kind := range slices.Sorted(maps.Keys(e.SecretFiles)) {
		if !slices.Contains(webhookTypes, kind) {
			add("events.secretFiles", "%q is no type of webhook; use %s", kind, strings.Join(webhookTypes, ", "))
		} else if e.SecretFiles[kind] == "" {
			add("events.secretFiles", "%s has no file", kind)
		}
	}
	push := e.PubSubPush
	switch {
	case e.Listen != "" && len(e.SecretFiles) == 0 && len(e.Secrets) == 0 && push == (PubSubPush{}):
		add("events.listen", "nothing would be accepted there; name the file of a secret in secretFiles, or set pubsubPush")
	case e.Listen == "" && (len(e.SecretFiles) > 0 || push != (PubSubPush{})):
		add("events", "listen is missing: the address that webhooks are served at, such as \":8082\"")
	}
	if (push.Audience == "") != (push.ServiceAccount == "") {
		add("events.pubsubPush", "set audience and serviceAccount, as the push subscription has them: without both, anybody's token would do")
	}
	if s := e.PubSub.Subscription; s != "" && !subscription.MatchString(s) {
		add("events.pubsub.subscription", "%q is no subscription; write projects/PROJECT/subscriptions/NAME", s)
	}
}

// notBuiltYet refuses every value that would ask for a capability which this
// version lacks.
func (c Config) notBuiltYet(add func(key, format string, args ...any)) {
	only := func(key string, wrong bool, allowed string) {
		if wrong {
			add(key, "this is not supported by this version; %s", allowed)
		}
	}
	only("defaults.writeBackMethod", c.Defaults.WriteBackMethod == spec.MethodRestart, "use "+strings.Join(spec.Methods(), " or "))
}
