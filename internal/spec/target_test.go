package spec

import (
	"strings"
	"testing"

	"github.com/liverty-music/image-writeback/internal/manifest"
)

// TestCandidates holds which files a target may write to, and the key of the
// target, which is that of Argo CD Image Updater 1.x.
func TestCandidates(t *testing.T) {
	const override = "app/.argocd-source-a.yaml"
	names := strings.Join(manifest.KustomizationNames, "|")
	for name, c := range map[string]struct {
		target Target
		want   string
		key    string // of the same target with Folder or File alone
	}{
		"kustomization": {Target{Form: manifest.FormKustomization, Type: Kustomize, Folder: "app", File: override},
			"app/" + names, "app"},
		"Helm values": {Target{Form: manifest.FormHelmValues, Type: Helm, Folder: "app", File: "app/values.yaml"},
			"app/values.yaml", "app/values.yaml"},
		"overrides": {Target{Form: manifest.FormOverrides, Type: Helm, Folder: "app", File: override},
			override, override},
		"unknown": {Target{Form: manifest.FormKustomization, Folder: "app", File: override},
			"app/" + names + " " + override, "app"},
		"unknown, overrides preferred": {Target{Form: manifest.FormOverrides, Folder: "app", File: override},
			"app/" + names + " " + override, override},
	} {
		t.Run(name, func(t *testing.T) {
			var got []string
			for _, files := range c.target.Candidates() {
				got = append(got, files.Folder+"/"+strings.Join(files.Names, "|"))
			}
			if all := strings.Join(got, " "); all != c.want {
				t.Errorf("%s; want %s", all, c.want)
			}

			same := Target{Form: manifest.FormOverrides, Type: Helm, File: c.key}
			if c.target.Key() != same.Key() {
				t.Errorf("the key is not of %s", c.key)
			}
		})
	}
}

// TestOfType holds what a target becomes once the files in its folder decide
// its type.
func TestOfType(t *testing.T) {
	undecided := Target{Form: manifest.FormKustomization, Folder: "app", File: "app/.argocd-source-a.yaml"}
	for source, want := range map[SourceType]string{
		Kustomize: "kustomization app/kustomization.yaml",
		Helm:      "argocd-source app/.argocd-source-a.yaml",
	} {
		got := undecided.OfType(source)
		if is := string(got.Kind().Form) + " " + got.Write().Path(); is != want {
			t.Errorf("%s: %s; want %s", source, is, want)
		}
	}
}
