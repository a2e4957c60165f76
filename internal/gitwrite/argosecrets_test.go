package gitwrite

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"

	"sigs.k8s.io/kustomize/kyaml/yaml"

	"github.com/liverty-music/image-writeback/internal/giturl"
)

// storedSecret is a Secret of testdata/gitwrite/argosecrets.yaml, whose README says
// what the fields mean.
type storedSecret struct {
	Name, Kind string
	Data       map[string]string
}

func (s storedSecret) bytes() map[string][]byte {
	data := map[string][]byte{}
	for key, value := range s.Data {
		data[key] = []byte(value)
	}
	return data
}

// secretsOf serves Secrets as a cluster does.
func secretsOf(stored []storedSecret) *ArgoSecrets {
	return &ArgoSecrets{
		Secret: func(_ context.Context, namespace, name string) (map[string][]byte, error) {
			for _, s := range stored {
				if s.Name == name {
					return s.bytes(), nil
				}
			}
			return nil, fmt.Errorf("the Secret %s/%s does not exist", namespace, name)
		},
		Repositories: func(context.Context) (all []RepositorySecret, err error) {
			for _, s := range stored {
				if s.Kind != "" {
					template := s.Kind == "template"
					all = append(all, RepositorySecret{Name: "argocd/" + s.Name, Template: template, Data: s.bytes()})
				}
			}
			return all, nil
		},
		Servers: []giturl.Address{giturl.Parse("https://github.com")},
		Remedy: func(secret, host, project string) string {
			return "list " + secret + " for " + host + " and " + project
		},
		Trust: func(context.Context) (string, map[string]string) {
			return "known hosts", map[string]string{"example.com": "certificate"}
		},
	}
}

func TestArgoSecrets(t *testing.T) {
	data, err := os.ReadFile("../../testdata/gitwrite/argosecrets.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var file struct {
		Secrets []storedSecret
		Vectors []struct {
			URL, From, Project, User, Key, Proxy, Error, Remedy string
			Insecure, Scoped, Vouched                           bool
		}
	}
	decoder := yaml.NewDecoder(strings.NewReader(string(data)))
	decoder.KnownFields(true)
	if err := decoder.Decode(&file); err != nil {
		t.Fatal(err)
	}

	secrets := secretsOf(file.Secrets)
	for _, v := range file.Vectors {
		what := strings.Join([]string{v.URL, v.From, v.Project}, " ")
		if scoped := secrets.Scoped(t.Context(), v.URL); scoped != v.Scoped {
			t.Errorf("%s: scoped is %t", what, scoped)
		}

		got, err := secrets.Find(t.Context(), Access{URL: v.URL, From: v.From, Project: v.Project, Vouched: v.Vouched})
		if v.Error != "" {
			if err == nil || !strings.Contains(err.Error(), v.Error) || strings.Contains(err.Error(), "s3cret") {
				t.Errorf("%s: %v, want %q", what, err, v.Error)
			}
			var elsewhere *ElsewhereError
			if v.Remedy != "" && (!errors.As(err, &elsewhere) || !strings.Contains(elsewhere.Remedy, v.Remedy)) {
				t.Errorf("%s: %+v, want the remedy %q", what, elsewhere, v.Remedy)
			}
			continue
		}
		if err != nil || got.Username != v.User || string(got.SSHPrivateKey) != v.Key ||
			got.Insecure != v.Insecure || got.Proxy != v.Proxy {
			t.Errorf("%s: %q %q %t %q (%v)", what, got.Username, got.SSHPrivateKey, got.Insecure, got.Proxy, err)
		}
		if trusted := strings.HasPrefix(v.URL, "https://example.com/"); got.KnownHosts != "known hosts" ||
			trusted && string(got.CA) != "certificate" {
			t.Errorf("%s: known hosts %q, certificates %q", what, got.KnownHosts, got.CA)
		}
	}
}

// TestNoCluster checks that nothing is found without a cluster to read Secrets from.
func TestNoCluster(t *testing.T) {
	got, err := (&ArgoSecrets{}).Find(t.Context(), Access{URL: "https://example.com/o/r"})
	if err != nil || got.present() {
		t.Errorf("%t, %v", got.present(), err)
	}
}
