package writeback

import (
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/liverty-music/image-writeback/internal/sandbox/registry"
	"github.com/liverty-music/image-writeback/test/harness"
)

// TestNetwork has an Application whose image, and another one whose repository, is on
// loopback. Nothing arrives there, the message has the line that would permit it, and
// the Application beside them gets its update in the same cycle. With the line, and on
// the command line of the operator, the servers are reached.
func TestNetwork(t *testing.T) {
	git, hiddenGit := harness.NewGit(t), harness.NewGit(t)
	configured, hidden := harness.NewRegistry(t), harness.NewRegistry(t)
	built := registry.Build{Created: time.Date(2026, 11, 20, 8, 0, 0, 0, time.UTC)}
	hidden.Push("p/app", built, "v1.0.0", "v1.1.0")
	configured.Push("p/app", built, "v1.0.0", "v1.1.0")
	file := func(host string) string { return "images:\n- name: " + host + "/p/app\n  newTag: v1.0.0\n" }
	files := map[string]string{"good/kustomization.yaml": file(configured.Host()),
		"bad/kustomization.yaml": file(hidden.Host())}
	for _, server := range []interface {
		Create(repository string, partial bool, files map[string]string) error
	}{git, hiddenGit} {
		if err := server.Create("o/r", true, files); err != nil {
			t.Fatal(err)
		}
	}

	dir := t.TempDir()
	apps := harness.Write(t, filepath.Join(dir, "apps.yaml"),
		harness.Manifest("good", git.URLOf("o/r"), "good", "image-list: app="+configured.Host()+"/p/app:^1.0")+
			harness.Manifest("bad-image", git.URLOf("o/r"), "bad", "image-list: app="+hidden.Host()+"/p/app:^1.0")+
			harness.Manifest("bad-repository", hiddenGit.URLOf("o/r"), "good",
				"image-list: app="+configured.Host()+"/p/app:^1.0"))
	// git is allowed as a forge: so it is by its host and its port, as the registry is.
	settings := "registries: [{prefix: " + configured.Host() + ", api_url: " + configured.URL + "}]\n" +
		"github: {apiURL: " + git.URL + "}\n"
	config := harness.Write(t, filepath.Join(dir, "config.yaml"), settings)
	got := harness.Run(t, "run", "--once", "--config", config, "--applications", apps).MustEnd(t, 1)

	lines := strings.Split(got.Stderr, "\n")
	const remedy = "if this server is yours, add to network.allow in config.yaml: - '127.0.0.1/32'"
	for app, host := range map[string]string{"argocd/bad-image": hidden.Host(),
		"argocd/bad-repository": strings.TrimPrefix(hiddenGit.URL, "http://")} {
		said := strings.Join(errorsOf(app, lines), "\n")
		if strings.Count(said, remedy) != 1 || !strings.Contains(said, host+" is a loopback address") {
			t.Errorf("%s: %s", app, said)
		}
	}
	if n := hidden.Count("ping") + hidden.Count("list") + hiddenGit.Count("advertise"); n != 0 {
		t.Errorf("%d requests arrived", n)
	}
	if subjects := harness.Commits(t, git, "o/r"); len(subjects) != 2 {
		t.Errorf("commits %q", subjects)
	}

	if got := harness.Run(t, "test", "--config", config, hidden.Host()+"/p/app:^1.0").MustEnd(t, 0); got.Stdout !=
		hidden.Host()+"/p/app:v1.1.0\n" {
		t.Errorf("on the command line: %+v", got)
	}
	harness.Write(t, config, settings+"network: {allow: [127.0.0.1/32]}\n")
	harness.Run(t, "run", "--once", "--config", config, "--applications", apps).MustEnd(t, 0)
	if subjects := harness.Commits(t, hiddenGit, "o/r"); len(subjects) != 2 {
		t.Errorf("commits %q", subjects)
	}
}
