package cluster

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/liverty-music/image-writeback/internal/sandbox"
	"github.com/liverty-music/image-writeback/internal/sandbox/kube"
	"github.com/liverty-music/image-writeback/internal/sandbox/world"
	"github.com/liverty-music/image-writeback/test/harness"
)

// TestReplicas strikes the replica that works, in the middle of its cycle, 20
// times by SIGKILL and 20 times by SIGSTOP for longer than its Lease lasts.
// Every build becomes one commit for dev and one pull request for prod.
func TestReplicas(t *testing.T) {
	k := harness.NewKubernetes(t)
	binary := harness.Program(t)
	if err := k.SetProject(t.Context(), "default", `{sourceRepos: ["*"], sourceNamespaces: [killed, halted],
  destinations: [{server: "*", namespace: "*"}]}`); err != nil {
		t.Fatal(err)
	}
	for _, way := range []struct {
		name   string
		signal syscall.Signal
	}{{"killed", syscall.SIGKILL}, {"halted", syscall.SIGSTOP}} {
		t.Run(way.name, func(t *testing.T) {
			t.Parallel()
			d := newDeployment(t, k, binary, way.name)
			d.start()
			d.start()
			const rounds = 20
			builds := []string{d.landed("v1.3.0", "")}
			for i := range rounds {
				builds = append(builds, d.strike(way.signal, fmt.Sprintf("v1.%d.0", i+4)))
			}
			d.eachOnce(builds, rounds+1)
		})
	}
}

// deployment is two replicas of the service in a world of their own.
type deployment struct {
	t                             *testing.T
	world                         *world.World
	binary, namespace, kubeconfig string
	leases                        func() int

	mu       sync.Mutex
	replicas []*replica
	latest   *replica // that asked the registry last
	gone     *replica // that was struck last
	fuse     int      // requests until the strike; 0: none is due
	signal   syscall.Signal
	struck   chan *replica
}

type replica struct {
	command *exec.Cmd
	log     *sandbox.Log
}

func newDeployment(t *testing.T, k *kube.Cluster, binary, namespace string) *deployment {
	t.Helper()
	w := harness.NewWorld(t)
	if err := k.Create(t.Context(), "", "apiVersion: v1\nkind: Namespace\nmetadata: {name: "+namespace+
		"}"); err != nil {
		t.Fatal(err)
	}

	manifests := strings.ReplaceAll(harness.ReadFile(t, w.Applications), "namespace: argocd", "namespace: "+namespace)
	manifests = strings.ReplaceAll(manifests, "  annotations:\n",
		"  annotations:\n    argocd-image-updater.argoproj.io/force-update: \"true\"\n")
	if err := k.Create(t.Context(), "", strings.TrimSpace(manifests)); err != nil {
		t.Fatal(err)
	}

	d := &deployment{t: t, world: w, binary: binary, namespace: namespace, kubeconfig: k.Kubeconfig,
		struck: make(chan *replica, 1)}
	d.leases = func() int {
		list, err := k.Dynamic.Resource(schema.GroupVersionResource{Group: "coordination.k8s.io", Version: "v1",
			Resource: "leases"}).Namespace(namespace).List(t.Context(), metav1.ListOptions{})
		if err != nil {
			t.Fatal(err)
		}
		return len(list.Items)
	}

	w.Git.Fault = func(http.ResponseWriter, *http.Request) bool { d.request(nil); return false }
	t.Cleanup(func() {
		d.mu.Lock()
		defer d.mu.Unlock()
		for i, r := range d.replicas {
			_ = r.command.Process.Kill()
			_ = r.command.Wait()
			if t.Failed() && i >= len(d.replicas)-3 {
				t.Logf("replica %d said:\n%s", i, r.log)
			}
		}
	})

	return d
}

// request sees each request to git and to the registry, where it is known by
// whom. When it is time, the replica that works is struck. The request itself
// goes on: what was sent has been sent.
func (d *deployment) request(by *replica) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if by != nil && by != d.gone {
		d.latest = by
	}

	if d.fuse == 0 || d.latest == nil {
		return
	}

	if d.fuse--; d.fuse == 0 {
		_ = d.latest.command.Process.Signal(d.signal)
		d.struck <- d.latest
		d.latest, d.gone = nil, d.latest // though its last requests may still come in
	}
}

// start starts a replica, to which the registry has an address of its own.
func (d *deployment) start() {
	d.t.Helper()
	r := &replica{log: &sandbox.Log{}}
	registry := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		d.request(r)
		d.world.Registry.ServeHTTP(w, req)
	}))
	d.t.Cleanup(registry.Close)
	config := harness.Write(d.t, filepath.Join(d.t.TempDir(), "config.yaml"),
		strings.NewReplacer("interval: 1s", "interval: 100ms", d.world.Registry.URL, registry.URL).Replace(
			harness.ReadFile(d.t, d.world.Config))+
			"applications: {namespaces: ["+d.namespace+"]}\nleaderElection: {enabled: true, namespace: "+d.namespace+
			", leaseDuration: 2s}\n")
	r.command = exec.Command(d.binary, "run", "--config", config, "--kubeconfig", d.kubeconfig)
	r.command.Stderr = r.log
	if err := r.command.Start(); err != nil {
		d.t.Fatal(err)
	}

	d.mu.Lock()
	defer d.mu.Unlock()
	d.replicas = append(d.replicas, r)
}

// strike pushes a build, strikes the working replica at one of the requests
// that follow, and waits until the build has landed all the same.
func (d *deployment) strike(signal syscall.Signal, release string) (build string) {
	d.t.Helper()
	harness.Await(d.t, "two replicas", func() bool { return d.leases() == 2 })
	build = d.world.Build(release)
	d.mu.Lock()
	d.fuse, d.signal = 1+rand.N(8), signal
	d.mu.Unlock()
	struck := <-d.struck
	if signal == syscall.SIGKILL {
		_ = struck.command.Wait()
		d.start()
	}

	build = d.landed(release, build)
	if signal == syscall.SIGSTOP {
		harness.Await(d.t, "the Lease of the halted replica to be cleared away",
			func() bool { return d.leases() == 1 })
		if err := struck.command.Process.Signal(syscall.SIGCONT); err != nil {
			d.t.Fatal(err)
		}
		d.mu.Lock()
		d.gone = nil
		d.mu.Unlock()
	}

	return build
}

// landed waits for a build on main, and for the pull request of its release,
// which it merges.
func (d *deployment) landed(release, build string) string {
	d.t.Helper()
	harness.Await(d.t, "the build for dev", func() bool {
		return strings.Contains(harness.Show(d.t, d.world.Git, world.Repository, world.DevFile), build)
	})

	var number int
	harness.Await(d.t, "the pull request of "+release, func() bool {
		for _, p := range d.world.GitHub.Pulls(world.Repository) {
			if p.State == "open" && strings.HasSuffix(p.Title, " → "+release) {
				number = p.Number
			}
		}
		return number > 0
	})

	if err := d.world.GitHub.ClosePull(world.Repository, number, true); err != nil {
		d.t.Fatal(err)
	}

	return build
}

func (d *deployment) eachOnce(builds []string, releases int) {
	d.t.Helper()
	messages, err := d.world.Git.Run(world.Repository, "log", "--format=%B", "main")
	if err != nil {
		d.t.Fatal(err)
	}

	for _, build := range builds {
		if n := strings.Count(messages, "-> "+build+"\n"); build != "" && n != 1 {
			d.t.Errorf("%s was committed %d times", build, n)
		}
	}

	pulls := d.world.GitHub.Pulls(world.Repository)
	titles := map[string]int{}
	for _, p := range pulls {
		titles[p.Title]++
	}

	if len(pulls) != releases || len(titles) != releases {
		d.t.Errorf("%d pull requests for %d releases: %v", len(pulls), releases, titles)
	}

	d.t.Logf("%d builds: each is one commit; %d releases: each is one pull request", len(builds), releases)
}
