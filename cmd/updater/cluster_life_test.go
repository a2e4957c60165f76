package main

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/liverty-music/image-writeback/internal/cli"
	"github.com/liverty-music/image-writeback/internal/sandbox"
)

// service is "updater run" in the test's own process.
type service struct {
	t      *testing.T
	log    sandbox.Log
	health string // address of its probes
}

// serve starts the service with a configuration and with flags that tell where
// Applications come from, and ends it with the test.
func serve(t *testing.T, config string, from ...string) *service {
	t.Helper()
	s := &service{t: t, health: freeAddress(t)}
	file := write(t, filepath.Join(t.TempDir(), "config.yaml"), strings.Replace(config, `web: {listen: ""}`, fmt.Sprintf("web: {listen: %q}", s.health), 1))
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan int)
	go func() {
		ended <- cli.Execute(ctx, cli.Build{}, append([]string{"run", "--config", file}, from...), &s.log, &s.log)
	}()
	t.Cleanup(func() {
		stop()
		if status := <-ended; status != 0 {
			t.Errorf("status %d", status)
		}
		if t.Failed() {
			t.Logf("the service said:\n%s", s.log.String())
		}
	})
	return s
}

// says waits until the log has said something n times.
func (s *service) says(what string, n int) {
	s.t.Helper()
	await(s.t, fmt.Sprintf("%q, %d times", what, n), func() bool { return strings.Count(s.log.String(), what) >= n })
}

// probe is the status and the body of a probe; 0 where nobody answers.
func (s *service) probe(path string) (status int, body string) {
	response, err := http.Get("http://" + s.health + path) //nolint:noctx // of this test's own server
	if err != nil {
		return 0, ""
	}
	_ = response.Body.Close()
	if response.StatusCode == http.StatusOK {
		return response.StatusCode, ""
	}
	return response.StatusCode, get(s.t, "http://"+s.health+path)
}

// unready waits until the service lives, but does not work, and says why once
// in its log as well.
func (s *service) unready(why string) {
	s.t.Helper()
	await(s.t, "not to be ready: "+why, func() bool {
		status, body := s.probe("/readyz")
		return status == http.StatusServiceUnavailable && strings.Contains(body, why)
	})
	if status, _ := s.probe("/healthz"); status != http.StatusOK {
		s.t.Errorf("/healthz is %d", status)
	}
	if n := strings.Count(s.log.String(), "level=ERROR"); n != 1 || !strings.Contains(s.log.String(), why) {
		s.t.Errorf("%d errors were logged, one was to say %q", n, why)
	}
}

func (s *service) ready() {
	s.t.Helper()
	await(s.t, "to be ready", func() bool { status, _ := s.probe("/readyz"); return status == http.StatusOK })
}

// kubectl runs kubectl as the administrator.
func kubectl(t *testing.T, k *sandbox.Kubernetes, args ...string) {
	t.Helper()
	if _, err := k.Run("kubectl", args...); err != nil {
		t.Fatal(err)
	}
}

// forced has an example's Applications count their images as live, since
// nothing runs in the sandbox.
func forced(t *testing.T, w *sandbox.World) string {
	t.Helper()
	edited := strings.ReplaceAll(readFile(t, w.Applications), "  annotations:\n", "  annotations:\n    argocd-image-updater.argoproj.io/force-update: \"true\"\n")
	return write(t, filepath.Join(t.TempDir(), "applications.yaml"), edited)
}

// TestAppliedByKubectl follows an Application through its life in a cluster:
// applied, changed, no longer annotated; and the API server and etcd are
// restarted under it. The interval is an hour: all of it is told by the watch.
func TestAppliedByKubectl(t *testing.T) {
	k := newKubernetes(t)
	w := newWorld(t)
	s := serve(t, strings.Replace(readFile(t, w.Config), "interval: 1s", "interval: 1h", 1)+"leaderElection: {enabled: true, namespace: argocd, leaseDuration: 1s}\n", "--kubeconfig", k.Kubeconfig)
	s.says("cycle done", 1)
	landed := func(build string) {
		t.Helper()
		await(t, "the commit of "+build, func() bool {
			return strings.Contains(show(t, w.Git, sandbox.ExampleRepository, sandbox.DevFile), build)
		})
	}
	annotate := func(app, annotation string) {
		t.Helper()
		kubectl(t, k, "-n", "argocd", "annotate", "--overwrite", "application", app, "argocd-image-updater.argoproj.io/"+annotation)
	}
	build := w.Build()
	begin := time.Now()
	kubectl(t, k, "apply", "-f", forced(t, w))
	landed(build)
	t.Logf("from kubectl apply to the commit: %.2f s", time.Since(begin).Seconds())
	await(t, "the pull request", func() bool { return len(w.GitHub.Pulls(sandbox.ExampleRepository)) == 1 })

	annotate("backend-dev", "image-list-")
	s.says("cycle done\" applications=1 ", 1)
	stopped := w.Build()
	cycles := strings.Count(s.log.String(), "cycle done")
	annotate("backend-prod", "server.ignore-tags=none")
	s.says("cycle done", cycles+1)
	if strings.Contains(show(t, w.Git, sandbox.ExampleRepository, sandbox.DevFile), stopped) {
		t.Error("an Application that lost its annotation is updated all the same")
	}

	k.StopServer()
	k.StopEtcd()
	s.says("this replica pauses", 1)
	if err := k.StartEtcd(); err != nil {
		t.Fatal(err)
	}
	if err := k.StartServer(t.Context()); err != nil {
		t.Fatal(err)
	}
	s.says("this replica takes its share", 2)
	s.ready()
	kubectl(t, k, "apply", "-f", forced(t, w))
	landed(stopped)
	k.StopEtcd()
	next := w.Build("v1.4.0")
	if err := k.StartEtcd(); err != nil {
		t.Fatal(err)
	}
	await(t, "the API server to write again", func() bool {
		_, err := k.Run("kubectl", "-n", "argocd", "annotate", "--overwrite", "application", "backend-dev", "argocd-image-updater.argoproj.io/server.ignore-tags=none")
		return err == nil
	})
	landed(next)
	await(t, "the pull request to be of the newest release", func() bool {
		pulls := w.GitHub.Pulls(sandbox.ExampleRepository)
		return len(pulls) == 1 && pulls[0].Title == "backend-prod: server v1.2.3 → v1.4.0"
	})
	if got := commits(t, w.Git, sandbox.ExampleRepository); len(got) != 4 {
		t.Errorf("commits: %q", got)
	}
}

// TestClusterErrors holds what people read when the cluster is not as it should
// be, and that the service goes on by itself once it is.
func TestClusterErrors(t *testing.T) {
	k := newKubernetes(t)
	w := newWorld(t)
	dir := t.TempDir()
	for what, c := range map[string]struct{ content, want string }{
		"no kubeconfig":     {"", "kubeconfig: no such file or directory; give --kubeconfig, or --applications to read Applications from files"},
		"a broken one":      {"clusters: [", "give --kubeconfig"},
		"one of no cluster": {"apiVersion: v1\nkind: Config\n", "give --kubeconfig"},
	} {
		file := filepath.Join(dir, "kubeconfig")
		_ = os.Remove(file)
		if c.content != "" {
			write(t, file, c.content)
		}
		if got := run(t, "run", "--config", w.Config, "--kubeconfig", file).mustEnd(t, 2); !strings.Contains(got.stderr, c.want) || strings.Count(strings.TrimSpace(got.stderr), "\n") > 0 {
			t.Errorf("%s: %s", what, got.stderr)
		}
	}
	t.Run("an API server that is not there", func(t *testing.T) {
		gone := write(t, filepath.Join(t.TempDir(), "kubeconfig"), strings.ReplaceAll(readFile(t, k.Kubeconfig), k.Config.Host, "https://"+freeAddress(t)))
		serve(t, readFile(t, w.Config), "--kubeconfig", gone).unready("check that the API server can be reached from here")
	})
	t.Run("no right to list", func(t *testing.T) {
		kubectl(t, k, "-n", "argocd", "create", "serviceaccount", "nobody")
		kubeconfig, err := k.KubeconfigOf(t.Context(), "argocd", "nobody")
		if err != nil {
			t.Fatal(err)
		}
		s := serve(t, readFile(t, w.Config), "--kubeconfig", kubeconfig)
		s.unready("grant list and watch on applications.argoproj.io to this account")
		kubectl(t, k, "create", "clusterrole", "lister", "--verb=list", "--resource=applications.argoproj.io")
		kubectl(t, k, "create", "clusterrolebinding", "lister", "--clusterrole=lister", "--serviceaccount=argocd:nobody")
		s.ready()
		s.says("watching Applications in all namespaces", 1)
		await(t, "several tries", func() bool { return strings.Count(s.log.String(), "cycle done") > 3 })
		if n := strings.Count(s.log.String(), "level=WARN"); n != 1 {
			t.Errorf("%d warnings", n)
		}
	})
	t.Run("no Applications", func(t *testing.T) {
		crd, err := k.Run("kubectl", "get", "crd", "applications.argoproj.io", "-o", "json")
		if err != nil {
			t.Fatal(err)
		}
		kubectl(t, k, "delete", "crd", "applications.argoproj.io")
		s := serve(t, readFile(t, w.Config), "--kubeconfig", k.Kubeconfig)
		s.unready("is Argo CD installed? Its Application resource is not there")
		kubectl(t, k, "create", "-f", write(t, filepath.Join(dir, "crd.json"), crd))
		s.ready()
	})
	t.Run("a broken annotation", func(t *testing.T) {
		kubectl(t, k, "apply", "-f", forced(t, w))
		kubectl(t, k, "-n", "argocd", "annotate", "application", "backend-prod", "argocd-image-updater.argoproj.io/server.update-strategy=newest", "--overwrite")
		s := serve(t, readFile(t, w.Config), "--kubeconfig", k.Kubeconfig)
		s.says("msg=committed", 1)
		s.ready()
		if got := s.log.String(); strings.Count(got, "level=ERROR") != 1 || !strings.Contains(got, `server.update-strategy = \"newest\"`) {
			t.Error("the annotation is not named once")
		}
	})
}
