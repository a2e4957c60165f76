package main

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"

	"github.com/liverty-music/image-writeback/internal/sandbox"
)

// TestInACluster applies the manifests of examples/ to a real API server and
// runs the service with the ServiceAccount's own rights: Applications that
// appear or change become commits at once, long before the interval ends.
func TestInACluster(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	k, err := sandbox.NewKubernetes(ctx, t.TempDir(), "../../bin")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(k.Close)
	example, err := os.ReadFile("../../examples/gke.yaml")
	if err != nil {
		t.Fatal(err)
	}
	if err := k.Create(ctx, "", string(example)); err != nil {
		t.Fatal(err)
	}
	kubeconfig, err := k.KubeconfigOf(ctx, "argocd", "image-writeback")
	if err != nil {
		t.Fatal(err)
	}
	w := newWorld(t)
	edit(t, w.Config, "interval: 1s", "interval: 1h")
	applications := k.Dynamic.Resource(schema.GroupVersionResource{Group: "argoproj.io", Version: "v1alpha1", Resource: "applications"}).Namespace("argocd")
	patch := func(name, body string) {
		t.Helper()
		if _, err := applications.Patch(ctx, name, types.MergePatchType, []byte(body), metav1.PatchOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	var log sandbox.Log
	ended := make(chan int)
	service, stop := context.WithCancel(ctx)
	go func() {
		ended <- execute(service, []string{"run", "--config", w.Config, "--kubeconfig", kubeconfig}, &log, &log)
	}()
	await(t, "the first, empty cycle", func() bool { return strings.Contains(log.String(), "cycle done") })

	manifests, err := os.ReadFile(w.Applications)
	if err != nil {
		t.Fatal(err)
	}
	if err := k.Create(ctx, "", strings.TrimSpace(string(manifests))); err != nil {
		t.Fatal(err)
	}
	await(t, "the image to be found not running", func() bool { return strings.Contains(log.String(), "is not among the running images") })
	if w.Git.Count("push") != 0 {
		t.Error("an image that does not run was updated")
	}
	for _, name := range []string{"backend-dev", "backend-prod"} {
		patch(name, `{"status":{"sourceType":"Kustomize","summary":{"images":["`+sandbox.ExampleImage+`:v1.2.3"]}}}`)
	}
	await(t, "the commit and the pull request", func() bool {
		return len(commits(t, w.Git, sandbox.ExampleRepository)) == 2 && len(w.GitHub.Pulls(sandbox.ExampleRepository)) == 1
	})
	build := w.Build()
	patch("backend-dev", `{"metadata":{"annotations":{"argocd-image-updater.argoproj.io/server.ignore-tags":"latest"}}}`)
	await(t, "the commit after a changed annotation", func() bool {
		return strings.Contains(show(t, w.Git, sandbox.ExampleRepository, sandbox.DevFile), build)
	})
	stop()
	if status := <-ended; status != 0 {
		t.Errorf("status %d\n%s", status, log.String())
	}
	if strings.Contains(log.String(), "level=ERROR") {
		t.Errorf("errors were logged:\n%s", log.String())
	}
}

// TestExamplesAreValid holds the manifests that the README sends people to, and
// the configuration in it.
func TestExamplesAreValid(t *testing.T) {
	run(t, "validate", "../../config.yaml", "../../examples/applications.yaml").mustEnd(t, 0)
	example, err := os.ReadFile("../../examples/gke.yaml")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, found := strings.Cut(string(example), "config.yaml: |\n")
	block, _, ended := strings.Cut(rest, "---\n")
	if !found || !ended {
		t.Fatal("gke.yaml has no config.yaml")
	}
	validate := func(config, indent string) {
		t.Helper()
		config = strings.ReplaceAll("\n"+config, "\n"+indent, "\n")
		run(t, "validate", write(t, filepath.Join(t.TempDir(), "config.yaml"), strings.Replace(config, "APP_ID", "1", 1))).mustEnd(t, 0)
	}
	validate(block, "    ")

	readme, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, found = strings.Cut(string(readme), "cat > my-config.yaml <<'EOF'\n")
	block, _, ended = strings.Cut(rest, "       EOF\n")
	if !found || !ended {
		t.Fatal("the README has no my-config.yaml")
	}
	validate(block, "       ")
}
