package cluster

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/liverty-music/image-writeback/internal/sandbox/kube"
	"github.com/liverty-music/image-writeback/internal/sandbox/world"
	"github.com/liverty-music/image-writeback/test/harness"
)

// life is an Application's life in a cluster, with the service that watches it.
type life struct {
	*harness.Service
	k *kube.Cluster
	w *world.World
}

// TestAppliedByKubectl follows an Application through its life in a cluster:
// applied, changed, no longer annotated; and the API server and etcd are
// restarted under it. The interval is an hour: the watch reports all changes.
func TestAppliedByKubectl(t *testing.T) {
	k := harness.NewKubernetes(t)
	w := harness.NewWorld(t)
	s := harness.Serve(t, strings.Replace(harness.ReadFile(t, w.Config), "interval: 1s", "interval: 1h", 1)+
		"leaderElection: {enabled: true, namespace: argocd, leaseDuration: 1s}\n", "--kubeconfig", k.Kubeconfig)
	s.Says("cycle done", 1)
	l := &life{s, k, w}

	build := w.Build()
	begin := time.Now()
	harness.Kubectl(t, k, "apply", "-f", harness.ForceUpdate(t, w))
	l.landed(build)
	t.Logf("from kubectl apply to the commit: %.2f s", time.Since(begin).Seconds())
	harness.Await(t, "the pull request", func() bool { return len(w.GitHub.Pulls(world.Repository)) == 1 })

	stopped := l.losesItsAnnotation()
	l.outlivesTheCluster(stopped)
	l.outlivesEtcd()

	if got := harness.Commits(t, w.Git, world.Repository); len(got) != 4 {
		t.Errorf("commits: %q", got)
	}
}

// landed waits for the commit of a build.
func (l *life) landed(build string) {
	l.T.Helper()
	harness.Await(l.T, "the commit of "+build, func() bool {
		return strings.Contains(harness.Show(l.T, l.w.Git, world.Repository, world.DevFile), build)
	})
}

// annotate changes an annotation of the updater.
func (l *life) annotate(app, annotation string) {
	l.T.Helper()
	harness.Kubectl(l.T, l.k, "-n", "argocd", "annotate", "--overwrite", "application", app,
		"argocd-image-updater.argoproj.io/"+annotation)
}

// losesItsAnnotation removes the images of the Application, and returns a build that
// the next cycle does not use.
func (l *life) losesItsAnnotation() (stopped string) {
	l.T.Helper()
	l.annotate("backend-dev", "image-list-")
	l.Says("cycle done\" applications=1 ", 1)

	stopped = l.w.Build()
	cycles := strings.Count(l.Log.String(), "cycle done")
	l.annotate("backend-prod", "server.ignore-tags=none")
	l.Says("cycle done", cycles+1)
	if strings.Contains(harness.Show(l.T, l.w.Git, world.Repository, world.DevFile), stopped) {
		l.T.Error("an Application that lost its annotation is updated all the same")
	}

	return stopped
}

// outlivesTheCluster restarts the API server and etcd, and applies the Application
// again: the build is committed.
func (l *life) outlivesTheCluster(build string) {
	l.T.Helper()
	l.k.StopServer()
	l.k.StopEtcd()
	l.Says("this replica pauses", 1)
	if err := l.k.StartEtcd(); err != nil {
		l.T.Fatal(err)
	}

	if err := l.k.StartServer(l.T.Context()); err != nil {
		l.T.Fatal(err)
	}

	l.Says("this replica now works on its share", 2)
	l.Ready()
	harness.Kubectl(l.T, l.k, "apply", "-f", harness.ForceUpdate(l.T, l.w))
	l.landed(build)
}

// outlivesEtcd restarts etcd alone, and changes an Application: the newest build and
// the newest release are found.
func (l *life) outlivesEtcd() {
	l.T.Helper()
	l.k.StopEtcd()
	next := l.w.Build("v1.4.0")
	if err := l.k.StartEtcd(); err != nil {
		l.T.Fatal(err)
	}

	harness.Await(l.T, "the API server to write again", func() bool {
		_, err := l.k.Run("kubectl", "-n", "argocd", "annotate", "--overwrite", "application", "backend-dev",
			"argocd-image-updater.argoproj.io/server.ignore-tags=none")
		return err == nil
	})

	l.landed(next)
	harness.Await(l.T, "the pull request to be of the newest release", func() bool {
		pulls := l.w.GitHub.Pulls(world.Repository)
		return len(pulls) == 1 && pulls[0].Title == "backend-prod: server v1.2.3 → v1.4.0"
	})
}

// TestClusterErrors checks the messages for a cluster that cannot be used, and that
// the service continues by itself once it can.
func TestClusterErrors(t *testing.T) {
	k := harness.NewKubernetes(t)
	w := harness.NewWorld(t)
	badKubeconfigs(t, w)

	t.Run("an API server that is not there", func(t *testing.T) {
		gone := harness.Write(t, filepath.Join(t.TempDir(), "kubeconfig"),
			strings.ReplaceAll(harness.ReadFile(t, k.Kubeconfig), k.Config.Host, "https://"+harness.FreeAddress(t)))
		harness.Serve(t, harness.ReadFile(t, w.Config),
			"--kubeconfig", gone).Unready("check that the API server can be reached from here")
	})

	t.Run("no right to list", func(t *testing.T) { noRightToList(t, k, w) })

	t.Run("no Applications", func(t *testing.T) {
		crd, err := k.Run("kubectl", "get", "crd", "applications.argoproj.io", "-o", "json")
		if err != nil {
			t.Fatal(err)
		}

		harness.Kubectl(t, k, "delete", "crd", "applications.argoproj.io")
		s := harness.Serve(t, harness.ReadFile(t, w.Config), "--kubeconfig", k.Kubeconfig)
		s.Unready("is Argo CD installed? Its Application resource is not there")
		harness.Kubectl(t, k, "create", "-f", harness.Write(t, filepath.Join(t.TempDir(), "crd.json"), crd))
		s.Ready()
	})

	t.Run("a broken annotation", func(t *testing.T) {
		harness.Kubectl(t, k, "apply", "-f", harness.ForceUpdate(t, w))
		harness.Kubectl(t, k, "-n", "argocd", "annotate", "application", "backend-prod",
			"argocd-image-updater.argoproj.io/server.update-strategy=newest", "--overwrite")
		s := harness.Serve(t, harness.ReadFile(t, w.Config), "--kubeconfig", k.Kubeconfig)
		s.Says("msg=committed", 1)
		s.Ready()
		if got := s.Log.String(); strings.Count(got, "level=ERROR") != 1 ||
			!strings.Contains(got, `server.update-strategy = \"newest\"`) {
			t.Error("the annotation is not named once")
		}
	})
}

// badKubeconfigs starts the service with kubeconfigs that cannot be used: it ends,
// with one line that says what to do.
func badKubeconfigs(t *testing.T, w *world.World) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "kubeconfig")
	for what, c := range map[string]struct{ content, want string }{
		"no kubeconfig": {"", "kubeconfig: no such file or directory; set --kubeconfig, or set --applications " +
			"to read Applications from files"},
		"a broken one":      {"clusters: [", "set --kubeconfig"},
		"one of no cluster": {"apiVersion: v1\nkind: Config\n", "set --kubeconfig"},
	} {
		_ = os.Remove(file)
		if c.content != "" {
			harness.Write(t, file, c.content)
		}

		if got := harness.Run(t, "run", "--config", w.Config, "--kubeconfig", file).MustEnd(t, 2); !strings.Contains(
			got.Stderr, c.want) || strings.Count(strings.TrimSpace(got.Stderr), "\n") > 0 {
			t.Errorf("%s: %s", what, got.Stderr)
		}
	}
}

// noRightToList starts the service with an account that may list nothing, then grants
// it the right to list Applications only: the service warns once that it cannot watch
// them, once that it cannot read AppProjects, and lists in each cycle.
func noRightToList(t *testing.T, k *kube.Cluster, w *world.World) {
	t.Helper()
	harness.Kubectl(t, k, "-n", "argocd", "create", "serviceaccount", "nobody")
	kubeconfig, err := k.KubeconfigOf(t.Context(), "argocd", "nobody")
	if err != nil {
		t.Fatal(err)
	}

	s := harness.Serve(t, harness.ReadFile(t, w.Config), "--kubeconfig", kubeconfig)
	s.Unready("grant list and watch on applications.argoproj.io to this account")

	harness.Kubectl(t, k, "create", "clusterrole", "lister", "--verb=list", "--resource=applications.argoproj.io")
	harness.Kubectl(t, k, "create", "clusterrolebinding", "lister", "--clusterrole=lister",
		"--serviceaccount=argocd:nobody")
	s.Ready()
	s.Says("watching Applications in all namespaces", 1)
	harness.Await(t, "several tries", func() bool { return strings.Count(s.Log.String(), "cycle done") > 3 })
	s.Says("AppProjects limit nothing (projects.follow in config.yaml: auto)", 1)
	if n := strings.Count(s.Log.String(), "level=WARN"); n != 2 {
		t.Errorf("%d warnings", n)
	}
}
