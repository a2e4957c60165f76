package registry

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/v1/google"

	"github.com/liverty-music/image-writeback/internal/image"
)

// SecretReader returns the data of a Kubernetes Secret.
type SecretReader func(ctx context.Context, namespace, name string) (map[string][]byte, error)

// CredentialsError means that no credentials could be had; it is not about
// credentials that a registry refused. It never holds any part of them.
type CredentialsError struct {
	Err    error
	Remedy string
}

// Error says what is wrong with them.
func (e *CredentialsError) Error() string { return e.Err.Error() }

// Unwrap returns the cause.
func (e *CredentialsError) Unwrap() error { return e.Err }

// failure makes a CredentialsError about one setting.
type failure func(remedy, format string, args ...any) error

// failureOf returns a failure that names where the credentials are kept.
func failureOf(setting string) failure {
	return func(remedy, format string, args ...any) error {
		args = append([]any{publicPart(setting)}, args...)
		return &CredentialsError{Err: fmt.Errorf("credentials %s: "+format, args...), Remedy: remedy}
	}
}

// authenticator reads the credentials of a repository. The error is a
// *CredentialsError.
func (c *Client) authenticator(ctx context.Context, r *Repository) (authn.Authenticator, error) {
	fail := failureOf(r.creds)

	switch kind, rest, _ := strings.Cut(r.creds, ":"); kind {
	case "":
		return fromKeychains(r)

	case "google":
		// The keychain would use no credentials, without an error.
		auth, err := google.NewEnvAuthenticator(ctx)
		if err != nil {
			return nil, fail("bind the service account through Workload Identity, "+
				"or run gcloud auth application-default login", "Google has no credentials for this process: %w", err)
		}
		return auth, nil

	case "env":
		value, ok := os.LookupEnv(rest)
		if !ok {
			return nil, fail("set it to user:password", "the environment variable is not set")
		}
		return basic(value, fail)

	case "ext":
		printed, err := runScript(ctx, rest)
		if err != nil {
			return nil, fail("run it by hand: it must print user:password and exit with status 0", "%w", err)
		}
		return basic(printed, fail)

	case "secret":
		return c.fromSecret(ctx, rest, fail)

	case "pullsecret":
		data, err := c.secret(ctx, rest, fail)
		if err != nil {
			return nil, err
		}
		return dockerConfig(data[".dockerconfigjson"], r.ref, fail)
	}

	return nil, fail("use one of "+strings.Join(image.CredentialForms(), ", "), "unknown kind of credentials")
}

// fromKeychains reads Docker's configuration, and asks the cloud for its own
// registries.
func fromKeychains(r *Repository) (authn.Authenticator, error) {
	keychains := append([]authn.Keychain{authn.DefaultKeychain, google.Keychain}, cloudKeychains(r.ref.Registry)...)
	auth, err := authn.NewMultiKeychain(keychains...).Resolve(resource(r.ref.Registry))
	if err != nil {
		return nil, &CredentialsError{
			Err:    fmt.Errorf("the Docker configuration cannot be read: %w", err),
			Remedy: "correct ~/.docker/config.json or DOCKER_CONFIG",
		}
	}

	return auth, nil
}

// fromSecret reads NAMESPACE/NAME#FIELD.
func (c *Client) fromSecret(ctx context.Context, reference string, fail failure) (authn.Authenticator, error) {
	secret, field, _ := strings.Cut(reference, "#")
	data, err := c.secret(ctx, secret, fail)
	if err != nil {
		return nil, err
	}

	value, ok := data[field]
	if !ok {
		return nil, fail("name a field that it has", "the Secret has no field %q", field)
	}

	return basic(string(value), fail)
}

// secret reads the Secret NAMESPACE/NAME.
func (c *Client) secret(ctx context.Context, reference string, fail failure) (map[string][]byte, error) {
	if c.secrets == nil {
		return nil, fail("give --kubeconfig", "there is no cluster to read Secrets from")
	}

	reference, _, _ = strings.Cut(reference, "#")
	namespace, name, _ := strings.Cut(reference, "/")
	data, err := c.secrets(ctx, namespace, name)
	if err != nil {
		return nil, fail("the registry is tried again in the next cycle", "%w", err)
	}

	return data, nil
}

// basic reads user:password.
func basic(value string, fail failure) (authn.Authenticator, error) {
	user, password, ok := strings.Cut(strings.TrimSpace(value), ":")
	if !ok {
		return nil, fail("write user:password", "the value has no colon")
	}

	return &authn.Basic{Username: user, Password: password}, nil
}

// dockerEntry is one registry in Docker's config.json.
type dockerEntry struct {
	Username string `json:"username"`
	Password string `json:"password"`
	Auth     string `json:"auth"`
}

// dockerConfig finds the entry of an image's registry in Docker's config.json. As
// the kubelet does, it takes the one with the longest path that fits. Hosts, ports and
// parts of paths are compared: an entry is never for a host whose name only begins
// with it.
func dockerConfig(data []byte, ref image.Ref, fail failure) (authn.Authenticator, error) {
	const create = "create it with kubectl create secret docker-registry"

	var config struct {
		Auths map[string]dockerEntry `json:"auths"`
	}
	if err := json.Unmarshal(data, &config); err != nil {
		// The parser's message could quote the content.
		return nil, fail(create, "the field .dockerconfigjson is not a Docker configuration")
	}

	best, bestPrefix := authn.AuthConfig{}, ""
	full := strings.ToLower(ref.Registry) + "/" + ref.Repository
	for key, entry := range config.Auths {
		prefix := dockerPrefix(key)
		fits := full == prefix || strings.HasPrefix(full, prefix+"/")
		if !fits || len(prefix) < len(bestPrefix) {
			continue
		}

		user, password := entry.Username, entry.Password
		if entry.Auth != "" {
			decoded, err := base64.StdEncoding.DecodeString(entry.Auth)
			if err != nil {
				return nil, fail(create, "auth for %s is not base64", key)
			}
			user, password, _ = strings.Cut(string(decoded), ":")
		}
		best, bestPrefix = authn.AuthConfig{Username: user, Password: password}, prefix
	}
	if bestPrefix == "" {
		return nil, fail("add it with kubectl create secret docker-registry", "it has no entry for %s", ref.Registry)
	}

	return authn.FromConfig(best), nil
}

// dockerPrefix returns the host, or host and path, of a key in Docker's
// configuration.
func dockerPrefix(key string) string {
	prefix := strings.TrimPrefix(strings.TrimPrefix(key, "https://"), "http://")
	prefix = strings.TrimSuffix(prefix, "/")
	for _, version := range []string{"/v1", "/v2"} {
		prefix = strings.TrimSuffix(prefix, version)
	}
	host, path, hasPath := strings.Cut(prefix, "/")
	host = strings.ToLower(host)
	if host == "index.docker.io" {
		host = image.DockerHub
	}
	if hasPath {
		return host + "/" + path
	}

	return host
}

// publicPart returns what of a credentials setting may be shown: where they are
// kept, never what they are.
func publicPart(setting string) string {
	kind, _, _ := strings.Cut(setting, ":")
	known := func(form string) bool { return form == kind || strings.HasPrefix(form, kind+":") }
	if kind != "" && slices.ContainsFunc(image.CredentialForms(), known) {
		return setting
	}

	return "(not shown)"
}

// resource is a registry by the name that images have for it, by which Docker's
// configuration and Google's keychain know it, whatever the URL of its API is.
type resource string

// String returns the registry's host.
func (r resource) String() string { return string(r) }

// RegistryStr returns the registry's host as Docker's configuration has it.
func (r resource) RegistryStr() string {
	if r == image.DockerHub {
		return "index.docker.io"
	}

	return string(r)
}
