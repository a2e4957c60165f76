package argo

import (
	"bytes"
	"encoding/json"
	"os"
	"strings"
	"testing"

	"sigs.k8s.io/kustomize/kyaml/yaml"

	"github.com/liverty-music/image-writeback/internal/spec"
)

var defaults = Defaults{WriteBackMethod: "git", WriteBackTarget: "kustomization"}

// vector is one row of testdata/argo/annotations.yaml; the README says what the fields mean.
type vector struct {
	Name        string            `yaml:"name"`
	Annotations map[string]string `yaml:"annotations"`
	Live        []string          `yaml:"live"`
	Source      map[string]any    `yaml:"source"`
	Updates     []string          `yaml:"updates"`
	Target      string            `yaml:"target"`
	Problems    []string          `yaml:"problems"`
	Skipped     string            `yaml:"skipped"`
}

func TestVectors(t *testing.T) {
	data, err := os.ReadFile("../../testdata/argo/annotations.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var vectors []vector
	decoder := yaml.NewDecoder(bytes.NewReader(data))
	decoder.KnownFields(true)
	if err := decoder.Decode(&vectors); err != nil {
		t.Fatal(err)
	}
	for _, v := range vectors {
		t.Run(v.Name, func(t *testing.T) { checkVector(t, v) })
	}
}

func checkVector(t *testing.T, v vector) {
	var app Stored
	app.Namespace, app.Name = "argocd", "backend"
	app.Annotations = map[string]string{}
	for key, value := range v.Annotations {
		app.Annotations[spec.Prefix+key] = value
	}
	app.Status.Summary.Images = v.Live
	app.Spec.Source = &StoredSource{RepoURL: "https://example.com/o/r.git", Path: "apps/backend"}
	fields, err := json.Marshal(v.Source)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(fields, app.Spec.Source); err != nil {
		t.Fatal(err)
	}
	from := origin{}
	if v.Live == nil {
		from.file = "backend.yaml"
	}
	got := read(governed{app: &app}, defaults, from)
	var updates []string
	for _, u := range got.Images {
		updates = append(updates, describe(u))
	}
	if strings.Join(updates, "\n") != strings.Join(v.Updates, "\n") {
		t.Errorf("updates:\n%s\nwant:\n%s", strings.Join(updates, "\n"), strings.Join(v.Updates, "\n"))
	}
	if target := describeTarget(got.Target); target != v.Target {
		t.Errorf("target %q, want %q", target, v.Target)
	}
	if len(got.Problems) != len(v.Problems) {
		t.Errorf("problems %v", got.Problems)
	}
	for i, want := range v.Problems {
		if i < len(got.Problems) && !strings.Contains(got.Problems[i].Error(), want) {
			t.Errorf("problem %q, want %q", got.Problems[i].Error(), want)
		}
	}

	reason := ""
	if len(got.Images) > 0 {
		reason = got.Images[0].NotLive
	}
	if (reason != "") != (v.Skipped != "") || !strings.Contains(reason, v.Skipped) {
		t.Errorf("skipped: %q", reason)
	}
}

func describe(u spec.Image) string {
	dash := func(s string) string {
		if s == "" {
			return "-"
		}
		return s
	}
	s := strings.Join([]string{dash(u.Alias), u.Ref.Name, string(u.Policy.Strategy), dash(u.Policy.Constraint)}, " ")
	allow := ""
	if u.Policy.Allow != nil {
		allow = u.Policy.Allow.String()
	}
	for _, pair := range [][2]string{
		{"allow", allow},
		{"ignore", strings.Join(u.Policy.Ignore, ",")},
		{"platforms", strings.Join(u.Platforms, ",")},
		{"credentials", u.Credentials},
		{"kustomize", u.KustomizeName},
		{"live", u.Live.Version.String()},
	} {
		if pair[1] != "" {
			s += " " + pair[0] + "=" + pair[1]
		}
	}
	return s
}

func describeTarget(target spec.Target) string {
	var parts []string
	for _, pair := range [][2]string{
		{"branch", target.BaseBranch},
		{"write", target.WriteBranch},
		{"folder", target.Folder},
		{"delivery", target.Delivery},
		{"credentials", target.Credentials},
	} {
		if pair[1] != "" {
			parts = append(parts, pair[0]+"="+pair[1])
		}
	}
	return strings.Join(parts, " ")
}

func TestSources(t *testing.T) {
	kustomize := StoredSource{RepoURL: "https://example.com/k.git", Path: "k", Kustomize: kustomized()}
	chart := StoredSource{RepoURL: "https://charts.example.com", Chart: "c"}
	plain := StoredSource{RepoURL: "https://example.com/p.git", Path: "p"}
	for name, c := range map[string]struct {
		sources     []StoredSource
		types       []spec.SourceType
		annotations map[string]string
		repository  string
		problem     string
	}{
		"by its fields": {sources: []StoredSource{plain, kustomize}, repository: kustomize.RepoURL},
		"by the status": {
			sources:    []StoredSource{plain, plain, kustomize},
			types:      []spec.SourceType{"Directory", "Kustomize", "Kustomize"},
			repository: plain.RepoURL,
		},
		"the only one": {sources: []StoredSource{plain}, repository: plain.RepoURL},
		"by git-repository": {
			sources:     []StoredSource{kustomize, plain},
			annotations: map[string]string{gitRepository: plain.RepoURL},
			repository:  plain.RepoURL,
		},
		"none": {sources: []StoredSource{chart}, problem: "a chart from a Helm registry"},
		"the target says how": {
			sources:     []StoredSource{chart, plain},
			annotations: map[string]string{writeBackTarget: "kustomization:/x", gitRepository: plain.RepoURL},
			repository:  plain.RepoURL,
		},
	} {
		var app Stored
		app.Annotations = map[string]string{spec.Prefix + imageList: "nginx"}
		for key, value := range c.annotations {
			app.Annotations[spec.Prefix+key] = value
		}
		app.Spec.Sources, app.Status.SourceTypes = c.sources, c.types
		got := Read(&app, defaults)
		problem := ""
		if len(got.Problems) > 0 {
			problem = got.Problems[0].Error()
		}
		if got.Target.Repository != c.repository ||
			(problem != "") != (c.problem != "") || !strings.Contains(problem, c.problem) {
			t.Errorf("%s: %q, problems %v", name, got.Target.Repository, got.Problems)
		}
	}
}
