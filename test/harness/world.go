package harness

import (
	"context"
	"testing"
	"time"

	"github.com/liverty-music/image-writeback/internal/sandbox/git"
	"github.com/liverty-music/image-writeback/internal/sandbox/kube"
	"github.com/liverty-music/image-writeback/internal/sandbox/registry"
	"github.com/liverty-music/image-writeback/internal/sandbox/world"
)

// NewWorld starts the example. The test fails where the updater has used an API
// of GitHub in a way that GitHub's own description does not allow.
func NewWorld(t *testing.T) *world.World {
	t.Helper()
	w, err := world.New(t.TempDir())
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
func In(w *world.World, args ...string) []string {
	return append(args, "--config", w.Config, "--applications", w.Applications)
}

// NewGit starts a git server without repositories.
func NewGit(t *testing.T) *git.Server {
	t.Helper()
	git, err := git.New(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(git.Close)

	return git
}

// NewRegistry starts a registry without images.
func NewRegistry(t *testing.T) *registry.Server {
	t.Helper()
	registry := registry.New()
	t.Cleanup(registry.Close)

	return registry
}

// NewKubernetes starts an API server.
func NewKubernetes(t *testing.T) *kube.Cluster {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	k, err := kube.New(ctx, t.TempDir(), Bin)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(k.Close)

	return k
}

// Kubectl runs kubectl as the administrator.
func Kubectl(t *testing.T, k *kube.Cluster, args ...string) {
	t.Helper()
	if _, err := k.Run("kubectl", args...); err != nil {
		t.Fatal(err)
	}
}
