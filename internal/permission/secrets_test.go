package permission

import (
	"os"
	"strings"
	"testing"

	"sigs.k8s.io/kustomize/kyaml/yaml"

	"github.com/liverty-music/image-writeback/internal/image"
	"github.com/liverty-music/image-writeback/internal/registry"
	"github.com/liverty-music/image-writeback/internal/spec"
)

// named is a vector of testdata/permission/secrets.yaml, whose README says what the
// fields mean.
type named struct {
	In, Project, Image, Repository, Names, Rule string
	Says                                        []string
	Vouched                                     bool
}

// settings are those of config.yaml, with their vectors.
type settings struct {
	Settings   string
	Registries []struct {
		Prefix, Credentials string
		Default             bool
	}
	Secrets     []ListedSecret
	Credentials []string

	Images, Repositories []named
}

// secrets are the rules for settings, with the registries that the updater would ask.
func (s settings) secrets(t *testing.T) Secrets {
	t.Helper()
	rules := Secrets{ArgoCD: "argocd", Listed: s.Secrets, Kinds: s.Credentials}
	var registries []registry.Registry
	for _, r := range s.Registries {
		one := registry.Registry{Prefix: r.Prefix, Credentials: r.Credentials, Default: r.Default}
		registries = append(registries, one)
		host, _, _ := strings.Cut(r.Prefix, "/")
		rules.Registries = append(rules.Registries, Registry{host, r.Credentials})
	}

	client, err := registry.New(registries, nil, nil, "test")
	if err != nil {
		t.Fatal(err)
	}
	rules.RegistryOf = func(ref image.Ref) Registry {
		host, credentials := client.Configured(ref)
		return Registry{host, credentials}
	}

	return rules
}

func TestSecrets(t *testing.T) {
	data, err := os.ReadFile("../../testdata/permission/secrets.yaml")
	if err != nil {
		t.Fatal(err)
	}
	decoder := yaml.NewDecoder(strings.NewReader(string(data)))
	decoder.KnownFields(true)
	var all []settings
	if err := decoder.Decode(&all); err != nil {
		t.Fatal(err)
	}

	for _, s := range all {
		rules := s.secrets(t)
		for _, v := range s.Images {
			ref, err := image.ParseName(v.Image)
			if err != nil {
				t.Fatal(err)
			}
			app := spec.Application{Namespace: v.In, Name: "app", Project: v.Project}
			v.check(t, s.Settings, rules.Image(app, spec.Image{Ref: ref, Credentials: v.Names}))
		}
		for _, v := range s.Repositories {
			app := spec.Application{Namespace: v.In, Name: "app", Project: v.Project}
			app.Target = spec.Target{Method: spec.MethodGit, Repository: v.Repository, Credentials: v.Names}
			v.check(t, s.Settings, rules.Repository(app))
			if got := rules.Vouches(app); got != v.Vouched {
				t.Errorf("%s: %+v: vouched is %t", s.Settings, v, got)
			}
		}
	}
}

// check compares a decision with a vector. No refusal has more than one line.
func (v named) check(t *testing.T, settings string, got *Refusal) {
	t.Helper()
	if (got == nil) != (v.Rule == "") || got != nil && got.Rule != v.Rule {
		t.Errorf("%s: %+v: %+v", settings, v, got)
		return
	}
	if got == nil {
		return
	}

	text := got.Error()
	if strings.Contains(text, "\n") || strings.Contains(text, "s3cret") || got.Reason == "" || got.Remedy == "" {
		t.Errorf("%s: %+v: %q", settings, v, text)
	}
	for _, piece := range v.Says {
		if !strings.Contains(text, piece) {
			t.Errorf("%s: %+v: %q does not say %q", settings, v, text, piece)
		}
	}
}

// TestNoRules checks that without settings only what is an Application's own may be
// named, and that other methods name no credentials of git.
func TestNoRules(t *testing.T) {
	ref, err := image.ParseName("ghcr.io/o/app")
	if err != nil {
		t.Fatal(err)
	}
	app := spec.Application{Namespace: "team"}
	app.Target = spec.Target{Method: spec.MethodArgoCD, Credentials: "secret:other/x"}
	if got := (Secrets{}).Repository(app); got != nil || (Secrets{}).Vouches(app) {
		t.Errorf("without git: %v", got)
	}
	for names, allowed := range map[string]bool{
		"secret:team/x#f": true, "secret:other/x#f": false, "env:X": false, "": true,
	} {
		if got := (Secrets{}).Image(app, spec.Image{Ref: ref, Credentials: names}); (got == nil) != allowed {
			t.Errorf("%s: %v", names, got)
		}
	}
}
