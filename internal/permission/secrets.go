package permission

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/bmatcuk/doublestar/v4"

	"github.com/liverty-music/image-writeback/internal/giturl"
	"github.com/liverty-music/image-writeback/internal/image"
	"github.com/liverty-music/image-writeback/internal/spec"
)

// The rules about credentials.
const (
	ruleSecrets     = "annotations.secrets" //nolint:gosec // the name of a rule
	ruleCredentials = "annotations.credentials"
	ruleRegistries  = "registries"
)

// Secrets decides which credentials the annotations of an Application may name, and
// to which server they may be sent. The zero value allows what belongs to the
// Application's own namespace.
//
// An Application whose membership in its project is not certain has no project here.
type Secrets struct {
	// ArgoCD is the namespace of Argo CD, where Applications of anybody may be.
	ArgoCD string
	// Listed are the Secrets of annotations.secrets.
	Listed []ListedSecret
	// Kinds are those of annotations.credentials: env, ext, google.
	Kinds []string
	// Registries are those of the configuration that have credentials.
	Registries []Registry
	// RegistryOf returns the registry of an image; nil: every registry has the
	// credentials of its annotations alone.
	RegistryOf func(image.Ref) Registry
}

// ListedSecret is a Secret that annotations may name beyond their own namespace.
type ListedSecret struct {
	Secret   string   // NAMESPACE/NAME
	Hosts    []string // globs of HOST or HOST:PORT; none: it is not sent anywhere
	Projects []string // globs; none: all Applications
}

// Registry is a registry with the credentials that the operator has configured.
type Registry struct {
	Host        string // as images name it, with the port that they name
	Credentials string // one of image.CredentialForms; empty: none
}

// Image decides about the credentials that an annotation names for the registry of an
// image. It returns nil if they may be sent there, or if there are none.
func (s Secrets) Image(app spec.Application, asked spec.Image) *Refusal {
	at := Registry{Host: asked.Ref.Registry}
	if s.RegistryOf != nil {
		at = s.RegistryOf(asked.Ref)
	}
	if asked.Credentials == "" || asked.Credentials == at.Credentials {
		return nil
	}

	named := credentials(asked.Credentials)
	switch named.kind() {
	case "secret", "pullsecret":
		return s.registrySecret(app, named, at.Host)
	case "google", "env", "ext":
		return s.ofOperator(named, at.Host)
	}

	return &Refusal{
		Rule: ruleCredentials, Reason: "pull-secret does not name credentials",
		Remedy: "use one of " + strings.Join(image.CredentialForms(), ", "),
	}
}

// ofOperator decides about credentials of the updater itself: its environment, its
// programs, its identity at Google.
func (s Secrets) ofOperator(named credentials, host string) *Refusal {
	remedy := fmt.Sprintf("add to registries in config.yaml: - {prefix: %s, credentials: %s} (or credentials to the "+
		"entry that has this prefix)", inYAML(host), inYAML(string(named)))

	if !slices.Contains(s.Kinds, named.kind()) {
		return &Refusal{
			Rule: ruleCredentials,
			Reason: fmt.Sprintf("pull-secret names %s, credentials of the updater itself, which belong to the operator",
				quoted(string(named))),
			Remedy: fmt.Sprintf("%s, or add %s to annotations.credentials to let every annotation name such ones",
				remedy, named.kind()),
		}
	}
	if of := s.givenTo(named, host); named.kind() != "google" && len(of) > 0 {
		return refuseElsewhere(named, host, of, remedy)
	}

	return nil
}

// registrySecret decides about a Secret with the credentials of a registry.
func (s Secrets) registrySecret(app spec.Application, named credentials, host string) *Refusal {
	secret := named.secret()
	if s.lists(app, secret, host) {
		return nil
	}

	// A Secret of this kind holds the names of the registries that it is for.
	bound := named.kind() == "pullsecret"
	remedy := AllowSecret(secret, host, app.Project)
	if of := s.givenTo(named, host); len(of) > 0 && !bound {
		return refuseElsewhere(named, host, of, remedy)
	}

	namespace, _, _ := strings.Cut(secret, "/")
	switch {
	case namespace != app.Namespace:
		return refuseForeign("pull-secret", app, secret, remedy)
	case namespace == s.ArgoCD && !bound:
		return &Refusal{
			Rule: ruleSecrets,
			Reason: fmt.Sprintf("pull-secret names the Secret %s of Argo CD's namespace, and nothing says that %s "+
				"may have it", quoted(secret), host),
			Remedy: remedy + ", or name a Secret with the registry inside, as pullsecret:NAMESPACE/NAME",
		}
	}

	return nil
}

// givenTo returns the hosts to which the configuration gives the same credentials, if
// host is not among them.
func (s Secrets) givenTo(named credentials, host string) []string {
	var hosts []string
	for _, r := range s.Registries {
		if credentials(r.Credentials).source() != named.source() {
			continue
		}
		if strings.EqualFold(r.Host, host) {
			return nil
		}
		if !slices.Contains(hosts, r.Host) {
			hosts = append(hosts, r.Host)
		}
	}

	return hosts
}

// Repository decides about the Secret that write-back-method names for a git
// repository, as far as that is known before the Secret is read. Package gitwrite
// decides the rest: see [Secrets.Vouches].
func (s Secrets) Repository(app spec.Application) *Refusal {
	secret, ok := gitSecret(app)
	if !ok {
		return nil
	}

	host := giturl.Parse(app.Target.Repository).HostPort()
	namespace, _, _ := strings.Cut(secret, "/")
	if namespace == app.Namespace || s.lists(app, secret, host) {
		return nil
	}

	if host == "" {
		return &Refusal{
			Rule: ruleSecrets,
			Reason: fmt.Sprintf("write-back-method names the Secret %s, and the URL of the repository has no host "+
				"that credentials are sent to", quoted(secret)),
			Remedy: "write https://HOST/OWNER/NAME.git or git@HOST:OWNER/NAME.git",
		}
	}

	return refuseForeign("write-back-method", app, secret, AllowSecret(secret, host, app.Project))
}

// Vouches reports whether the Secret that write-back-method names may be used for the
// repository even if the Secret has no url that says so: it belongs to the
// Application's namespace alone, or the operator lists it for this host. In Argo CD's
// namespace, where Applications of anybody may be, the Secret itself must say it, or
// the repository must be where the operator's own are.
func (s Secrets) Vouches(app spec.Application) bool {
	secret, ok := gitSecret(app)
	if !ok {
		return false
	}

	namespace, _, _ := strings.Cut(secret, "/")
	own := namespace == app.Namespace && namespace != s.ArgoCD

	return own || s.lists(app, secret, giturl.Parse(app.Target.Repository).HostPort())
}

// gitSecret returns the Secret that write-back-method names, as NAMESPACE/NAME.
func gitSecret(app spec.Application) (secret string, ok bool) {
	if !app.Target.InGit() {
		return "", false
	}

	return strings.CutPrefix(app.Target.Credentials, "secret:")
}

// lists reports whether the operator lets the Application name a Secret for a host.
func (s Secrets) lists(app spec.Application, secret, host string) bool {
	return host != "" && slices.ContainsFunc(s.Listed, func(l ListedSecret) bool {
		projects := len(l.Projects) == 0 || app.Project != "" && matches(l.Projects, app.Project)

		return l.Secret == secret && projects && matches(lower(l.Hosts), strings.ToLower(host))
	})
}

// matches reports whether one of the globs matches a name, or is the name itself: the
// brackets of an IPv6 address are not meant as a glob.
func matches(globs []string, name string) bool {
	return slices.ContainsFunc(globs, func(glob string) bool {
		ok, err := doublestar.Match(glob, name)

		return glob == name || ok && err == nil
	})
}

func lower(all []string) []string {
	lowered := make([]string, len(all))
	for i, one := range all {
		lowered[i] = strings.ToLower(one)
	}

	return lowered
}

// refuseForeign is the refusal of a Secret of another namespace.
func refuseForeign(annotation string, app spec.Application, secret, remedy string) *Refusal {
	return &Refusal{
		Rule: ruleSecrets,
		Reason: fmt.Sprintf("%s names the Secret %s, which is not in the namespace of the Application, %s",
			annotation, quoted(secret), app.Namespace),
		Remedy: remedy,
	}
}

// refuseElsewhere is the refusal of credentials that belong to other registries.
func refuseElsewhere(named credentials, host string, of []string, remedy string) *Refusal {
	return &Refusal{
		Rule: ruleRegistries,
		Reason: fmt.Sprintf("pull-secret names %s for %s, but config.yaml gives these credentials to %s",
			quoted(named.source()), host, strings.Join(of, ", ")),
		Remedy: remedy,
	}
}

// quoted is a text of somebody else as a scalar of YAML: whatever it holds, it
// stays one value in one line.
func quoted(text string) string { return strconv.QuoteToASCII(text) }

// credentials are one of image.CredentialForms.
type credentials string

func (c credentials) kind() string {
	kind, _, _ := strings.Cut(string(c), ":")

	return kind
}

// secret is NAMESPACE/NAME of credentials in a Secret.
func (c credentials) secret() string {
	_, rest, _ := strings.Cut(string(c), ":")
	secret, _, _ := strings.Cut(rest, "#")

	return secret
}

// source is where the credentials are kept: the same for all fields of one Secret, and
// for both ways to read it.
func (c credentials) source() string {
	switch c.kind() {
	case "secret", "pullsecret":
		return "secret:" + c.secret()
	}

	return string(c)
}
