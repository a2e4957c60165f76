package compatibility

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/liverty-music/image-writeback/internal/sandbox/world"
	"github.com/liverty-music/image-writeback/test/harness"
)

// TestArgumentsOfArgoCDImageUpdater runs with the arguments that a Deployment
// of Argo CD Image Updater may have: they mean what they meant there.
func TestArgumentsOfArgoCDImageUpdater(t *testing.T) {
	w := harness.NewWorld(t)
	dir := t.TempDir()
	data, err := os.ReadFile(w.Config)
	if err != nil {
		t.Fatal(err)
	}

	// The registry is only in a registries.conf.
	before, rest, _ := strings.Cut(string(data), "registries:\n")
	block, after, _ := strings.Cut(rest, "git:\n")
	config := harness.Write(t, filepath.Join(dir, "config.yaml"), before+"git:\n"+after)
	conf := harness.Write(t, filepath.Join(dir, "registries.conf"), "registries:\n"+
		strings.Replace(block, "- name: GAR Osaka",
			"- name: GAR Osaka\n  ping: yes\n  credsexpire: 10h\n  limit: 50", 1))
	message := harness.Write(t, filepath.Join(dir, "commit.template"),
		"ci: {{ .AppName }}{{ range .AppChanges }} {{ .Image }}{{ end }}\n")
	got := harness.Run(t, "run", "--once", "--config", config, "--applications", w.Applications,
		"--registries-conf-path", conf, "--git-commit-message-path", message,
		"--git-commit-user", "ci-bot", "--git-commit-email", "ci@example.com", "--git-commit-sign-off",
		"--match-application-name", "*-dev", "--match-application-label", "",
		"--application-namespace", "argocd", "--loglevel", "trace", "--logformat", "json", "--health-port", "0",
		"--metrics-port", "0", "--max-concurrency", "5",
		"--warmup-cache=false", "--disable-kube-events", "--applications-api", "kubernetes", "--argocd-server-addr",
		"argocd-server", "--enable-webhook").MustEnd(t, 0)
	out, err := w.Git.Run(world.Repository, "log", "-1", "--format=%an <%ae>%n%B", "main")
	if err != nil || !strings.HasPrefix(out,
		"ci-bot <ci@example.com>\nci: backend-dev liverty-music-dev/backend/server\n") ||
		!strings.Contains(out, "Signed-off-by: ci-bot <ci@example.com>") {
		t.Errorf("the commit is\n%s\n%v", out, err)
	}

	if len(w.GitHub.Pulls(world.Repository)) != 0 {
		t.Error("an Application that --match-application-name leaves out was updated")
	}

	for _, flag := range []string{"--match-application-name", "--max-concurrency", "--applications-api",
		"--argocd-server-addr"} {
		if n := strings.Count(got.Stderr, flag+" is accepted for compatibility with Argo CD Image Updater"); n != 1 {
			t.Errorf("%s is spoken of %d times:\n%s", flag, n, got.Stderr)
		}
	}

	if strings.Contains(got.Stderr, "--warmup-cache") ||
		!strings.Contains(got.Stderr, "--enable-webhook has no effect without a secret") ||
		!strings.Contains(got.Stderr, `"level":"INFO"`) {
		t.Errorf("log:\n%s", got.Stderr)
	}
}

// TestAnEmptyArgumentSelectsAll checks that an empty flag, as templates make them, has
// no effect.
func TestAnEmptyArgumentSelectsAll(t *testing.T) {
	w := harness.NewWorld(t)
	got := harness.Run(t, harness.In(w, "plan", "--match-application-name", "", "--match-application-label", "",
		"--application-namespace", "")...).MustEnd(t, 0)
	for _, name := range []string{"argocd/backend-dev", "argocd/backend-prod"} {
		if !strings.Contains(got.Stdout, name) {
			t.Errorf("no %s in\n%s", name, got.Stdout)
		}
	}
}

func TestEnvironmentOfArgoCDImageUpdater(t *testing.T) {
	w := harness.NewWorld(t)
	for key, value := range map[string]string{"IMAGE_UPDATER_INTERVAL": "0", "IMAGE_UPDATER_LOGLEVEL": "warn",
		"IMAGE_UPDATER_LOGFORMAT": "json",
		"GIT_COMMIT_USER":         "env-bot", "GIT_COMMIT_EMAIL": "env@example.com", "GIT_COMMIT_SIGN_OFF": "true",
		"IMAGE_UPDATER_KUBE_EVENTS": "true", "ARGOCD_GRPC_WEB": "true"} {
		t.Setenv(key, value)
	}

	// An interval of 0 is --once, and a flag beats the environment.
	got := harness.Run(t, harness.In(w, "run", "--git-commit-user", "flag-bot")...).MustEnd(t, 0)
	out, err := w.Git.Run(world.Repository, "log", "-1", "--format=%an <%ae>%n%B", "main")
	if err != nil || !strings.HasPrefix(out, "flag-bot <env@example.com>\n") ||
		!strings.Contains(out, "Signed-off-by: flag-bot") {
		t.Errorf("the commit is\n%s\n%v", out, err)
	}

	if !strings.Contains(got.Stderr, "ARGOCD_GRPC_WEB is accepted") ||
		strings.Contains(got.Stderr, `"level":"INFO"`) {
		t.Errorf("log:\n%s", got.Stderr)
	}

	for key, want := range map[string]string{"IMAGE_UPDATER_INTERVAL": `"soon" is not a duration`,
		"GIT_COMMIT_SIGN_OFF": "GIT_COMMIT_SIGN_OFF: expected true or false"} {
		t.Run(key, func(t *testing.T) {
			t.Setenv(key, "soon")
			if got := harness.Run(t, harness.In(w, "run", "--once")...).MustEnd(t, 2); !strings.Contains(
				got.Stderr, want) {
				t.Errorf("stderr %s, want %s", got.Stderr, want)
			}
		})
	}
}

func TestTestAsInArgoCDImageUpdater(t *testing.T) {
	w := harness.NewWorld(t)
	conf := harness.Write(t, filepath.Join(t.TempDir(), "registries.conf"),
		"registries:\n- {name: GAR, prefix: asia-northeast2-docker.pkg.dev, api_url: "+w.Registry.URL+"}\n")
	got := harness.Run(t, "test", world.Image, "--semver-constraint", "~1.2", "--registries-conf-path", conf,
		"--rate-limit", "50", "--loglevel", "debug",
		"--disable-kubernetes", "--ignore-tags", "latest", "--ignore-tags", "*-rc*", "--platforms",
		"linux/amd64").MustEnd(t, 0)
	if got.Stdout != world.Image+":v1.2.3\n" {
		t.Errorf("stdout %q", got.Stdout)
	}

	for _, args := range [][]string{{"--rate-limit", "many"}, {"--registries-conf-path", "/none"}} {
		harness.Run(t, append([]string{"test", world.Image}, args...)...).MustEnd(t, 2)
	}
}
