package registry

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"os"
	"strings"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/v1/google"

	"github.com/liverty-music/image-writeback/internal/image"
)

// SecretReader returns the data of a Kubernetes Secret.
type SecretReader func(ctx context.Context, namespace, name string) (map[string][]byte, error)

// CredentialsError is credentials that could not be had, as opposed to such
// that a registry refused. It never holds any part of them.
type CredentialsError struct {
	Err    error
	Remedy string
}

// Error says what is wrong with them.
func (e *CredentialsError) Error() string { return e.Err.Error() }

// Unwrap returns the cause.
func (e *CredentialsError) Unwrap() error { return e.Err }

// authenticator resolves the credentials of a repository:
//
//	google                     Application Default Credentials, Workload Identity
//	env:VARIABLE               user:password
//	secret:NS/NAME#FIELD       user:password in a field of a Secret
//	pullsecret:NS/NAME         a Secret of type kubernetes.io/dockerconfigjson
//	ext:/absolute/path         a program that prints user:password
//	(none)                     Docker's configuration, then the cloud's own for its registries
func (c *Client) authenticator(ctx context.Context, r *Repository) (authn.Authenticator, error) {
	kind, rest, _ := strings.Cut(r.creds, ":")
	fail := func(remedy, format string, args ...any) error {
		return &CredentialsError{Err: fmt.Errorf("credentials %s: "+format, append([]any{publicPart(r.creds)}, args...)...), Remedy: remedy}
	}
	switch kind {
	case "":
		auth, err := authn.NewMultiKeychain(append([]authn.Keychain{authn.DefaultKeychain, google.Keychain}, clouds(r.ref.Registry)...)...).Resolve(r.named())
		if err != nil {
			return nil, &CredentialsError{Err: fmt.Errorf("the Docker configuration cannot be read: %w", err), Remedy: "correct ~/.docker/config.json or DOCKER_CONFIG"}
		}
		return auth, nil
	case "google":
		// The keychain would fall back to anonymous without a word.
		auth, err := google.NewEnvAuthenticator(ctx)
		if err != nil {
			return nil, fail("bind the service account through Workload Identity, or run gcloud auth application-default login", "Google has none for us: %w", err)
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
			return nil, fail("run it by hand: it must print user:password and end with status 0", "%w", err)
		}
		return basic(printed, fail)
	case "secret", "pullsecret":
		if c.secrets == nil {
			return nil, fail("give --kubeconfig", "there is no cluster to read Secrets from")
		}
		reference, field, _ := strings.Cut(rest, "#")
		namespace, name, _ := strings.Cut(reference, "/")
		data, err := c.secrets(ctx, namespace, name)
		if err != nil {
			return nil, fail("the registry is asked again in the next cycle", "%w", err)
		}
		if kind == "pullsecret" {
			return dockerConfig(data[".dockerconfigjson"], r.ref, fail)
		}
		value, ok := data[field]
		if !ok {
			return nil, fail("name a field that it has", "the Secret has no field %q", field)
		}
		return basic(string(value), fail)
	}
	return nil, fail("use google, env:VARIABLE, secret:NAMESPACE/NAME#FIELD, pullsecret:NAMESPACE/NAME or ext:/PATH", "no such kind of credentials")
}

type failure func(remedy, format string, args ...any) error

func basic(value string, fail failure) (authn.Authenticator, error) {
	user, password, ok := strings.Cut(strings.TrimSpace(value), ":")
	if !ok {
		return nil, fail("write user:password", "the value has no colon")
	}
	return &authn.Basic{Username: user, Password: password}, nil
}

// dockerConfig finds a registry's entry in a docker config.json.
func dockerConfig(data []byte, ref image.Ref, fail failure) (authn.Authenticator, error) {
	var config struct {
		Auths map[string]struct {
			Username string `json:"username"`
			Password string `json:"password"`
			Auth     string `json:"auth"`
		} `json:"auths"`
	}
	if err := json.Unmarshal(data, &config); err != nil {
		// The parser's own message could quote the content.
		return nil, fail("create it with kubectl create secret docker-registry", "the field .dockerconfigjson is no Docker configuration")
	}
	// As the kubelet: the entry with the longest path that fits.
	best, bestKey := authn.AuthConfig{}, ""
	full := ref.Registry + "/" + ref.Repository
	for key, entry := range config.Auths {
		prefix := strings.TrimSuffix(strings.TrimPrefix(strings.TrimPrefix(key, "https://"), "http://"), "/")
		for _, version := range []string{"/v1", "/v2"} {
			prefix = strings.TrimSuffix(prefix, version)
		}
		if prefix == "index.docker.io" {
			prefix = image.DockerHub
		}
		if full != prefix && !strings.HasPrefix(full, prefix+"/") || len(prefix) < len(bestKey) {
			continue
		}
		user, password := entry.Username, entry.Password
		if entry.Auth != "" {
			decoded, err := base64.StdEncoding.DecodeString(entry.Auth)
			if err != nil {
				return nil, fail("create it with kubectl create secret docker-registry", "auth for %s is not base64", key)
			}
			user, password, _ = strings.Cut(string(decoded), ":")
		}
		best, bestKey = authn.AuthConfig{Username: user, Password: password}, prefix
	}
	if bestKey == "" {
		return nil, fail("add it with kubectl create secret docker-registry", "it has no entry for %s", ref.Registry)
	}
	return authn.FromConfig(best), nil
}

// publicPart is what of a credentials setting may be shown: where they are
// kept, never what they are.
func publicPart(s string) string {
	kind, _, _ := strings.Cut(s, ":")
	switch kind {
	case "google", "env", "secret", "pullsecret", "ext":
		return s
	}
	return "(not shown)"
}

// named is the registry by the name that images carry, by which Docker's
// configuration and Google's keychain know it, whatever api_url says.
func (r *Repository) named() authn.Resource { return resource(r.ref.Registry) }

type resource string

// String is the registry's host.
func (r resource) String() string { return string(r) }

// RegistryStr is the registry's host as Docker's configuration has it.
func (r resource) RegistryStr() string {
	if r == image.DockerHub {
		return "index.docker.io"
	}
	return string(r)
}
