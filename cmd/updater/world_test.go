package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/liverty-music/image-writeback/internal/cli"
	"github.com/liverty-music/image-writeback/internal/sandbox"
)

// result is what a command line did.
type result struct {
	status         int
	stdout, stderr string
}

// run executes a command line as main does.
func run(t *testing.T, args ...string) result {
	t.Helper()
	var stdout, stderr bytes.Buffer
	status := cli.Execute(t.Context(), cli.Build{}, args, &stdout, &stderr)
	return result{status, stdout.String(), stderr.String()}
}

func (r result) mustEnd(t *testing.T, status int) result {
	t.Helper()
	if r.status != status {
		t.Fatalf("status %d, want %d\nstdout:\n%s\nstderr:\n%s", r.status, status, r.stdout, r.stderr)
	}
	return r
}

func newWorld(t *testing.T) *sandbox.World {
	t.Helper()
	w, err := sandbox.NewWorld(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(w.Close)
	if err := w.GitHub.Check("../../bin"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		for _, deviation := range w.GitHub.Deviations() {
			t.Error(deviation)
		}
	})
	return w
}

// newGit and newRegistry are the parts of a world, for tests with files and
// images of their own.
func newGit(t *testing.T) *sandbox.Git {
	t.Helper()
	git, err := sandbox.NewGit(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(git.Close)
	return git
}

func newRegistry(t *testing.T) *sandbox.Registry {
	t.Helper()
	registry := sandbox.NewRegistry()
	t.Cleanup(registry.Close)
	return registry
}

func newKubernetes(t *testing.T) *sandbox.Kubernetes {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	k, err := sandbox.NewKubernetes(ctx, t.TempDir(), "../../bin")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(k.Close)
	return k
}

// programDir holds the program as users run it, for tests that signal or kill it.
var programDir string

func TestMain(m *testing.M) {
	var err error
	if programDir, err = os.MkdirTemp("", "updater-test-"); err != nil {
		panic(err)
	}
	status := m.Run()
	_ = os.RemoveAll(programDir)
	os.Exit(status)
}

// build builds it as "make build" does, so that the build cache serves both.
var build = sync.OnceValues(func() ([]byte, error) {
	command := exec.Command("go", "build", "-trimpath", "-o", filepath.Join(programDir, "updater"), ".")
	command.Env = append(os.Environ(), "CGO_ENABLED=0")
	return command.CombinedOutput()
})

func buildProgram(t *testing.T) string {
	t.Helper()
	if out, err := build(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return filepath.Join(programDir, "updater")
}

// in makes the arguments of a command in a world.
func in(w *sandbox.World, args ...string) []string {
	return append(args, "--config", w.Config, "--applications", w.Applications)
}

func write(t *testing.T, file, content string) string {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

func readFile(t *testing.T, file string) string {
	t.Helper()
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

func edit(t *testing.T, file, from, to string) {
	t.Helper()
	data, err := os.ReadFile(file)
	if err != nil || !strings.Contains(string(data), from) {
		t.Fatalf("%s has no %q (%v)", file, from, err)
	}
	write(t, file, strings.Replace(string(data), from, to, 1))
}

// commits are the subjects of main's commits, newest first.
func commits(t *testing.T, git *sandbox.Git, repository string) []string {
	t.Helper()
	subjects, err := git.Subjects(repository, "main")
	if err != nil {
		t.Fatal(err)
	}
	return subjects
}

func show(t *testing.T, git *sandbox.Git, repository, file string) string {
	t.Helper()
	content, err := git.Show(repository, "main", file)
	if err != nil {
		t.Fatal(err)
	}
	return content
}

// await polls for something that another goroutine or process brings about.
func await(t *testing.T, what string, there func() bool) {
	t.Helper()
	awaitWithin(t, 30*time.Second, what, there)
}

func awaitWithin(t testing.TB, limit time.Duration, what string, there func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	for !there() {
		select {
		case <-ctx.Done():
			t.Fatalf("waited in vain for %s", what)
		case <-time.After(10 * time.Millisecond):
		}
	}
}

// manifest is an Application of a file, with annotations one a line.
func manifest(name, repoURL, path, annotations string) string {
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
