package reconcile

import (
	"context"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/liverty-music/image-writeback/internal/forge"
	"github.com/liverty-music/image-writeback/internal/gitwrite"
	"github.com/liverty-music/image-writeback/internal/kube"
	"github.com/liverty-music/image-writeback/internal/registry"
	"github.com/liverty-music/image-writeback/internal/spec"
)

// Source is where Applications come from: a cluster, or files.
type Source interface {
	// List returns the annotated Applications, and the problems of what could
	// not be read. An error means that there is nothing to go by.
	List(ctx context.Context) ([]spec.Application, []spec.Problem, error)
}

// Applications are where the write-back-method argocd writes to: a cluster.
type Applications interface {
	SetOverrides(ctx context.Context, namespace, name string, source int, edit func(old []byte) (content []byte, err error)) error
	// CreateEvent creates a Kubernetes Event about an Application.
	CreateEvent(ctx context.Context, event kube.Event) error
}

// Engine runs cycles. Set all fields but Applications, Compare, Owns, PassOn, Silent, Publish and Progress.
type Engine struct {
	Source Source
	// Applications is nil where Applications come from files.
	Applications Applications
	Registries   *registry.Client
	// Compare tells what lies between two commits of a repository, by its URL,
	// as far as it is known; nil: nobody knows.
	Compare  func(ctx context.Context, source, from, to string) forge.Comparison
	Git      *gitwrite.Service
	Settings Settings
	Log      *slog.Logger
	// Owns tells whether a shard of the Applications is this replica's to work
	// on, now; nil: all are. The others are left to other replicas.
	Owns func(shard string) bool
	// PassOn has other replicas told of events that are theirs; nil: there are
	// none. See Inbox.Heard.
	PassOn func(line string)
	// Silent leaves no Events on Applications.
	Silent bool
	// Publish is given each cycle that has ended; nil: nobody is.
	Publish func(*Result)
	// Progress is told how far a stage is; nil: nobody is.
	Progress func(stage string, done, total int)

	seen     sayings // what was logged last
	failures sayings // what was told last on Applications
	teller   teller
	memory   memory
	opened   map[string]map[*gitwrite.Repository]bool // by giturl.Address.Key
	health   health
}

// stage announces a stage; each call of the function it returns is one step.
func (e *Engine) stage(name string, total int) func() {
	if e.Progress == nil || total == 0 {
		return func() {}
	}
	e.Progress(name, 0, total)
	var done atomic.Int64
	return func() { e.Progress(name, int(done.Add(1)), total) }
}

// Plan finds out what a cycle would do. It writes nothing. The error is for
// Applications that cannot be listed; everything else is in the plan.
func (e *Engine) Plan(ctx context.Context) (*Plan, error) { return e.plan(ctx, Everything()) }

// plan is nil where a scope is about no Application at all.
func (e *Engine) plan(ctx context.Context, scope Scope) (*Plan, error) {
	e.heed(&scope)
	if scope.empty() {
		return nil, nil
	}
	apps, problems, err := e.Source.List(ctx)
	if err != nil {
		return nil, err
	}
	seen := apps
	if e.Owns != nil {
		seen = slices.Clone(apps)
	}
	e.passOn(&scope, apps)
	apps, others := e.owned(apps)
	if apps = e.within(&scope, apps); len(apps) == 0 && !scope.everything {
		return nil, nil
	}
	var answers [][]answer
	var places []place
	var readings []*reading
	var both sync.WaitGroup
	both.Go(func() { answers = e.resolve(ctx, apps, &scope) })
	both.Go(func() { places, readings = e.locate(ctx, apps) })
	both.Wait()
	if err := ctx.Err(); err != nil {
		return nil, err // interrupted: half a plan is none
	}
	plan := &Plan{Applications: make([]Application, len(apps)), Files: []FileDiff{}, others: others}
	if !scope.everything {
		problems = nil // a cycle about everything tells them
	}
	for _, p := range problems {
		plan.Problems = append(plan.Problems, located(p))
	}
	works := make([]*gitwrite.Work, len(apps))
	diffs := make([][]FileDiff, len(apps))
	refused := map[int]map[int]string{}
	decideAll := func(indices []int) {
		for _, i := range indices {
			plan.Applications[i], works[i], diffs[i] = decide(apps[i], answers[i], places[i], e.Settings, refused[i])
		}
	}
	every := make([]int, len(apps))
	for i := range every {
		every[i] = i
	}
	decideAll(every)
	if named := nameBranches(apps, plan.Applications, works); len(named) > 0 {
		e.locateAgain(ctx, apps, named, places, readings)
		decideAll(named)
	}
	if refused = conflicts(plan.Applications); len(refused) > 0 {
		decideAll(slices.Sorted(maps.Keys(refused)))
	}
	hold(plan, readings, places, works)
	e.pullRequests(plan, readings, works, diffs, apps, seen)
	for i, app := range apps {
		if works[i] == nil {
			continue
		}
		if !works[i].Proposed {
			plan.Files = append(plan.Files, diffs[i]...)
		}
		if app.Target.Method == spec.MethodArgoCD {
			plan.patches = append(plan.patches, applicationWork{app.Shard(), app.Namespace, app.Name, app.Target.Source, *works[i]})
		}
	}
	for _, r := range readings {
		work := repositoryWork{shard: apps[r.apps[0]].Shard(), repository: r.repository, snapshot: r.snapshot}
		for _, i := range r.apps {
			if works[i] != nil {
				work.works = append(work.works, *works[i])
			}
		}
		if len(work.works) > 0 {
			plan.works = append(plan.works, work)
		}
	}
	return plan, nil
}

// owned leaves out the Applications of other replicas, and counts them.
func (e *Engine) owned(apps []spec.Application) (ours []spec.Application, others int) {
	all := len(apps)
	ours = slices.DeleteFunc(apps, func(a spec.Application) bool { return !e.owns(a.Shard()) })
	return ours, all - len(ours)
}

func (e *Engine) owns(shard string) bool { return e.Owns == nil || e.Owns(shard) }

// located is a problem with the place that it was found at.
func located(p spec.Problem) string {
	text := p.Error()
	if p.Application != "" {
		text = p.Application + ": " + text
	}
	if p.Where != "" {
		text = p.Where + ": " + text
	}
	return text
}

// Apply writes a plan. Once begun it is not interrupted half-way: a push that
// is under way is finished, within a time limit.
func (e *Engine) Apply(ctx context.Context, plan *Plan) []gitwrite.Outcome {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), applyTimeout)
	defer cancel()
	outcomes := make([][]gitwrite.Outcome, len(plan.works))
	progress := e.stage("writing", len(plan.works))
	var group sync.WaitGroup
	for i, w := range plan.works {
		group.Go(func() {
			defer progress()
			outcomes[i] = w.repository.Write(ctx, w.snapshot, w.works, func() bool { return e.owns(w.shard) })
		})
	}
	all := e.patch(ctx, plan.patches)
	group.Wait()
	for _, o := range outcomes {
		all = append(all, o...)
	}
	return all
}

const applyTimeout = 10 * time.Minute

// Result is one cycle that has ended.
type Result struct {
	// Scope is what it was about.
	Scope    Scope
	Plan     *Plan
	Outcomes []gitwrite.Outcome
	Took     time.Duration
}

// Whole tells whether the cycle was about all Applications.
func (r *Result) Whole() bool { return r.Scope.everything }

// Failed tells whether anything went wrong; the rest was still done.
func (r *Result) Failed() bool {
	for _, o := range r.Outcomes {
		if o.Err != nil {
			return true
		}
	}
	return r.Plan.Failed()
}

// Cycle plans and, unless dryRun, applies. It logs what happened, and why
// nothing happened where that is new. The result is nil where the scope is about
// no Application at all.
func (e *Engine) Cycle(ctx context.Context, scope Scope, dryRun bool) (*Result, error) {
	start := time.Now()
	plan, err := e.plan(ctx, scope)
	if plan == nil || err != nil {
		return nil, err
	}
	result := &Result{Scope: scope, Plan: plan}
	if !dryRun {
		result.Outcomes = e.Apply(ctx, plan)
	}
	result.Took = time.Since(start)
	e.report(ctx, result, dryRun)
	if e.Publish != nil {
		e.Publish(result)
	}
	if !dryRun { // last, since they only tell of what is done
		e.leaveEvents(ctx, result)
	}
	return result, nil
}
