package install

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"

	"github.com/liverty-music/image-writeback/internal/sandbox"
	"github.com/liverty-music/image-writeback/internal/sandbox/kube"
	"github.com/liverty-music/image-writeback/internal/sandbox/world"
	"github.com/liverty-music/image-writeback/test/harness"
)

// TestInACluster installs the chart into a real API server and runs the service
// with what it grants and configures: Applications that appear or change become
// commits at once, long before the interval ends.
func TestInACluster(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	k := harness.NewKubernetes(t)
	w := harness.NewWorld(t)
	health, metrics := harness.FreeAddress(t), harness.FreeAddress(t)
	install(t, k, forWorld(w, "", fmt.Sprintf("  web: {listen: %q, metricsListen: %q}\n", health, metrics)))
	config := installed(t, k, w)
	kubeconfig, err := k.KubeconfigOf(ctx, "argocd", "image-writeback")
	if err != nil {
		t.Fatal(err)
	}

	applications := k.Dynamic.Resource(schema.GroupVersionResource{Group: "argoproj.io", Version: "v1alpha1",
		Resource: "applications"}).Namespace("argocd")
	patch := func(name, body string) {
		t.Helper()
		if _, err := applications.Patch(ctx, name, types.MergePatchType, []byte(body),
			metav1.PatchOptions{}); err != nil {
			t.Fatal(err)
		}
	}

	var log sandbox.Log
	service, stop := context.WithCancel(ctx)
	ended := harness.Go(service, &log, "run", "--config", config, "--kubeconfig", kubeconfig)
	harness.Await(t, "the first, empty cycle", func() bool { return strings.Contains(log.String(), "cycle done") })

	if _, err := k.Run("kubectl", "apply", "-f", w.Applications); err != nil {
		t.Fatal(err)
	}

	harness.Await(t, "the image to be found not running",
		func() bool { return strings.Contains(log.String(), "is not among the running images") })
	if w.Git.Count("push") != 0 {
		t.Error("an image that does not run was updated")
	}

	for _, name := range []string{"backend-dev", "backend-prod"} {
		patch(name, `{"status":{"sourceType":"Kustomize","summary":{"images":["`+world.Image+`:v1.2.3"]}}}`)
	}

	harness.Await(t, "the commit and the pull request", func() bool {
		return len(harness.Commits(t, w.Git, world.Repository)) == 2 && len(w.GitHub.Pulls(world.Repository)) == 1
	})

	build := w.Build()
	patch("backend-dev",
		`{"metadata":{"annotations":{"argocd-image-updater.argoproj.io/server.ignore-tags":"latest"}}}`)
	harness.Await(t, "the commit after a changed annotation", func() bool {
		return strings.Contains(harness.Show(t, w.Git, world.Repository, world.DevFile), build)
	})

	showsWork(t, k, w, health, metrics)

	// A failure is reported once, in whatever number of cycles it occurs.
	patch("backend-dev",
		`{"metadata":{"annotations":{"argocd-image-updater.argoproj.io/server.allow-tags":"regexp:(["}}}`)
	warnings := func() int { return len(events(t, k, "ImageUpdateFailed")) }
	harness.Await(t, "the Event of a failure", func() bool { return warnings() == 1 })
	cycles := strings.Count(log.String(), "cycle done")
	patch("backend-prod",
		`{"metadata":{"annotations":{"argocd-image-updater.argoproj.io/server.ignore-tags":"nothing"}}}`)
	harness.Await(t, "another cycle", func() bool { return strings.Count(log.String(), "cycle done") > cycles })
	if n := warnings(); n != 1 {
		t.Errorf("the failure was reported %d times", n)
	}

	stop()
	if status := <-ended; status != 0 {
		t.Errorf("status %d\n%s", status, log.String())
	}

	if n := strings.Count(log.String(), "level=ERROR"); n != 1 {
		t.Errorf("%d errors were logged, one is asked for:\n%s", n, log.String())
	}
}

// showsWork checks the probes, the metrics and the Events after three updates.
func showsWork(t *testing.T, k *kube.Cluster, w *world.World, health, metrics string) {
	t.Helper()
	if got := harness.Get(t, "http://"+health+"/healthz") +
		harness.Get(t, "http://"+health+"/readyz"); got != "ok\nok\n" {
		t.Errorf("health: %s", got)
	}

	for _, want := range []string{"argocd_image_updater_applications_watched_total 2\n",
		`argocd_image_updater_images_watched_total{application="backend-dev"} 1`,
		`argocd_image_updater_images_updated_total{application="backend-dev"} 2`,
		`argocd_image_updater_images_updated_total{application="backend-prod"} 1`,
		`argocd_image_updater_images_errors_total{application="backend-dev"} 0`,
		fmt.Sprintf(`argocd_image_updater_registry_requests_total{registry=%q} `, w.Registry.URL),
		"argocd_image_updater_k8s_api_requests_total ", "argocd_image_updater_k8s_api_errors_total "} {
		harness.Await(t, "the metric "+want,
			func() bool { return strings.Contains(harness.Get(t, "http://"+metrics+"/metrics"), want) })
	}

	updates := events(t, k, "ImagesUpdated")
	if len(updates) != 3 {
		t.Fatalf("events %v", updates)
	}

	last := updates[0].GetAnnotations()
	if last["argocd-image-updater.image-0/full-image-name"] != world.Image ||
		last["argocd-image-updater.image-0/image-name"] != "liverty-music-dev/backend/server" ||
		last["argocd-image-updater.image-0/old-tag"] == "" || last["argocd-image-updater.image-0/new-tag"] == "" {
		t.Errorf("the annotations of the event are %v", last)
	}
}

// events are the Events with a reason.
func events(t *testing.T, k *kube.Cluster, reason string) []unstructured.Unstructured {
	t.Helper()
	resource := schema.GroupVersionResource{Version: "v1", Resource: "events"}
	list, err := k.Dynamic.Resource(resource).Namespace("argocd").List(t.Context(),
		metav1.ListOptions{FieldSelector: "reason=" + reason})
	if err != nil {
		t.Fatal(err)
	}

	return list.Items
}
