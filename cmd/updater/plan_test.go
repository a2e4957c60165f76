package main

import (
	"encoding/json"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"sigs.k8s.io/yaml"

	"github.com/liverty-music/image-writeback/internal/sandbox"
)

// TestPlanJSON holds the stable form: these keys, in this shape.
func TestPlanJSON(t *testing.T) {
	w := newWorld(t)
	got := run(t, in(w, "plan", "-o", "json")...).mustEnd(t, 0)
	var plan map[string]any
	if err := json.Unmarshal([]byte(got.stdout), &plan); err != nil {
		t.Fatalf("%v\n%s", err, got.stdout)
	}
	var want map[string]any
	text := strings.NewReplacer("GIT", w.Git.URLOf(sandbox.ExampleRepository), "IMAGE", sandbox.ExampleImage, "BUILD", w.Newest).Replace(`{
  "applications": [
    {"namespace": "argocd", "name": "backend-dev", "problems": [], "images": [
      {"alias": "server", "image": "IMAGE", "strategy": "newest-build", "constraint": "", "current": "latest", "candidate": "BUILD", "action": "update",
       "reason": "newest of 4 allowed tags, built 2026-11-20T12:00:00Z", "method": "git", "delivery": "commit", "repository": "GIT",
       "branch": "main", "headBranch": "", "file": "k8s/namespaces/backend/overlays/dev/kustomization.yaml"}]},
    {"namespace": "argocd", "name": "backend-prod", "problems": [], "images": [
      {"alias": "server", "image": "IMAGE", "strategy": "semver", "constraint": "^1.0", "current": "v1.2.3", "candidate": "v1.3.0", "action": "update",
       "reason": "highest version within ^1.0, of 2 allowed tags", "method": "git", "delivery": "pull-request", "repository": "GIT",
       "branch": "main", "headBranch": "image-writeback/argocd/backend-prod", "file": "k8s/namespaces/backend/overlays/prod/kustomization.yaml"}]}]}`)
	if err := json.Unmarshal([]byte(text), &want); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want["applications"], plan["applications"]); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	files, _ := plan["files"].([]any)
	if len(files) != 2 || !strings.Contains(files[1].(map[string]any)["diff"].(string), "\n-  newTag: v1.2.3\n+  newTag: v1.3.0\n") {
		t.Errorf("files %v", plan["files"])
	}
	var inYAML map[string]any
	if err := yaml.Unmarshal([]byte(run(t, in(w, "plan", "-o", "yaml")...).mustEnd(t, 0).stdout), &inYAML); err != nil {
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
	w := newWorld(t)
	got := run(t, in(w, "plan")...).mustEnd(t, 0).stdout
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
	run(t, in(w, "run", "--once")...).mustEnd(t, 0)
	got = run(t, in(w, "plan")...).mustEnd(t, 0).stdout
	if !strings.Contains(got, "0 to update, 1 up to date, 1 skipped, 0 failed.") || !strings.Contains(got, "v1.3.0 waits on branch image-writeback/argocd/backend-prod for its pull request to be merged") {
		t.Errorf("after a run:\n%s", got)
	}
	empty := write(t, filepath.Join(t.TempDir(), "none.yaml"), "{}")
	if got := run(t, "plan", "--config", w.Config, "--applications", empty).mustEnd(t, 0).stdout; !strings.Contains(got, "No Application has the annotation") {
		t.Errorf("without Applications:\n%s", got)
	}
}

func TestExplain(t *testing.T) {
	w := newWorld(t)
	got := run(t, in(w, "explain", "backend-dev")...).mustEnd(t, 0).stdout
	for _, want := range []string{
		"Application argocd/backend-dev\n",
		"strategy   newest-build",
		"git holds  latest",
		"winner     " + w.Newest,
		"next       a commit to main",
		"7 tags seen, 6 dropped",
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
	if got := run(t, in(w, "explain", "argocd/backend-prod")...).mustEnd(t, 0).stdout; !strings.Contains(got, "a pull request from image-writeback/argocd/backend-prod to main") {
		t.Errorf("prod:\n%s", got)
	}
	if got := run(t, in(w, "explain", "other/backend-dev")...).mustEnd(t, 1); !strings.Contains(got.stderr, "there is no Application other/backend-dev") {
		t.Errorf("an Application that is not there: %s", got.stderr)
	}
}

func TestTest(t *testing.T) {
	w := newWorld(t)
	got := run(t, "test", "--config", w.Config, sandbox.ExampleImage+":^1.0").mustEnd(t, 0)
	if got.stdout != sandbox.ExampleImage+":v1.3.0\n" || !strings.Contains(got.stderr, "highest version within ^1.0") {
		t.Errorf("stdout %q, stderr %q", got.stdout, got.stderr)
	}
	got = run(t, "test", "--config", w.Config, sandbox.ExampleImage, "--update-strategy", "newest-build", "--allow-tags", "regexp:^[0-9a-f]{40}$").mustEnd(t, 0)
	if got.stdout != sandbox.ExampleImage+":"+w.Newest+"\n" {
		t.Errorf("stdout %q", got.stdout)
	}
	got = run(t, "test", "--config", w.Config, sandbox.ExampleImage+":latest", "--update-strategy", "digest").mustEnd(t, 0)
	if !strings.HasPrefix(got.stdout, sandbox.ExampleImage+":latest@sha256:") {
		t.Errorf("stdout %q", got.stdout)
	}
	if got := run(t, "test", "--config", w.Config, sandbox.ExampleImage+":^9").mustEnd(t, 1); got.stdout != "" || !strings.Contains(got.stderr, "none of 7 tags is left: semver dropped 7") {
		t.Errorf("stdout %q, stderr %q", got.stdout, got.stderr)
	}
	if got := run(t, "test", "--config", w.Config, sandbox.ExampleImage, "--platforms", "windows/amd64").mustEnd(t, 1); !strings.Contains(got.stderr, "has an image for windows/amd64") {
		t.Errorf("stderr %q", got.stderr)
	}
	if got := run(t, "test", "--config", w.Config, sandbox.ExampleImage+"/none").mustEnd(t, 1); !strings.Contains(got.stderr, "check the image's name") {
		t.Errorf("stderr %q", got.stderr)
	}
}

func TestValidate(t *testing.T) {
	w := newWorld(t)
	if got := run(t, "validate", w.Config, w.Applications).mustEnd(t, 0); got.stdout != "" || !strings.Contains(got.stderr, "configuration files: 1, Applications: 2, problems: 0") {
		t.Errorf("stdout %q, stderr %q", got.stdout, got.stderr)
	}
	dir := t.TempDir()
	apps := write(t, filepath.Join(dir, "apps.yaml"), "# mine\n"+manifest("a", "https://github.com/o/r", "x", "image-list: app=nginx\napp.update-stratgy: semver\napp.allow-tags: regexp:(["))
	got := run(t, "validate", dir).mustEnd(t, 1)
	for _, want := range []string{apps + ":9: argocd/a: annotation argocd-image-updater.argoproj.io/app.update-stratgy", "(did you mean update-strategy?)", apps + ":10: argocd/a: ", "no regular expression"} {
		if !strings.Contains(got.stdout, want) {
			t.Errorf("no %q in:\n%s", want, got.stdout)
		}
	}
	config := write(t, filepath.Join(dir, "c", "mine.yaml"), "git:\n  message: '{{ .Nope }}'\n")
	if got := run(t, "validate", config).mustEnd(t, 2); !strings.Contains(got.stdout, "git.message") {
		t.Errorf("stdout %q", got.stdout)
	}
	if got := run(t, "validate", filepath.Join(dir, "none")).mustEnd(t, 2); !strings.Contains(got.stdout, "no such file") {
		t.Errorf("stdout %q", got.stdout)
	}
	t.Chdir(dir)
	if got := run(t, "validate").mustEnd(t, 2); !strings.Contains(got.stderr, "there is nothing to check") {
		t.Errorf("stderr %q", got.stderr)
	}
	write(t, filepath.Join(dir, "config.yaml"), "interval: 1m\n")
	run(t, "validate").mustEnd(t, 0)
}

func TestVersion(t *testing.T) {
	if got := run(t, "version").mustEnd(t, 0); !strings.HasPrefix(got.stdout, "updater dev (commit unknown, go1.") {
		t.Errorf("stdout %q", got.stdout)
	}
	var fields map[string]string
	if err := json.Unmarshal([]byte(run(t, "version", "-o", "json").mustEnd(t, 0).stdout), &fields); err != nil || fields["version"] != "dev" || fields["commit"] == "" || fields["goVersion"] == "" {
		t.Errorf("fields %v, %v", fields, err)
	}
	run(t, "version", "-o", "xml").mustEnd(t, 2)
}

// TestPlanOfApplicationsThemselves shows the method argocd, for which there is
// no file: the plan speaks of the Application, and one that was read from a
// file cannot be written to.
func TestPlanOfApplicationsThemselves(t *testing.T) {
	w := newWorld(t)
	apps := write(t, filepath.Join(t.TempDir(), "apps.yaml"), strings.Replace(manifest("web", "https://example.com/o/r.git", "x",
		"image-list: server="+sandbox.ExampleImage+":^1\nwrite-back-method: argocd"), "path: x}", "path: x, kustomize: {images: ['"+sandbox.ExampleImage+":v1.2.3']}}", 1))
	with := func(args ...string) []string { return append(args, "--config", w.Config, "--applications", apps) }
	table := run(t, with("plan")...).mustEnd(t, 0).stdout
	for _, want := range []string{"update  v1.2.3   v1.3.0  change of spec.source", "Application argocd/web:\n--- a/spec.source", "+  - " + sandbox.ExampleImage + ":v1.3.0"} {
		if !strings.Contains(table, want) {
			t.Errorf("no %q in\n%s", want, table)
		}
	}
	explained := run(t, with("explain", "web")...).mustEnd(t, 0).stdout
	if !strings.Contains(explained, "it has    v1.2.3  (spec.source)") || !strings.Contains(explained, "next      a change of spec.source") {
		t.Errorf("explained:\n%s", explained)
	}
	if got := run(t, with("run", "--once")...).mustEnd(t, 1); !strings.Contains(got.stderr, "it was read from a file; leave --applications out") {
		t.Errorf("log:\n%s", got.stderr)
	}
}
