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

// running is the service with what the chart grants and configures.
type running struct {
	t   *testing.T
	k   *kube.Cluster
	w   *world.World
	log sandbox.Log
}

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

	r := &running{t: t, k: k, w: w}
	service, stop := context.WithCancel(ctx)
	ended := harness.Go(service, &r.log, "run", "--config", config, "--kubeconfig", kubeconfig)
	harness.Await(t, "the first, empty cycle", func() bool { return strings.Contains(r.log.String(), "cycle done") })

	r.updatesWhatRuns(ctx)
	r.updatesAtOnce(ctx)
	showsWork(t, k, w, health, metrics)
	r.reportsAFailureOnce(ctx)

	stop()
	if status := <-ended; status != 0 {
		t.Errorf("status %d\n%s", status, r.log.String())
	}

	if n := strings.Count(r.log.String(), "level=ERROR"); n != 1 {
		t.Errorf("%d errors were logged, one is asked for:\n%s", n, r.log.String())
	}
}

// patch changes an Application.
func (r *running) patch(ctx context.Context, name, body string) {
	r.t.Helper()
	applications := r.k.Dynamic.Resource(schema.GroupVersionResource{Group: "argoproj.io", Version: "v1alpha1",
		Resource: "applications"}).Namespace("argocd")
	if _, err := applications.Patch(ctx, name, types.MergePatchType, []byte(body), metav1.PatchOptions{}); err != nil {
		r.t.Fatal(err)
	}
}

// updatesWhatRuns applies the Applications, and waits for the commit and the pull
// request, which come only once the images run.
func (r *running) updatesWhatRuns(ctx context.Context) {
	t := r.t
	t.Helper()
	if _, err := r.k.Run("kubectl", "apply", "-f", r.w.Applications); err != nil {
		t.Fatal(err)
	}

	harness.Await(t, "the image to be found not running",
		func() bool { return strings.Contains(r.log.String(), "is not among the running images") })
	if r.w.Git.Count("push") != 0 {
		t.Error("an image that does not run was updated")
	}

	for _, name := range []string{"backend-dev", "backend-prod"} {
		r.patch(ctx, name, `{"status":{"sourceType":"Kustomize","summary":{"images":["`+world.Image+`:v1.2.3"]}}}`)
	}

	harness.Await(t, "the commit and the pull request", func() bool {
		return len(harness.Commits(t, r.w.Git, world.Repository)) == 2 &&
			len(r.w.GitHub.Pulls(world.Repository)) == 1
	})
}

// updatesAtOnce changes an annotation, and waits for the commit of a newer build.
func (r *running) updatesAtOnce(ctx context.Context) {
	t := r.t
	t.Helper()
	build := r.w.Build()
	r.patch(ctx, "backend-dev",
		`{"metadata":{"annotations":{"argocd-image-updater.argoproj.io/server.ignore-tags":"latest"}}}`)
	harness.Await(t, "the commit after a changed annotation", func() bool {
		return strings.Contains(harness.Show(t, r.w.Git, world.Repository, world.DevFile), build)
	})
}

// reportsAFailureOnce breaks an annotation: the failure is reported once, in whatever
// number of cycles it occurs.
func (r *running) reportsAFailureOnce(ctx context.Context) {
	t := r.t
	t.Helper()
	r.patch(ctx, "backend-dev",
		`{"metadata":{"annotations":{"argocd-image-updater.argoproj.io/server.allow-tags":"regexp:(["}}}`)
	warnings := func() int { return len(events(t, r.k, "ImageUpdateFailed")) }
	harness.Await(t, "the Event of a failure", func() bool { return warnings() == 1 })

	cycles := strings.Count(r.log.String(), "cycle done")
	r.patch(ctx, "backend-prod",
		`{"metadata":{"annotations":{"argocd-image-updater.argoproj.io/server.ignore-tags":"nothing"}}}`)
	harness.Await(t, "another cycle", func() bool { return strings.Count(r.log.String(), "cycle done") > cycles })
	if n := warnings(); n != 1 {
		t.Errorf("the failure was reported %d times", n)
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
