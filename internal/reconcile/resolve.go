package reconcile

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/liverty-music/image-writeback/internal/registry"
	"github.com/liverty-music/image-writeback/internal/spec"
)

// question is one image repository as seen with one set of credentials, and
// everyone who asks for it.
type question struct {
	repository *registry.Repository
	asks       []ask
}

type ask struct {
	update spec.Image
	to     *answer
	policy string // policyKey of update
}

// resolve asks registries for all updates, each repository once, and has the
// policies decide. answers are parallel to apps and their updates. What was
// chosen before counts for images that the scope does not name.
func (e *Engine) resolve(ctx context.Context, apps []spec.Application, scope *Scope) [][]answer {
	answers := make([][]answer, len(apps))
	questions := map[string]*question{}
	var order []string
	for i, app := range apps {
		answers[i] = make([]answer, len(app.Images))
		for j, u := range app.Images {
			if len(app.Broken()) > 0 || len(u.Problems) > 0 || u.NotLive != "" {
				continue // the plan says why; nobody needs to be asked
			}
			key, policy := imageName(u.Ref)+" "+u.Credentials, policyKey(u)
			named := len(scope.images) > 0 && scope.names(e.Registries.Names(u.Ref))
			if !scope.everything && !named {
				if before, ok := e.memory.recall(key + policy); ok {
					answers[i][j] = before
					continue
				}
			}
			q := questions[key]
			if q == nil {
				repository, err := e.Registries.Repository(u.Ref, u.Credentials)
				if err != nil {
					answers[i][j].err = err
					continue
				}
				if named {
					repository.Recheck() // an image was pushed to it
				}
				q = &question{repository: repository}
				questions[key] = q
				order = append(order, key)
			}
			q.asks = append(q.asks, ask{u, &answers[i][j], policy})
		}
	}
	progress := e.stage("asking registries", len(order))
	hosts := map[string]*gate{}
	var group sync.WaitGroup
	for _, key := range order {
		q := questions[key]
		host := hosts[q.repository.Host()]
		if host == nil {
			host = newGate(q.repository.Concurrency())
			hosts[q.repository.Host()] = host
		}
		group.Go(func() {
			defer progress()
			host.pass(ctx, q)
		})
	}
	group.Wait()
	if scope.everything {
		e.memory = memory{} // what nobody asks for any more is forgotten
	}
	for _, key := range order {
		for _, a := range questions[key].asks {
			e.memory.keep(key+a.policy, *a.to)
		}
	}
	return answers
}

// gate lets so many repositories of a registry through at a time, and fewer until
// it has answered for the first time. Once the
// registry has not answered at all, it lets none through any more in this
// cycle, and once it has used up a repository's tries with 429 or 5xx, nobody
// else's requests are repeated: a registry that is dying must not cost its
// limits for each of its repositories.
type gate struct {
	slots      chan struct{}
	reserved   int // slots that are taken until the registry answers
	mu         sync.Mutex
	dead       error
	struggling bool
}

// firstAtOnce is how many are let through before a registry has answered.
const firstAtOnce = 16

func newGate(atOnce int) *gate {
	g := &gate{slots: make(chan struct{}, atOnce), reserved: max(0, atOnce-firstAtOnce)}
	for range g.reserved {
		g.slots <- struct{}{}
	}
	return g
}

// open lets as many through as the registry's limit allows.
func (g *gate) open() {
	g.mu.Lock()
	defer g.mu.Unlock()
	for ; g.reserved > 0; g.reserved-- {
		<-g.slots
	}
}

func (g *gate) pass(ctx context.Context, q *question) {
	g.slots <- struct{}{}
	defer func() { <-g.slots }()
	g.mu.Lock()
	dead, struggling := g.dead, g.struggling
	g.mu.Unlock()
	if dead != nil {
		q.fail(fmt.Errorf("%s has not answered in this cycle, for another image; it is asked again in the next: %w", q.repository.Host(), dead))
		return
	}
	if struggling {
		q.repository.StopRetrying()
	}
	ctx, end := q.repository.StartClock(ctx)
	defer end()
	q.answer(ctx)
	if q.asks[0].to.err == nil {
		g.open()
	}
	var failed *registry.Error
	if errors.As(q.asks[0].to.err, &failed) {
		g.mu.Lock()
		defer g.mu.Unlock()
		g.struggling = g.struggling || failed.Overloaded
		if failed.NoAnswer {
			g.dead = failed.Err
		}
	}
}

func (q *question) fail(err error) {
	for _, a := range q.asks {
		a.to.err = err
	}
}

// answer lists the repository and decides for everyone who asked. The same
// policy is decided once.
func (q *question) answer(ctx context.Context) {
	listing, err := q.repository.List(ctx)
	if err != nil {
		q.fail(err)
		return
	}
	decided := map[string]answer{}
	for _, a := range q.asks {
		found, ok := decided[a.policy]
		if !ok {
			found.choice, found.err = choose(ctx, q.repository, listing, a.update.Policy, a.update.Platforms)
			decided[a.policy] = found
		}
		*a.to = found
	}
}

func policyKey(u spec.Image) string {
	allow := ""
	if u.Policy.Allow != nil {
		allow = u.Policy.Allow.String()
	}
	return fmt.Sprintf("\n%s\n%s\n%s\n%q\n%q", u.Policy.Strategy, u.Policy.Constraint, allow, u.Policy.Ignore, u.Platforms)
}
