package config

import (
	"fmt"
	"maps"
	"net/netip"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/bmatcuk/doublestar/v4"
	"k8s.io/apimachinery/pkg/util/validation"

	"github.com/liverty-music/image-writeback/internal/image"
	"github.com/liverty-music/image-writeback/internal/spec"
	"github.com/liverty-music/image-writeback/internal/trigger"
)

// finding is an invalid value, under its key.
type finding struct{ key, message string }

// findings collects invalid values.
type findings []finding

func (f *findings) add(key, format string, args ...any) {
	*f = append(*f, finding{key, fmt.Sprintf(format, args...)})
}

// oneOf adds a finding unless value is one of those that are allowed.
func (f *findings) oneOf(key, value string, allowed ...string) {
	if !slices.Contains(allowed, value) {
		f.add(key, "invalid value %q; use %s", value, alternatives(allowed))
	}
}

// globs adds a finding for each pattern that is not a glob.
func (f *findings) globs(key string, patterns ...string) {
	for _, pattern := range patterns {
		if !doublestar.ValidatePattern(pattern) {
			f.add(key, "%q is not a valid glob", pattern)
		}
	}
}

// alternatives joins names as "a, b or c".
func alternatives(names []string) string {
	last := len(names) - 1
	if last == 0 {
		return names[0]
	}

	return strings.Join(names[:last], ", ") + " or " + names[last]
}

// problems returns every value that is invalid or not supported by this version.
func (c Config) problems() findings {
	var found findings

	if c.Interval <= 0 {
		found.add("interval", "must be greater than zero, for example 2m")
	}
	if c.ShutdownTimeout <= 0 {
		found.add("shutdownTimeout", "must be greater than zero, for example 25s")
	}
	c.Defaults.check(&found)
	checkRegistries(c.Registries, &found)
	c.Git.Signing.check(&found)
	c.checkCommits(&found)
	c.Git.Delivery.check(&found)
	checkAllow(c.Git.Allow, &found)
	c.Annotations.check(&found)
	found.oneOf("projects.follow", c.Projects.Follow, "auto", "required", "off")
	found.globs("images.allow", c.Images.Allow...)
	c.GitHub.check(&found)
	c.Events.check(&found)
	c.Network.check(&found)
	c.Limits.check(&found)
	c.LeaderElection.check(&found)

	return found
}

func (d Defaults) check(found *findings) {
	if d.WriteBackMethod == spec.MethodRestart {
		found.add("defaults.writeBackMethod", "%s is not supported by this version; use %s",
			spec.MethodRestart, alternatives(spec.Methods()))
	} else {
		found.oneOf("defaults.writeBackMethod", d.WriteBackMethod, spec.Methods()...)
	}

	found.oneOf("defaults.writeBackTarget", d.WriteBackTarget, spec.DefaultForms()...)
}

// noPrefix ends the message about a registry without a prefix.
const noPrefix = "prefix is missing: the host of the images, for example ghcr.io"

func checkRegistries(all []Registry, found *findings) {
	hasDefault := false
	for i, r := range all {
		key := fmt.Sprintf("registries[%d]", i)
		r.check(key, found)

		if r.Default && hasDefault {
			found.add(key+".default", "only one registry can be the default, and another one is")
		}
		hasDefault = hasDefault || r.Default
	}
}

func (r Registry) check(key string, found *findings) {
	if r.Prefix == "" {
		found.add(key, noPrefix)
	}
	if program, ok := strings.CutPrefix(r.Credentials, "ext:"); ok && !strings.HasPrefix(program, "/") {
		found.add(key+".credentials", "the path of the program must be absolute")
	}
	if r.Limit < 0 {
		found.add(key+".limit", "must not be negative: it is a number of requests per second")
	}
	if r.CredsExpire < 0 {
		found.add(key+".credsexpire", "must not be negative, for example 9h")
	}
	if r.CAFile != "" && r.Insecure {
		found.add(key, "set caFile or insecure, not both")
	}

	switch r.TagSortMode {
	case "", "latest_first", "latest_last": // old spellings
	default:
		found.oneOf(key+".tagsortmode", r.TagSortMode, image.LatestFirst, image.LatestLast, "none")
	}
}

func (s Signing) check(found *findings) {
	switch {
	case s.Method == "" && s.KeyFile == "":
	case s.Method == "":
		found.add("git.signing", "method is missing: openpgp or ssh")
	default:
		found.oneOf("git.signing.method", s.Method, "openpgp", "ssh")
		if s.KeyFile == "" {
			found.add("git.signing", "keyFile is missing: the file of the private key")
		}
	}
}

func (c Config) checkCommits(found *findings) {
	found.oneOf("git.commits", c.Git.Commits, "per-application", "combined")
	found.oneOf("git.commitVia", c.Git.CommitVia, "push", "github-api")
	if c.Git.CommitVia != "github-api" {
		return
	}

	if c.Git.Author != (Author{}) {
		found.add("git.author", "cannot be set with commitVia: github-api, where GitHub names its App or "+
			"the user of the token as author; leave it empty, or use push")
	}
	if c.Git.Signing != (Signing{}) {
		found.add("git.signing", "cannot be set with commitVia: github-api, where GitHub signs the commits; "+
			"leave it empty, or use push")
	}
	if c.GitHub.App.ID == 0 && c.GitHub.TokenFile == "" {
		found.add("git.commitVia", "github-api requires github.app or github.tokenFile")
	}
	if c.Git.SignOff && c.GitHub.App.ID == 0 {
		found.add("git.signOff", "requires github.app or commitVia: push; the owner of a token is not known")
	}
}

func (d Delivery) check(found *findings) {
	oneOf := func(key, value string) { found.oneOf(key, value, spec.Deliveries()...) }
	oneOf("git.delivery.default", d.Default)

	for i, rule := range d.Rules {
		key := fmt.Sprintf("git.delivery.rules[%d]", i)
		oneOf(key+".use", rule.Use)

		when := rule.When
		for name, glob := range map[string]string{
			"path": when.Path, "application": when.Application, "namespace": when.Namespace,
			"project": when.Project, "repository": when.Repository,
		} {
			found.globs(key+".when."+name, glob)
		}
	}
}

func checkAllow(all []GitAllow, found *findings) {
	for i, a := range all {
		key := fmt.Sprintf("git.allow[%d]", i)
		for name, patterns := range map[string][]string{
			"project": {a.Project}, "namespace": {a.Namespace}, "application": {a.Application},
			"repositories": a.Repositories, "branches": a.Branches, "paths": a.Paths,
		} {
			found.globs(key+"."+name, patterns...)
		}
	}
}

func (a Annotations) check(found *findings) {
	for i, s := range a.Secrets {
		key := fmt.Sprintf("annotations.secrets[%d]", i)
		namespace, name, _ := strings.Cut(s.Secret, "/")
		if namespace == "" || name == "" || strings.Contains(name, "/") {
			found.add(key, "secret is missing or is not NAMESPACE/NAME")
		}
		if len(s.Hosts) == 0 {
			found.add(key, "hosts is missing: the hosts that the Secret may be sent to, for example ghcr.io")
		}
		found.globs(key+".hosts", s.Hosts...)
		found.globs(key+".projects", s.Projects...)
	}

	for _, kind := range a.Credentials {
		found.oneOf("annotations.credentials", kind, "env", "ext", "google")
	}
}

func (n Network) check(found *findings) {
	for key, all := range map[string][]string{"network.allow": n.Allow, "network.deny": n.Deny} {
		for _, cidr := range all {
			if _, err := netip.ParsePrefix(cidr); err != nil {
				found.add(key, "%q is not a CIDR, for example 10.0.0.0/8 or 127.0.0.1/32", cidr)
			}
		}
	}
}

func (l Limits) check(found *findings) {
	for key, value := range map[string]int64{
		"tags": int64(l.Tags), "tagListSize": int64(l.TagListSize), "fileSize": int64(l.FileSize),
		"packSize": int64(l.PackSize), "references": int64(l.References), "images": int64(l.Images),
		"decisionTime": int64(l.DecisionTime),
	} {
		if value <= 0 {
			found.add("limits."+key, "must be greater than zero")
		}
	}
}

func (g GitHub) check(found *findings) {
	if g.App.ID != 0 && g.App.PrivateKeyFile == "" {
		found.add("github.app", "privateKeyFile is missing: the file of the App's private key")
	}
	if g.App.ID == 0 && (g.App.PrivateKeyFile != "" || g.App.InstallationID != 0) {
		found.add("github.app", "id is missing: the App ID in the App's settings")
	}
	if g.App.ID != 0 && g.TokenFile != "" {
		found.add("github", "set app or tokenFile, not both")
	}
}

var subscription = regexp.MustCompile(`^projects/[^/]+/subscriptions/[^/]+$`)

func (e Events) check(found *findings) {
	types := trigger.Types()
	for _, kind := range slices.Sorted(maps.Keys(e.SecretFiles)) {
		if !slices.Contains(types, kind) {
			found.add("events.secretFiles", "unknown webhook type %q; use %s", kind, alternatives(types))
		} else if e.SecretFiles[kind] == "" {
			found.add("events.secretFiles", "%s has no file", kind)
		}
	}

	push := e.PubSubPush
	pushes := push != (PubSubPush{})
	switch {
	case e.Listen != "" && len(e.SecretFiles) == 0 && len(e.Secrets) == 0 && !pushes:
		found.add("events.listen", "no webhook is enabled; set secretFiles or pubsubPush")
	case e.Listen == "" && (len(e.SecretFiles) > 0 || pushes):
		found.add("events", "listen is missing: the address to serve webhooks on, for example \":8082\"")
	}

	if (push.Audience == "") != (push.ServiceAccount == "") {
		found.add("events.pubsubPush", "set both audience and serviceAccount, as in the push subscription; "+
			"with only one of them, other people's tokens would be accepted")
	}
	if s := e.PubSub.Subscription; s != "" && !subscription.MatchString(s) {
		found.add("events.pubsub.subscription", "%q is not a subscription; "+
			"write projects/PROJECT/subscriptions/NAME", s)
	}
}

func (l LeaderElection) check(found *findings) {
	if len(validation.IsDNS1123Label(l.Name)) > 0 {
		found.add("leaderElection.name", "%q is not a valid name of a Lease; "+
			"use lower-case letters, digits and hyphens, for example image-writeback", l.Name)
	}

	d := time.Duration(l.LeaseDuration)
	if d < time.Second || d > time.Hour || d%time.Second != 0 {
		found.add("leaderElection.leaseDuration", "must be a whole number of seconds from 1s to 1h, for example 15s")
	}
}
