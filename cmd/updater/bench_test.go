package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/rest"

	"github.com/liverty-music/image-writeback/internal/sandbox"
)

// BenchmarkTenThousandApplications runs the service on a real API server with
// 10,000 Applications, each with a status of 20 KB, in one git repository. It
// prints the time of the first cycle, the resident memory once it has ended,
// and the highest that there was before.
func BenchmarkTenThousandApplications(b *testing.B) {
	const applications, images = 10_000, 100
	k, err := sandbox.NewKubernetes(context.Background(), b.TempDir(), "../../bin")
	if err != nil {
		b.Fatal(err)
	}
	defer k.Close()
	git, err := sandbox.NewGit(b.TempDir())
	if err != nil {
		b.Fatal(err)
	}
	defer git.Close()
	registry := sandbox.NewRegistry()
	defer registry.Close()
	files := map[string]string{}
	for i := range applications {
		files[fmt.Sprintf("apps/a%d/kustomization.yaml", i)] = fmt.Sprintf("images:\n- name: reg.example.com/p/app%d\n  newTag: 1.1.0\n", i%images)
	}
	for i := range images {
		registry.Announce(fmt.Sprintf("p/app%d", i), "1.1.0", digestOf(1), time.Now())
	}
	if err := git.Create("o/fleet", true, files); err != nil {
		b.Fatal(err)
	}
	createApplications(b, k, git.URLOf("o/fleet"), applications, images)
	config := filepath.Join(b.TempDir(), "config.yaml")
	if err := os.WriteFile(config, fmt.Appendf(nil, "interval: 1h\nweb: {listen: \"\"}\nregistries:\n- {prefix: reg.example.com, api_url: %s, limit: 1000}\n", registry.URL), 0o600); err != nil {
		b.Fatal(err)
	}
	if out, err := build(); err != nil {
		b.Fatalf("%v\n%s", err, out)
	}
	for b.Loop() {
		var log sandbox.Log
		command := exec.Command(filepath.Join(programDir, "updater"), "run", "--config", config, "--kubeconfig", k.Kubeconfig) //nolint:gosec // what was built above
		command.Stdout, command.Stderr = &log, &log
		begin := time.Now()
		if err := command.Start(); err != nil {
			b.Fatal(err)
		}
		awaitWithin(b, 5*time.Minute, "the first cycle", func() bool { return strings.Contains(log.String(), "cycle done") })
		b.ReportMetric(time.Since(begin).Seconds(), "s/first-cycle")
		b.ReportMetric(resident(b, command.Process.Pid, "VmRSS"), "MB-resident")
		b.ReportMetric(resident(b, command.Process.Pid, "VmHWM"), "MB-peak")
		if n := strings.Count(log.String(), "image is up to date"); n != applications {
			b.Errorf("%d Applications are up to date", n)
		}
		_ = command.Process.Signal(os.Interrupt)
		_ = command.Wait()
	}
}

// resident reads a line of the process's status, in megabytes.
func resident(b *testing.B, pid int, line string) float64 {
	b.Helper()
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		b.Fatal(err)
	}
	for l := range strings.Lines(string(data)) {
		if fields := strings.Fields(l); len(fields) > 1 && fields[0] == line+":" {
			kilobytes, err := strconv.ParseFloat(fields[1], 64)
			if err != nil {
				b.Fatal(err)
			}
			return kilobytes / 1000
		}
	}
	b.Fatalf("no %s", line)
	return 0
}

func createApplications(b *testing.B, k *sandbox.Kubernetes, repoURL string, n, images int) {
	b.Helper()
	config := rest.CopyConfig(k.Config)
	config.QPS, config.Burst = -1, -1
	client, err := dynamic.NewForConfig(config)
	if err != nil {
		b.Fatal(err)
	}
	resource := client.Resource(schema.GroupVersionResource{Group: "argoproj.io", Version: "v1alpha1", Resource: "applications"}).Namespace("argocd")
	var resources []any
	for i := range 100 { // about 200 bytes each
		resources = append(resources, map[string]any{"group": "apps", "kind": "Deployment", "namespace": "backend", "version": "v1", "status": "Synced",
			"name": fmt.Sprintf("a-deployment-with-a-realistic-name-%d", i), "health": map[string]any{"status": "Healthy", "message": "all of its replicas are available"}})
	}
	var group sync.WaitGroup
	work := make(chan int)
	for range 16 {
		group.Go(func() {
			for i := range work {
				image := fmt.Sprintf("reg.example.com/p/app%d", i%images)
				object := &unstructured.Unstructured{Object: map[string]any{"apiVersion": "argoproj.io/v1alpha1", "kind": "Application",
					"metadata": map[string]any{"name": fmt.Sprintf("a%d", i), "annotations": map[string]any{"argocd-image-updater.argoproj.io/image-list": "app=" + image}},
					"spec": map[string]any{"project": "default", "destination": map[string]any{"server": "https://kubernetes.default.svc", "namespace": "backend"},
						"source": map[string]any{"repoURL": repoURL, "targetRevision": "main", "path": fmt.Sprintf("apps/a%d", i)}},
					"status": map[string]any{"sourceType": "Kustomize", "summary": map[string]any{"images": []any{image + ":1.1.0"}}, "resources": resources}}}
				if _, err := resource.Create(context.Background(), object, metav1.CreateOptions{}); err != nil {
					b.Error(err)
				}
			}
		})
	}
	for i := range n {
		work <- i
	}
	close(work)
	group.Wait()
}
