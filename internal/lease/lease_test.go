package lease

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	client "k8s.io/client-go/kubernetes/typed/coordination/v1"
	"k8s.io/client-go/rest"

	"github.com/liverty-music/image-writeback/internal/sandbox"
	"github.com/liverty-music/image-writeback/internal/sandbox/kube"
)

const duration = 2 * time.Second

// group is a group of replicas with a real API server.
type group struct {
	t      *testing.T
	leases client.LeaseInterface
	log    *sandbox.Log
	name   string
}

// member is a replica that runs until it stops.
type member struct {
	*Replica
	stop func()
}

func (g *group) join(identity string) *member {
	g.t.Helper()
	r := New(g.leases, g.name, g.name+"-"+identity, duration, slog.New(slog.NewTextHandler(g.log, nil)))
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	r.Join(ctx)
	go func() {
		defer close(ended)
		r.Run(ctx, func() {})
	}()
	var once sync.Once
	m := &member{r, func() { once.Do(func() { cancel(); <-ended }) }}
	g.t.Cleanup(m.stop)
	return m
}

// await polls until something holds.
func (g *group) await(what string, holds func() bool) {
	g.t.Helper()
	ctx, cancel := context.WithTimeout(g.t.Context(), 30*time.Second)
	defer cancel()
	for !holds() {
		select {
		case <-ctx.Done():
			g.t.Fatalf("timed out waiting until %s; the log:\n%s", what, g.log)
		case <-time.After(5 * time.Millisecond):
		}
	}
}

func (g *group) there() []string {
	g.t.Helper()
	list, err := g.leases.List(g.t.Context(), metav1.ListOptions{})
	if err != nil {
		g.t.Fatal(err)
	}
	var names []string
	for _, l := range list.Items {
		if l.Labels[GroupLabel] == g.name {
			names = append(names, l.Name)
		}
	}
	return names
}

var things = func() (all []string) {
	for i := range 50 {
		all = append(all, fmt.Sprintf("github.com/o/r%d", i))
	}
	return all
}()

// owned counts the things of each replica. It fails if a thing has two owners.
func owned(t *testing.T, members ...*member) []int {
	t.Helper()
	counts := make([]int, len(members))
	for _, thing := range things {
		owner := -1
		for i, m := range members {
			if !m.Owns(thing) {
				continue
			}
			if owner >= 0 {
				t.Fatalf("%s belongs to two replicas", thing)
			}
			owner = i
			counts[i]++
		}
	}
	return counts
}

func TestReplicas(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	k, err := kube.New(ctx, t.TempDir(), "../../bin")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(k.Close)
	core, err := kubernetes.NewForConfig(k.Config)
	if err != nil {
		t.Fatal(err)
	}
	in := func(t *testing.T, name string) *group {
		return &group{t: t, leases: core.CoordinationV1().Leases("argocd"), log: &sandbox.Log{}, name: name}
	}
	t.Run("come and go", func(t *testing.T) { comeAndGo(t, in(t, "come")) })
	t.Run("dies", func(t *testing.T) { dies(t, in(t, "dies")) })
	t.Run("halted", func(t *testing.T) { halted(t, in(t, "halted")) })
	t.Run("lease deleted", func(t *testing.T) { leaseDeleted(t, in(t, "deleted")) })
	t.Run("not allowed", func(t *testing.T) { notAllowed(t, k) })
	t.Run("restart", func(t *testing.T) { serverGone(t, k, in(t, "restart")) })
}

// comeAndGo starts and stops replicas, and checks the owners continuously.
func comeAndGo(t *testing.T, g *group) {
	a := g.join("a")
	if n := owned(t, a)[0]; n != len(things) {
		t.Fatalf("the only replica owns %d things at once", n)
	}
	b := g.join("b")
	if n := owned(t, a, b)[1]; n != 0 {
		t.Fatalf("a new replica owns %d things at once", n)
	}
	all := func(members ...*member) func() bool {
		return func() bool {
			sum := 0
			for _, n := range owned(t, members...) {
				if n == 0 {
					return false
				}
				sum += n
			}
			return sum == len(things)
		}
	}
	g.await("two share", all(a, b))
	c := g.join("c")
	g.await("three share", all(a, b, c))
	before := map[string]bool{}
	for _, thing := range things {
		before[thing] = a.Owns(thing)
	}
	b.stop()
	if n := len(g.there()); n != 2 {
		t.Errorf("%d Leases are there after one has left", n)
	}
	g.await("the other two share", all(a, c))
	for _, thing := range things {
		if before[thing] && !a.Owns(thing) {
			t.Errorf("%s has changed hands for no reason", thing)
		}
	}
	a.stop()
	g.await("the last one has all", all(c))
	c.stop()
	if left := g.there(); len(left) != 0 {
		t.Errorf("Leases are left: %v", left)
	}
	if strings.Contains(g.log.String(), "ERROR") {
		t.Errorf("the log:\n%s", g.log)
	}
}

// dies lets a replica crash: another one takes over and deletes its Lease.
func dies(t *testing.T, g *group) {
	dead := New(g.leases, g.name, g.name+"-dead", duration, slog.New(slog.DiscardHandler))
	dead.Join(t.Context())
	b := g.join("b")
	if b.Owns("x") {
		t.Error("a Lease that was renewed just now counts for nothing")
	}
	g.await("the other has all", func() bool { return owned(t, b)[0] == len(things) })
	if dead.Owns("x") {
		t.Error("a replica that has not renewed its Lease still owns things")
	}
	g.await("its Lease is gone", func() bool { return len(g.there()) == 1 })
}

// halted resumes a replica after its Lease has expired, as after a long pause of its
// machine.
func halted(t *testing.T, g *group) {
	a := New(g.leases, g.name, g.name+"-a", duration, slog.New(slog.NewTextHandler(g.log, nil)))
	a.Join(t.Context())
	b := g.join("b")
	halted := &member{Replica: a}
	g.await("the other has all", func() bool { return owned(t, halted, b)[1] == len(things) })
	a.turn(t.Context())
	if n := owned(t, halted, b)[0]; n != 0 {
		t.Errorf("it owns %d things as soon as it goes on", n)
	}
	g.await("both share", func() bool {
		a.turn(t.Context())
		counts := owned(t, halted, b)
		return counts[0] > 0 && counts[0]+counts[1] == len(things)
	})
	if !strings.Contains(g.log.String(), "its Lease has expired") {
		t.Errorf("the log:\n%s", g.log)
	}
}

// leaseDeleted deletes a Lease: its owner joins again.
func leaseDeleted(t *testing.T, g *group) {
	a, b := g.join("a"), g.join("b")
	g.await("both share", func() bool { n := owned(t, a, b); return n[0] > 0 && n[0]+n[1] == len(things) })
	if err := g.leases.Delete(t.Context(), g.name+"-a", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	g.await("both share again", func() bool {
		n := owned(t, a, b)
		return len(g.there()) == 2 && n[0] > 0 && n[0]+n[1] == len(things)
	})
}

// notAllowed checks that the error names the missing rights of an account.
func notAllowed(t *testing.T, k *kube.Cluster) {
	stranger := rest.CopyConfig(k.Config)
	stranger.Impersonate.UserName = "stranger"
	core, err := kubernetes.NewForConfig(stranger)
	if err != nil {
		t.Fatal(err)
	}
	g := &group{t: t, leases: core.CoordinationV1().Leases("argocd"), log: &sandbox.Log{}, name: "x"}
	a := g.join("a")
	if a.Owns("x") {
		t.Error("a replica without a Lease owns something")
	}
	a.stop()
	const remedy = "grant list, create, update and delete on leases.coordination.k8s.io"
	if got := g.log.String(); strings.Count(got, remedy) != 2 || strings.Count(got, "level=ERROR") != 1 {
		t.Errorf("the log:\n%s", got)
	}
}

// serverGone stops the API server for longer than the duration of a Lease.
func serverGone(t *testing.T, k *kube.Cluster, g *group) {
	a := g.join("a")
	k.Halt()
	g.await("nothing is owned", func() bool { return !a.Owns("x") })
	k.Resume()
	g.await("all is owned again", func() bool { return owned(t, a)[0] == len(things) })
}

// TestShares checks that work is divided about evenly.
func TestShares(t *testing.T) {
	identities := []string{"updater-7d4b9c-x2x4z-abcde", "updater-7d4b9c-k8k2p-fghij", "updater-7d4b9c-q5r9w-klmno"}
	counts := map[string]int{}
	for i := range 3000 {
		best := ""
		for _, identity := range identities {
			thing := fmt.Sprintf("github.com/o/r%d", i)
			if best == "" || score(identity, thing) > score(best, thing) {
				best = identity
			}
		}
		counts[best]++
	}
	for _, identity := range identities {
		if counts[identity] < 900 || counts[identity] > 1100 {
			t.Errorf("shares are %v", counts)
		}
	}
}
