package spec

import (
	"strings"
	"testing"

	"github.com/liverty-music/image-writeback/internal/manifest"
)

// TestCandidates holds which files a target can write to, by their preferred
// names, and that its key is that of the file which it writes to.
func TestCandidates(t *testing.T) {
	const folder, values, overrides = "a", "values.yaml", "a/.argocd-source-x.yaml"

	for name, c := range map[string]struct {
		target Target
		want   string
		same   Target // another target with the same key
	}{
		"a kustomization": {
			Target{Type: Kustomize, Form: manifest.FormKustomization, Folder: folder, File: overrides},
			"a/kustomization.yaml", Target{Form: manifest.FormKustomization, Folder: folder},
		},
		"overrides of Kustomize": {
			Target{Type: Kustomize, Form: manifest.FormOverrides, Folder: folder, File: overrides},
			overrides, Target{Form: manifest.FormOverrides, File: overrides},
		},
		"values in the root": {
			Target{Type: Helm, Form: manifest.FormHelmValues, Folder: folder, File: values},
			values, Target{Form: manifest.FormHelmValues, File: values},
		},
		"an unknown type": {
			Target{Form: manifest.FormKustomization, Folder: folder, File: overrides},
			"a/kustomization.yaml " + overrides, Target{Form: manifest.FormKustomization, Folder: folder},
		},
		"an unknown type with overrides": {
			Target{Form: manifest.FormOverrides, Folder: folder, File: overrides},
			"a/kustomization.yaml " + overrides, Target{Form: manifest.FormOverrides, File: overrides},
		},
	} {
		var paths []string
		for _, files := range c.target.Candidates() {
			paths = append(paths, files.Path())
		}
		if got := strings.Join(paths, " "); got != c.want {
			t.Errorf("%s: %s, want %s", name, got, c.want)
		}
		if c.target.Key() != c.same.Key() {
			t.Errorf("%s: key %s, want %s", name, c.target.Key(), c.same.Key())
		}
	}
}
