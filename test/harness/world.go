package harness

import (
	"context"
	"testing"
	"time"

	"github.com/liverty-music/image-writeback/internal/sandbox"
)

// NewWorld starts the example. The test fails where the updater has used an API
// of GitHub in a way that GitHub's own description does not allow.
func NewWorld(t *testing.T) *sandbox.World {
	t.Helper()
	w, err := sandbox.NewWorld(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(w.Close)

	if err := w.GitHub.Check(Bin); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		for _, deviation := range w.GitHub.Deviations() {
			t.Error(deviation)
		}
	})

	return w
}

// In appends the flags that name the files of a world to a command.
func In(w *sandbox.World, args ...string) []string {
	return append(args, "--config", w.Config, "--applications", w.Applications)
}

// NewGit starts a git server without repositories.
func NewGit(t *testing.T) *sandbox.Git {
	t.Helper()
	git, err := sandbox.NewGit(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(git.Close)

	return git
}

// NewRegistry starts a registry without images.
func NewRegistry(t *testing.T) *sandbox.Registry {
	t.Helper()
	registry := sandbox.NewRegistry()
	t.Cleanup(registry.Close)

	return registry
}

// NewKubernetes starts an API server.
func NewKubernetes(t *testing.T) *sandbox.Kubernetes {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	k, err := sandbox.NewKubernetes(ctx, t.TempDir(), Bin)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(k.Close)

	return k
}

// Kubectl runs kubectl as the administrator.
func Kubectl(t *testing.T, k *sandbox.Kubernetes, args ...string) {
	t.Helper()
	if _, err := k.Run("kubectl", args...); err != nil {
		t.Fatal(err)
	}
}
