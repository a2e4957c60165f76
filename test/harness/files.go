package harness

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/liverty-music/image-writeback/internal/sandbox/git"
	"github.com/liverty-music/image-writeback/internal/sandbox/world"
)

// Write writes a file, with its folder, and returns its name.
func Write(t *testing.T, file, content string) string {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		t.Fatal(err)
	}

	if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}

	return file
}

// ReadFile is what a file holds.
func ReadFile(t *testing.T, file string) string {
	t.Helper()
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}

	return string(data)
}

// Edit replaces the first occurrence of a text in a file, which must have one.
func Edit(t *testing.T, file, from, to string) {
	t.Helper()
	data, err := os.ReadFile(file)
	if err != nil || !strings.Contains(string(data), from) {
		t.Fatalf("%s has no %q (%v)", file, from, err)
	}
	Write(t, file, strings.Replace(string(data), from, to, 1))
}

// Commits are the subjects of main's commits, newest first.
func Commits(t *testing.T, git *git.Server, repository string) []string {
	t.Helper()
	subjects, err := git.Subjects(repository, "main")
	if err != nil {
		t.Fatal(err)
	}

	return subjects
}

// Show is what a file holds on main.
func Show(t *testing.T, git *git.Server, repository, file string) string {
	t.Helper()
	content, err := git.Show(repository, "main", file)
	if err != nil {
		t.Fatal(err)
	}

	return content
}

// Manifest is an Application of a file, with annotations one a line.
func Manifest(name, repoURL, path, annotations string) string {
	var lines strings.Builder
	for line := range strings.SplitSeq(strings.TrimSpace(annotations), "\n") {
		fmt.Fprintf(&lines, "    argocd-image-updater.argoproj.io/%s\n", strings.TrimSpace(line))
	}

	return fmt.Sprintf(`apiVersion: argoproj.io/v1alpha1
kind: Application
metadata:
  name: %s
  namespace: argocd
  annotations:
%sspec:
  source: {repoURL: %s, path: %s}
---
`, name, lines.String(), repoURL, path)
}

// ForceUpdate writes the Applications of a world to a file, with the annotation
// force-update, since no image runs in the sandbox.
func ForceUpdate(t *testing.T, w *world.World) string {
	t.Helper()
	edited := strings.ReplaceAll(ReadFile(t, w.Applications), "  annotations:\n",
		"  annotations:\n    argocd-image-updater.argoproj.io/force-update: \"true\"\n")

	return Write(t, filepath.Join(t.TempDir(), "applications.yaml"), edited)
}
