package writeback

import (
	"encoding/json"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"sigs.k8s.io/yaml"

	"github.com/liverty-music/image-writeback/internal/sandbox/world"
	"github.com/liverty-music/image-writeback/test/harness"
)

// TestPlanJSON holds the stable form: these keys, in this shape.
func TestPlanJSON(t *testing.T) {
	w := harness.NewWorld(t)
	got := harness.Run(t, harness.In(w, "plan", "-o", "json")...).MustEnd(t, 0)
	var plan map[string]any
	if err := json.Unmarshal([]byte(got.Stdout), &plan); err != nil {
		t.Fatalf("%v\n%s", err, got.Stdout)
	}

	var want map[string]any
	names := strings.NewReplacer("GIT", w.Git.URLOf(world.Repository), "IMAGE", world.Image, "BUILD", w.Newest)
	text := names.Replace(`{
  "applications": [
    {"namespace": "argocd", "name": "backend-dev", "problems": [], "images": [
      {"alias": "server", "image": "IMAGE", "strategy": "newest-build", "constraint": "",
       "current": "latest", "candidate": "BUILD", "action": "update",
       "reason": "newest of 4 allowed tags, built 2026-11-20T12:00:00Z", "method": "git",
       "delivery": "commit", "repository": "GIT", "branch": "main", "headBranch": "",
       "file": "k8s/namespaces/backend/overlays/dev/kustomization.yaml"}]},
    {"namespace": "argocd", "name": "backend-prod", "problems": [], "images": [
      {"alias": "server", "image": "IMAGE", "strategy": "semver", "constraint": "^1.0",
       "current": "v1.2.3", "candidate": "v1.3.0", "action": "update",
       "reason": "highest version within ^1.0, of 2 allowed tags", "method": "git",
       "delivery": "pull-request", "repository": "GIT",
       "branch": "main", "headBranch": "image-writeback/argocd/backend-prod",
       "file": "k8s/namespaces/backend/overlays/prod/kustomization.yaml"}]}]}`)
	if err := json.Unmarshal([]byte(text), &want); err != nil {
		t.Fatal(err)
	}

	if diff := cmp.Diff(want["applications"], plan["applications"]); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}

	files, _ := plan["files"].([]any)
	if len(files) != 2 || !strings.Contains(files[1].(map[string]any)["diff"].(string),
		"\n-  newTag: v1.2.3\n+  newTag: v1.3.0\n") {
		t.Errorf("files %v", plan["files"])
	}

	var inYAML map[string]any
	if err := yaml.Unmarshal([]byte(harness.Run(t, harness.In(w, "plan", "-o", "yaml")...).MustEnd(t, 0).Stdout),
		&inYAML); err != nil {
		t.Fatal(err)
	}

	if diff := cmp.Diff(plan, inYAML); diff != "" {
		t.Errorf("YAML differs from JSON:\n%s", diff)
	}

	if w.Git.Count("push") != 0 || w.GitHub.Count("POST pulls") != 0 {
		t.Error("a plan wrote something")
	}
}

func TestPlanTable(t *testing.T) {
	w := harness.NewWorld(t)
	got := harness.Run(t, harness.In(w, "plan")...).MustEnd(t, 0).Stdout
	for _, want := range []string{
		"APPLICATION          IMAGE   ACTION  CURRENT  NEW ",
		"argocd/backend-prod  server  update  v1.2.3   v1.3.0 ",
		"pull request to main",
		"argocd/backend-dev server: newest of 4 allowed tags, built 2026-11-20T12:00:00Z",
		"+++ b/k8s/namespaces/backend/overlays/prod/kustomization.yaml\n",
		"2 to update, 0 up to date, 0 skipped, 0 failed.",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("no %q in:\n%s", want, got)
		}
	}

	harness.Run(t, harness.In(w, "run", "--once")...).MustEnd(t, 0)
	got = harness.Run(t, harness.In(w, "plan")...).MustEnd(t, 0).Stdout
	if !strings.Contains(got, "0 to update, 1 up to date, 1 skipped, 0 failed.") ||
		!strings.Contains(got, "v1.3.0 waits on branch image-writeback/argocd/backend-prod for its pull request "+
			"to be merged") {
		t.Errorf("after a run:\n%s", got)
	}

	empty := harness.Write(t, filepath.Join(t.TempDir(), "none.yaml"), "{}")
	if got := harness.Run(t, "plan", "--config", w.Config,
		"--applications", empty).MustEnd(t, 0).Stdout; !strings.Contains(got, "No Application has the annotation") {
		t.Errorf("without Applications:\n%s", got)
	}
}

func TestExplain(t *testing.T) {
	w := harness.NewWorld(t)
	got := harness.Run(t, harness.In(w, "explain", "backend-dev")...).MustEnd(t, 0).Stdout
	for _, want := range []string{
		"Application argocd/backend-dev\n",
		"strategy   newest-build",
		"git holds  latest",
		"winner     " + w.Newest,
		"next       a commit to main",
		"7 tags, 6 dropped",
		"allow-tags    does not match ^[0-9a-f]{40}$",
		"newest-build  older than " + w.Newest,
	} {
		if !strings.Contains(got, want) {
			t.Errorf("no %q in:\n%s", want, got)
		}
	}

	if strings.Contains(got, "backend-prod") {
		t.Errorf("another Application is explained:\n%s", got)
	}

	if got := harness.Run(t, harness.In(w, "explain",
		"argocd/backend-prod")...).MustEnd(t, 0).Stdout; !strings.Contains(
		got, "a pull request from image-writeback/argocd/backend-prod to main") {
		t.Errorf("prod:\n%s", got)
	}

	if got := harness.Run(t, harness.In(w, "explain", "other/backend-dev")...).MustEnd(t, 1); !strings.Contains(
		got.Stderr, `found no Application "other/backend-dev"`) {
		t.Errorf("an Application that is not there: %s", got.Stderr)
	}
}

func TestTest(t *testing.T) {
	w := harness.NewWorld(t)
	got := harness.Run(t, "test", "--config", w.Config, world.Image+":^1.0").MustEnd(t, 0)
	if got.Stdout != world.Image+":v1.3.0\n" || !strings.Contains(got.Stderr, "highest version within ^1.0") {
		t.Errorf("stdout %q, stderr %q", got.Stdout, got.Stderr)
	}

	got = harness.Run(t, "test", "--config", w.Config, world.Image, "--update-strategy", "newest-build",
		"--allow-tags", "regexp:^[0-9a-f]{40}$").MustEnd(t, 0)
	if got.Stdout != world.Image+":"+w.Newest+"\n" {
		t.Errorf("stdout %q", got.Stdout)
	}

	got = harness.Run(t, "test", "--config", w.Config, world.Image+":latest",
		"--update-strategy", "digest").MustEnd(t, 0)
	if !strings.HasPrefix(got.Stdout, world.Image+":latest@sha256:") {
		t.Errorf("stdout %q", got.Stdout)
	}

	if got := harness.Run(t, "test", "--config", w.Config, world.Image+":^9").MustEnd(t, 1); got.Stdout != "" ||
		!strings.Contains(got.Stderr, "7 tags, none within ^9 (highest: ") {
		t.Errorf("stdout %q, stderr %q", got.Stdout, got.Stderr)
	}

	if got := harness.Run(t, "test", "--config", w.Config, world.Image, "--platforms",
		"windows/amd64").MustEnd(t, 1); !strings.Contains(got.Stderr, "has an image for windows/amd64") {
		t.Errorf("stderr %q", got.Stderr)
	}

	if got := harness.Run(t, "test", "--config", w.Config, world.Image+"/none").MustEnd(t, 1); !strings.Contains(
		got.Stderr, "check the image's name") {
		t.Errorf("stderr %q", got.Stderr)
	}
}

func TestValidate(t *testing.T) {
	w := harness.NewWorld(t)
	if got := harness.Run(t, "validate", w.Config, w.Applications).MustEnd(t, 0); got.Stdout != "" ||
		!strings.Contains(got.Stderr, "configuration files: 1, Applications: 2, problems: 0") {
		t.Errorf("stdout %q, stderr %q", got.Stdout, got.Stderr)
	}

	dir := t.TempDir()
	apps := harness.Write(t, filepath.Join(dir, "apps.yaml"),
		"# mine\n"+harness.Manifest("a", "https://github.com/o/r", "x",
			"image-list: app=nginx\napp.update-stratgy: semver\napp.allow-tags: regexp:(["))
	got := harness.Run(t, "validate", dir).MustEnd(t, 1)
	for _, want := range []string{apps +
		":9: argocd/a: annotation argocd-image-updater.argoproj.io/app.update-stratgy", "unknown annotation; did " +
		"you mean app.update-strategy?", apps + ":10: argocd/a: ", "not a valid Go regular expression"} {
		if !strings.Contains(got.Stdout, want) {
			t.Errorf("no %q in:\n%s", want, got.Stdout)
		}
	}

	for key, content := range map[string]string{
		"git.message":               "git: {message: '{{ .Nope }}'}\n",
		"github.pullRequest.title":  "github: {pullRequest: {title: '{{ .Nope }}'}}\n",
		"github.pullRequest.body":   "github: {pullRequest: {body: '{{'}}\n",
		"github.pullRequest.branch": "github: {pullRequest: {branch: 'a b'}}\n",
	} {
		config := harness.Write(t, filepath.Join(dir, "c", "mine.yaml"), content)
		if got := harness.Run(t, "validate", config).MustEnd(t, 2); !strings.Contains(got.Stdout, key) {
			t.Errorf("%s: stdout %q", key, got.Stdout)
		}
	}

	if got := harness.Run(t, "validate", filepath.Join(dir, "none")).MustEnd(t, 2); !strings.Contains(got.Stdout,
		"no such file") {
		t.Errorf("stdout %q", got.Stdout)
	}

	t.Chdir(dir)
	if got := harness.Run(t, "validate").MustEnd(t, 2); !strings.Contains(got.Stderr, "nothing to check") {
		t.Errorf("stderr %q", got.Stderr)
	}

	harness.Write(t, filepath.Join(dir, "config.yaml"), "interval: 1m\n")
	harness.Run(t, "validate").MustEnd(t, 0)
}

// TestValidateAsksTheRules holds that what a config.yaml forbids is found before
// anything is installed.
func TestValidateAsksTheRules(t *testing.T) {
	dir := t.TempDir()
	apps := harness.Write(t, filepath.Join(dir, "apps.yaml"), harness.Manifest("a", "https://github.com/o/r", "x",
		"image-list: app=ghcr.io/o/app\napp.pull-secret: env:TOKEN"))
	config := harness.Write(t, filepath.Join(dir, "config.yaml"), "images: {allow: [\"ghcr.io/p/**\"]}\n")

	says := func(want string) {
		t.Helper()
		got := harness.Run(t, "validate", apps, config).MustEnd(t, 1)
		if !strings.HasPrefix(got.Stdout, apps+":1: argocd/a: ") || !strings.Contains(got.Stdout, want) {
			t.Errorf("stdout %q, want %q", got.Stdout, want)
		}
	}
	says("images.allow does not have the image ghcr.io/o/app; " +
		"the operator can add it to images.allow in config.yaml: - 'ghcr.io/o/app'")
	harness.Write(t, config, "images: {allow: [\"ghcr.io/o/**\"]}\n")
	says("add env to annotations.credentials")
	harness.Write(t, config, "git: {allow: [{paths: [y/**]}]}\n")
	says("git.allow does not have x/")
	harness.Write(t, config, "annotations: {credentials: [env]}\n")
	harness.Run(t, "validate", apps, config).MustEnd(t, 0)
	harness.Run(t, "validate", apps).MustEnd(t, 0) // nobody knows the rules

	// The namespace of Argo CD is that of config.yaml.
	own := harness.Write(t, filepath.Join(dir, "own.yaml"), strings.Replace(harness.Manifest("b",
		"https://github.com/o/r", "x", "image-list: app=nginx\nwrite-back-method: git:secret:openshift-gitops/creds"),
		"  namespace: argocd\n", "", 1))
	harness.Write(t, config, "argocd: {namespace: openshift-gitops}\n")
	if got := harness.Run(t, "validate", own, config); strings.Contains(got.Stdout, "not in the namespace") {
		t.Errorf("stdout %q", got.Stdout)
	}
}

func TestVersion(t *testing.T) {
	if got := harness.Run(t, "version").MustEnd(t, 0); !strings.HasPrefix(got.Stdout,
		"updater dev (commit unknown, go1.") {
		t.Errorf("stdout %q", got.Stdout)
	}

	var fields map[string]string
	if err := json.Unmarshal([]byte(harness.Run(t, "version", "-o", "json").MustEnd(t, 0).Stdout),
		&fields); err != nil || fields["version"] != "dev" || fields["commit"] == "" || fields["goVersion"] == "" {
		t.Errorf("fields %v, %v", fields, err)
	}

	harness.Run(t, "version", "-o", "xml").MustEnd(t, 2)
}

// TestPlanOfApplicationsThemselves shows the method argocd, for which there is
// no file: the plan speaks of the Application, and one that was read from a
// file cannot be written to.
func TestPlanOfApplicationsThemselves(t *testing.T) {
	w := harness.NewWorld(t)
	apps := harness.Write(t, filepath.Join(t.TempDir(), "apps.yaml"),
		strings.Replace(harness.Manifest("web", "https://example.com/o/r.git", "x",
			"image-list: server="+world.Image+
				":^1\nwrite-back-method: argocd"), "path: x}", "path: x, kustomize: {images: ['"+world.Image+
			":v1.2.3']}}", 1))
	with := func(args ...string) []string { return append(args, "--config", w.Config, "--applications", apps) }
	table := harness.Run(t, with("plan")...).MustEnd(t, 0).Stdout
	for _, want := range []string{"update  v1.2.3   v1.3.0  change of spec.source",
		"Application argocd/web:\n--- a/spec.source", "+  - " + world.Image + ":v1.3.0"} {
		if !strings.Contains(table, want) {
			t.Errorf("no %q in\n%s", want, table)
		}
	}

	explained := harness.Run(t, with("explain", "web")...).MustEnd(t, 0).Stdout
	if !strings.Contains(explained, "it has    v1.2.3  (spec.source)") ||
		!strings.Contains(explained, "next      a change of spec.source") {
		t.Errorf("explained:\n%s", explained)
	}

	if got := harness.Run(t, with("run", "--once")...).MustEnd(t, 1); !strings.Contains(got.Stderr,
		"it was read from a file; leave --applications out") {
		t.Errorf("log:\n%s", got.Stderr)
	}
}
