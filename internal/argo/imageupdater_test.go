package argo

import (
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"sigs.k8s.io/yaml"

	"github.com/liverty-music/image-writeback/internal/spec"
)

// TestImageUpdaters holds that a resource and the annotations that say the
// same ask for the same. testdata/argo says what the fields mean.
func TestImageUpdaters(t *testing.T) {
	data, err := os.ReadFile("../../testdata/argo/imageupdaters.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var vectors []struct {
		Name        string            `json:"name"`
		Spec        map[string]any    `json:"spec"`
		Own         map[string]string `json:"own"`
		Annotations map[string]string `json:"annotations"`
		Labels      []string          `json:"labels"`
		Problem     string            `json:"problem"`
	}
	if err := yaml.UnmarshalStrict(data, &vectors); err != nil {
		t.Fatal(err)
	}
	for _, v := range vectors {
		t.Run(v.Name, func(t *testing.T) {
			updater, err := imageUpdaterFrom(map[string]any{
				"metadata": map[string]any{"name": "all", "namespace": "argocd"}, "spec": v.Spec,
			})
			if err != nil {
				t.Fatal(err)
			}
			elsewhere := *updater
			elsewhere.Namespace = "apps"
			own := candidate{app: ofTeamX(v.Own)}
			got, selected := readOne(own, []*ImageUpdater{&elsewhere, updater})
			if selected != (v.Annotations != nil || v.Problem != "") {
				t.Fatalf("selected %t: %+v", selected, got)
			}
			if v.Problem != "" && (len(got.Problems) != 1 || !strings.Contains(got.Problems[0].Error(), v.Problem)) {
				t.Errorf("problems %v, want %s", got.Problems, v.Problem)
			}
			if v.Annotations == nil {
				return
			}
			want := Read(ofTeamX(v.Annotations), defaults)
			want.Target.Labels = v.Labels
			for _, problems := range [][]spec.Problem{got.Problems, want.Problems} {
				for i := range problems {
					problems[i].Resource = ""
				}
			}
			if diff := cmp.Diff(describeAll(want), describeAll(got)); diff != "" {
				t.Errorf("annotations (-) and resource (+):\n%s", diff)
			}
		})
	}
}

func TestTwoImageUpdaters(t *testing.T) {
	two := []*ImageUpdater{{}, {}}
	for i, name := range []string{"one", "two"} {
		two[i].Name, two[i].Namespace = name, "argocd"
		two[i].Spec.Refs = []applicationRef{{NamePattern: "*"}}
	}

	got, _ := readOne(candidate{app: ofTeamX(nil)}, two)
	const want = "ImageUpdater argocd/one: it selects the Application, and so do argocd/two"
	if len(got.Broken()) != 1 || !strings.Contains(got.Problems[0].Error(), want) {
		t.Errorf("problems %v", got.Problems)
	}
}

// ofTeamX returns an Application with annotations, whose names are without prefix.
func ofTeamX(annotations map[string]string) *Stored {
	var app Stored
	app.Namespace, app.Name, app.Labels = "argocd", "backend", map[string]string{"team": "x", "env": "prod"}
	app.Annotations = map[string]string{}
	for key, value := range annotations {
		app.Annotations[spec.Prefix+key] = value
	}
	app.Spec.Source = &StoredSource{RepoURL: "https://example.com/o/r.git", Path: "app", Kustomize: kustomized()}
	app.Status.Summary.Images = []string{"ghcr.io/o/app:1.0.0", "ghcr.io/o/a:1", "nginx:1.25"}
	return &app
}

func describeAll(app spec.Application) []string {
	lines := []string{
		app.String(), describeTarget(app.Target), string(app.Target.Form), app.Target.File, app.Target.Method,
		strings.Join(app.Target.Labels, ","),
	}
	for _, u := range app.Images {
		lines = append(lines, describe(u)+" "+u.HelmName+" "+u.HelmTag+" "+u.HelmSpec+" "+u.NotLive)
	}
	for _, p := range app.Problems {
		lines = append(lines, p.Error())
	}
	return lines
}

// readOne reads one Application, and reports whether it asks for anything.
func readOne(c candidate, updaters []*ImageUpdater) (spec.Application, bool) {
	var found spec.Listing
	Selection{}.read(c, updaters, defaults, &found)
	if len(found.Applications) == 0 {
		return spec.Application{}, false
	}

	return found.Applications[0], true
}
