package trigger

import (
	"fmt"
	"net/http"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/liverty-music/image-writeback/internal/sandbox/world"
	"github.com/liverty-music/image-writeback/test/harness"
)

// TestReplicasPassEventsOn sends webhooks about builds to each of two replicas, of
// which only one works on the repository.
func TestReplicasPassEventsOn(t *testing.T) {
	k := harness.NewKubernetes(t)
	binary := harness.Program(t)
	w := harness.NewWorld(t)
	harness.Kubectl(t, k, "apply", "-f", harness.ForceUpdate(t, w))
	secret := harness.Write(t, filepath.Join(t.TempDir(), "secret"), webhookSecret)
	var replicas []*listening
	for range 2 {
		address := harness.FreeAddress(t)
		config := strings.Replace(harness.ReadFile(t, w.Config), "interval: 1s", "interval: 1h", 1) +
			fmt.Sprintf("leaderElection: {enabled: true, namespace: argocd, leaseDuration: 2s}\nevents:\n  "+
				"listen: %q\n  secretFiles: {harbor: %s}\n", address, secret)
		r := &listening{Service: &harness.Service{T: t}, world: w, events: address}
		command := exec.Command(binary, "run", "--config",
			harness.Write(t, filepath.Join(t.TempDir(), "config.yaml"), config), "--kubeconfig", k.Kubeconfig)
		command.Stdout, command.Stderr = &r.Log, &r.Log
		if err := command.Start(); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			_ = command.Process.Signal(syscall.SIGTERM)
			if err := command.Wait(); err != nil || t.Failed() {
				t.Errorf("%v; the replica said:\n%s", err, r.Log.String())
			}
		})
		replicas = append(replicas, r)
	}

	for _, r := range replicas {
		r.Says("this replica now works on its share of the repositories", 1)
	}

	about := `msg="cycle done" about=` + world.Image
	cycles := func() int {
		return strings.Count(replicas[0].Log.String(), about) + strings.Count(replicas[1].Log.String(), about)
	}

	// A cycle about everything may still be due, because the replicas have just met.
	// The first trigger may be handled together with it, so it is not counted.
	harness.Await(t, "the first commit", func() bool { return len(harness.Commits(t, w.Git, world.Repository)) == 2 })
	first := send(t, replicas[0])
	harness.Await(t, "the end of the first cycle", func() bool {
		return endedAfter(replicas[0].Log.String(), first) || endedAfter(replicas[1].Log.String(), first)
	})

	before := cycles()
	for range 2 {
		for _, r := range replicas {
			send(t, r)
		}
	}

	harness.Await(t, "the end of the last cycle", func() bool { return cycles() >= before+4 })
	if n := cycles() - before; n != 4 {
		t.Errorf("%d cycles for four triggers", n)
	}
}

// send builds an image, sends a webhook about it, and waits for its commit.
func send(t *testing.T, r *listening) (build string) {
	t.Helper()
	build = r.world.Build()
	if status := r.image(world.Image, build, webhookSecret); status != http.StatusOK {
		t.Fatalf("status %d", status)
	}
	r.landed(build)

	return build
}

// endedAfter reports whether a log has the end of a cycle after the commit of a
// build.
func endedAfter(log, build string) bool {
	_, after, committed := strings.Cut(log, " → "+build[:10])

	return committed && strings.Contains(after, "cycle done")
}
