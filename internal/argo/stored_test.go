package argo

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/argoproj/argo-cd/v2/pkg/apis/application/v1alpha1"
	"github.com/google/go-cmp/cmp"

	"github.com/liverty-music/image-writeback/internal/spec"
)

// kustomized makes a source one of Kustomize.
func kustomized() *StoredKustomize { return &StoredKustomize{} }

// storedSources are sources of an Application in JSON, by what they are.
var storedSources = map[string]string{
	"kustomize": `{"repoURL": "https://example.com/r.git", "path": "a/b", "targetRevision": "main",
		"kustomize": {"namePrefix": "x-", "images": ["nginx:1", "a=b:2"], "version": "v5"}}`,
	"helm": `{"repoURL": "https://charts.example.com", "chart": "c", "targetRevision": "1.*",
		"helm": {"valueFiles": ["v.yaml"], "valuesObject": {"a": 1},
			"parameters": [{"name": "image.tag", "value": "1", "forceString": true}, {"name": "x"}]}}`,
	"directory": `{"repoURL": "https://example.com/r.git", "path": ".",
		"directory": {"recurse": true, "jsonnet": {}}}`,
	"plugin": `{"repoURL": "https://example.com/r.git", "path": ".",
		"plugin": {"name": "p", "env": [{"name": "A", "value": "b"}]}}`,
	"a reference": `{"repoURL": "https://example.com/r.git", "ref": "values"}`,
	"two types":   `{"repoURL": "https://example.com/r.git", "kustomize": {}, "helm": {}}`,
	"nothing":     `{}`,
}

// wrongApplications are Applications that cannot be read, in JSON.
var wrongApplications = []string{
	`{"spec": {"source": {"kustomize": {"images": "nginx"}}}}`,
	`{"spec": {"source": {"helm": {"parameters": {}}}}}`,
	`{"spec": {"sources": {}}}`,
	`{"spec": {"source": {"repoURL": 1}}}`,
	`{"metadata": {"annotations": {"a": 1}}}`,
}

// TestStoredIsAsArgoCDHasIt reads Applications by Argo CD's own types and by
// ours: what is read of them is the same.
func TestStoredIsAsArgoCDHasIt(t *testing.T) {
	for name, source := range storedSources {
		var theirs v1alpha1.Application
		var ours Stored
		for _, into := range []any{&theirs, &ours} {
			if err := json.Unmarshal([]byte(applicationOf(source)), into); err != nil {
				t.Fatal(err)
			}
		}

		// By way of JSON, theirs has what ours lacks, and nothing else.
		if diff := cmp.Diff(byJSON(t, &theirs), byJSON(t, &ours)); diff != "" {
			t.Errorf("%s: Argo CD's (-) and ours (+):\n%s", name, diff)
		}

		explicit, err := theirs.Spec.Source.ExplicitType()
		want := spec.SourceType("")
		if err == nil && explicit != nil {
			want = spec.SourceType(*explicit)
		}
		if got := ours.Spec.Source.explicitType(); got != want {
			t.Errorf("%s: type %q, Argo CD says %q", name, got, want)
		}
	}

	for _, wrong := range wrongApplications {
		var theirs v1alpha1.Application
		var ours Stored
		a, b := json.Unmarshal([]byte(wrong), &theirs), json.Unmarshal([]byte(wrong), &ours)
		if a == nil || b == nil || !strings.Contains(b.Error(), "cannot unmarshal") {
			t.Errorf("%s: Argo CD says %v, we %v", wrong, a, b)
		}
	}
}

// applicationOf is an Application in JSON that has a source alone and in a list.
func applicationOf(source string) string {
	return `{"apiVersion": "argoproj.io/v1alpha1", "kind": "Application",
  "metadata": {"name": "a", "namespace": "n", "uid": "u",
    "creationTimestamp": "2026-01-02T03:04:05Z", "labels": {"l": "m"}, "annotations": {"b": "c"}},
  "spec": {"project": "p", "source": ` + source + `, "sources": [` + source + `, ` + source + `],
    "sourceHydrator": {"drySource": {"repoURL": "https://example.com/dry", "path": "a", "targetRevision": "main"},
      "syncSource": {"targetBranch": "env/dev", "path": "b"}, "hydrateTo": {"targetBranch": "next"}}},
  "status": {"sourceType": "Kustomize", "sourceTypes": ["Helm", "Directory"], "summary": {"images": ["nginx:1"]},
    "health": {"status": "Degraded", "message": "m", "lastTransitionTime": "2026-11-20T08:11:02Z"}}}`
}

// byJSON writes an Application as JSON and reads it by our types.
func byJSON(t *testing.T, app any) (s Stored) {
	t.Helper()
	data, err := json.Marshal(app)
	if err == nil {
		err = json.Unmarshal(data, &s)
	}

	if err != nil {
		t.Fatal(err)
	}

	return s
}

// TestCheckedSources holds which sources of an Application are checked.
func TestCheckedSources(t *testing.T) {
	const git, charts = "https://example.com/r.git", "https://charts.example.com"
	source := spec.Source{Repository: git, Path: "a/b", Revision: "main"}
	values := func(paths ...string) (files []spec.ValuesFile) {
		for _, path := range paths {
			files = append(files, spec.ValuesFile{Repository: git, Path: path})
		}

		return files
	}
	for name, c := range map[string]struct {
		spec string
		want []spec.Source
	}{
		"one": {`{"source": ` + storedSources["kustomize"] + `}`, []spec.Source{source}},
		"several instead of one": {`{"source": ` + storedSources["plugin"] + `, "sources": [` +
			storedSources["kustomize"] + `, ` + storedSources["helm"] + `, ` + storedSources["a reference"] + `]}`,
			[]spec.Source{source, {Repository: charts, Revision: "1.*", Chart: true}, {Repository: git}}},
		"an OCI artifact": {`{"source": {"repoURL": "oci://example.com/r", "path": "."}}`,
			[]spec.Source{{Repository: "oci://example.com/r", Path: ".", Chart: true}}},
		"hydrated": {`{"source": ` + storedSources["plugin"] + `, "sourceHydrator": {
			"drySource": {"repoURL": "` + git + `", "path": "a/b", "targetRevision": "main"},
			"syncSource": {"targetBranch": "env/dev", "path": "c"}}}`,
			[]spec.Source{source, {Repository: git, Path: "c", Revision: "env/dev"}}},
		"hydrated to another repository": {`{"sourceHydrator": {
			"drySource": {"repoURL": "` + git + `", "path": "a/b", "targetRevision": "main"},
			"syncSource": {"repoURL": "` + charts + `", "targetBranch": "env/dev", "path": "c"}}}`,
			[]spec.Source{source, {Repository: charts, Path: "c", Revision: "env/dev"}}},
		"with values files": {`{"sources": [
			{"repoURL": "` + charts + `", "chart": "c", "helm": {"valueFiles": ["in-chart.yaml",
				"$values/envs/prod/a.yaml", "$values/../out.yaml", "$other/a.yaml", "https://example.com/v.yaml",
				"$charts/a.yaml",
				"$values/envs/$ARGOCD_APP_NAME.yaml", "$values/$ARGOCD_APP_PROJECT_NAME/$ARGOCD_APP_REVISION.yaml"]}},
			{"repoURL": "` + git + `", "ref": "values"},
			{"repoURL": "` + charts + `", "chart": "d", "ref": "charts"},
			{"repoURL": "` + git + `", "path": "charts/a", "helm": {"valueFiles": ["values.yaml", "../values.yaml",
				"/envs/b.yaml", "$values/charts/a/c.yaml", "../../../out.yaml"]}}]}`,
			[]spec.Source{
				{Repository: charts, Chart: true, Values: values("envs/prod/a.yaml", "envs/a.yaml")},
				{Repository: git},
				{Repository: charts, Chart: true},
				{Repository: git, Path: "charts/a", Values: values("charts/values.yaml", "envs/b.yaml")},
			}},
		"a path that no folder has": {
			`{"source": {"repoURL": "` + git + `", "path": "` + strings.Repeat("a/", 600) + `"}}`,
			[]spec.Source{{Repository: git}},
		},
		"none": {`{}`, nil},
	} {
		app := Trim([]byte(`{"metadata": {"name": "a", "creationTimestamp": "2026-01-02T03:04:05Z"}, "spec": ` +
			c.spec + `}`))
		got := Read(app, defaults)
		if diff := cmp.Diff(c.want, got.Sources); diff != "" {
			t.Errorf("%s: want (-) and have (+):\n%s", name, diff)
		}
		if got.Created.UTC().Format(time.RFC3339) != "2026-01-02T03:04:05Z" {
			t.Errorf("%s: created at %v", name, got.Created)
		}
	}
}
