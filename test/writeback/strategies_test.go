package writeback

import (
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/liverty-music/image-writeback/internal/sandbox"
	sandboxregistry "github.com/liverty-music/image-writeback/internal/sandbox/registry"
	"github.com/liverty-music/image-writeback/test/harness"
)

// strategyRow is an Application with a strategy, and what its file holds afterwards.
type strategyRow struct{ constraint, annotations, want string }

// strategyRows are Applications by name. latest is the digest of the tag latest.
func strategyRows(latest string) map[string]strategyRow {
	return map[string]strategyRow{
		"semver": {":^1", "", "newTag: v1.10.0 # held"},
		"newest": {"", "app.update-strategy: newest-build\napp.allow-tags: regexp:^main-\napp.platforms: " +
			"linux/amd64", "newTag: main-8 # held"},
		"arm": {"", "app.update-strategy: newest-build\napp.platforms: linux/arm64",
			"newTag: v2.0.0 # held"},
		"alphabetical": {"", "app.update-strategy: alphabetical\napp.ignore-tags: v*", "newTag: main-9 # held"},
		"digest":       {":latest", "app.update-strategy: digest", "newTag: latest # held\n  digest: " + latest},
	}
}

// pushForStrategies pushes images of several hours and platforms, and returns the
// digest of the tag latest.
func pushForStrategies(registry *sandboxregistry.Server) (latest string) {
	begin := time.Date(2026, 11, 20, 8, 0, 0, 0, time.UTC)
	push := func(hours int, platforms []string, tags ...string) string {
		return registry.Push("p/app", sandboxregistry.Build{Created: begin.Add(time.Duration(hours) * time.Hour),
			Platforms: platforms}, tags...)
	}

	amd := []string{"linux/amd64"}
	push(1, amd, "v1.9.0")
	push(2, amd, "v1.10.0", "main-7")
	push(3, []string{"linux/amd64", "linux/arm64"}, "v2.0.0", "main-8")
	push(9, []string{"windows/amd64"}, "main-9")

	return push(5, amd, "latest")
}

// TestEveryStrategyAtAPlainRegistry runs each strategy with a registry that lists
// only names: manifests and configs are read for the tags that the rules leave.
func TestEveryStrategyAtAPlainRegistry(t *testing.T) {
	registry := harness.NewRegistry(t)
	registry.Plain, registry.PageSize = true, 3
	rows := strategyRows(pushForStrategies(registry))
	image := registry.Host() + "/p/app"

	git := harness.NewGit(t)
	files := map[string]string{}
	var apps strings.Builder
	for name, row := range rows {
		files[name+"/kustomization.yaml"] = "images:\n- name: " + image + "\n  newTag: v0.1.0 # held\n"
		apps.WriteString(harness.Manifest(name, git.URLOf("o/r"), name, "image-list: app="+image+row.constraint+"\n"+
			row.annotations))
	}

	if err := git.Create("o/r", true, files); err != nil {
		t.Fatal(err)
	}

	dir := t.TempDir()
	args := []string{"--config", harness.Write(t, filepath.Join(dir, "config.yaml"), sandbox.Network),
		"--applications", harness.Write(t, filepath.Join(dir, "apps.yaml"), apps.String())}
	explained := harness.Run(t, append([]string{"explain", "newest"}, args...)...).MustEnd(t, 0).Stdout
	if !strings.Contains(explained, "platforms     is built for windows/amd64, not for linux/amd64") {
		t.Errorf("explained:\n%s", explained)
	}

	lists := registry.Count("list")
	harness.Run(t, append([]string{"run", "--once"}, args...)...).MustEnd(t, 0)
	if pages := registry.Count("list") - lists; pages != 3 {
		t.Errorf("%d list requests for five Applications, want 3 pages", pages)
	}

	for name, row := range rows {
		if got := harness.Show(t, git, "o/r", name+"/kustomization.yaml"); !strings.Contains(got, row.want) {
			t.Errorf("%s:\n%s\nwant %s", name, got, row.want)
		}
	}

	commitsBefore := len(harness.Commits(t, git, "o/r"))
	harness.Run(t, append([]string{"run", "--once"}, args...)...).MustEnd(t, 0)
	if n := len(harness.Commits(t, git, "o/r")); n != commitsBefore {
		t.Errorf("a second run made %d commits", n-commitsBefore)
	}
}
