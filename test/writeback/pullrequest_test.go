package writeback

import (
	"strings"
	"testing"

	"github.com/liverty-music/image-writeback/internal/sandbox/forge"
	"github.com/liverty-music/image-writeback/internal/sandbox/world"
	"github.com/liverty-music/image-writeback/test/harness"
)

// TestWhatAPullRequestTells checks the facts in the text of a pull request: those of
// the registry, of the source repository and of the other Applications.
func TestWhatAPullRequestTells(t *testing.T) {
	w := harness.NewWorld(t)
	harness.Edit(t, w.Applications, "  destination: {server: https://kubernetes.default.svc, namespace: backend}\n",
		"  destination: {server: https://kubernetes.default.svc, namespace: backend}\nstatus:\n  health: {status: "+
			"Degraded, lastTransitionTime: 2026-11-21T07:30:00Z}\n  summary: {images: ["+world.Image+":v1.3.0]}\n")
	harness.Run(t, "run", "--once", "--config", w.Config, "--applications", w.Applications).MustEnd(t, 0)
	pulls := w.GitHub.Pulls(world.Repository)
	if len(pulls) != 1 {
		t.Fatalf("%d pull requests", len(pulls))
	}

	for _, want := range []string{
		"| [`v1.3.0`](https://" + world.Image + ":v1.3.0) | `sha256:", "| 2026-11-20 11:00 UTC |",
		"`v1.3.0` is the highest version within ^1.0",
		"- **server** in `argocd/backend-dev`: 💔 Degraded since 2026-11-21 07:30 UTC",
		"/liverty-music/backend/compare/", "(2 commits)", "`Load the artists in one query`\n",
		"`Fix the login of people with two accounts (#241)`\n",
		"-  newTag: v1.2.3\n+  newTag: v1.3.0\n", "server.ignore-tags=v1.3.0",
	} {
		if !strings.Contains(pulls[0].Body, want) {
			t.Errorf("no %q in:\n%s", want, pulls[0].Body)
		}
	}
	// The text is updated when the health changes, though nothing else has changed.
	harness.Edit(t, w.Applications, "Degraded", "Healthy")
	harness.Run(t, "run", "--once", "--config", w.Config, "--applications", w.Applications).MustEnd(t, 0)
	if pulls := w.GitHub.Pulls(world.Repository); len(pulls) != 1 ||
		!strings.Contains(pulls[0].Body, "💚 Healthy since") || w.Git.Count("push") != 1 {
		t.Errorf("%d pushes, %+v", w.Git.Count("push"), pulls)
	}
}

// TestASharedPullRequest has one pull request for two Applications. It does not
// change while one of them has an error.
func TestASharedPullRequest(t *testing.T) {
	w := harness.NewWorld(t)
	harness.Edit(t, w.Config, `path: "**/overlays/prod*/**"`, `path: "**"`)
	harness.Edit(t, w.Config, "pullRequest: {", `pullRequest: {branch: "updates/{{.Project}}", `)
	cycle := func(status int) forge.Pull {
		t.Helper()
		harness.Run(t, "run", "--once", "--config", w.Config, "--applications", w.Applications).MustEnd(t, status)
		pulls := w.GitHub.Pulls(world.Repository)
		if len(pulls) != 1 {
			t.Fatalf("%d pull requests", len(pulls))
		}
		return pulls[0]
	}

	first := cycle(0)
	if !strings.HasPrefix(first.Title, "backend-dev, backend-prod: server latest → ") ||
		!strings.Contains(first.Title, "server v1.2.3 → v1.3.0") || first.Head != "updates/default" {
		t.Errorf("%+v", first)
	}

	harness.Edit(t, w.Applications, "server.update-strategy: newest-build", "server.update-strategy: newest-bild")
	w.Build("v1.4.0")
	if now := cycle(1); now.HeadSHA != first.HeadSHA || now.Title != first.Title {
		t.Errorf("%+v", now)
	}

	harness.Edit(t, w.Applications, "newest-bild", "newest-build")
	if now := cycle(0); now.HeadSHA == first.HeadSHA || !strings.Contains(now.Title, "server v1.2.3 → v1.4.0") {
		t.Errorf("%+v", now)
	}
}
