// Package engine conducts cycles. One cycle goes from left to right: it
// collects what is asked for and what there is (Applications, tags, files),
// has package plan decide, delivers the plan, and publishes what happened.
//
// Use [Engine.Run] for the service, [Engine.Cycle] for one cycle, and
// [Engine.Plan] for a cycle that writes nothing. [Inbox] takes what asks for a
// cycle; [Scope] says what the cycle is about. [Choose] chooses a tag without an
// Application.
package engine

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/liverty-music/image-writeback/internal/delivery"
	"github.com/liverty-music/image-writeback/internal/forge"
	"github.com/liverty-music/image-writeback/internal/giturl"
	"github.com/liverty-music/image-writeback/internal/gitwrite"
	"github.com/liverty-music/image-writeback/internal/limit"
	"github.com/liverty-music/image-writeback/internal/panics"
	"github.com/liverty-music/image-writeback/internal/permission"
	"github.com/liverty-music/image-writeback/internal/plan"
	"github.com/liverty-music/image-writeback/internal/policy"
	"github.com/liverty-music/image-writeback/internal/registry"
	"github.com/liverty-music/image-writeback/internal/report"
	"github.com/liverty-music/image-writeback/internal/spec"
)

// Source is where Applications come from: a cluster, or files.
type Source interface {
	// List returns the annotated Applications, their neighbours, and the problems
	// of what could not be read. An error means that no cycle is possible.
	List(ctx context.Context) (spec.Listing, error)
}

// Replicas divide the work among several replicas. The zero value is for one
// replica alone.
type Replicas struct {
	// Owns reports whether this replica works on a shard of the Applications
	// now; nil: it works on all.
	Owns func(shard string) bool

	// PassOn sends a line to the other replicas; see [Inbox.Heard].
	PassOn func(line string)

	// Leave gives up all shards; nil: there are no other replicas.
	Leave func()
}

func (r Replicas) owns(shard string) bool { return r.Owns == nil || r.Owns(shard) }

// Engine runs cycles. Source, Registries, Git, Delivery, Settings, Deadline and Log
// are required.
type Engine struct {
	Source     Source
	Registries *registry.Client
	Git        *gitwrite.Service
	Delivery   *delivery.Service
	Settings   plan.Settings
	Deadline   Deadline
	Grace      time.Duration // how long what is being written may go on when the process is to stop
	Templates  report.Templates
	Log        *slog.Logger
	Replicas   Replicas

	// Only limits cycles to the Applications for which it returns true, and those that
	// write to the same repositories, since they may want the same entries and branches;
	// nil: all. What the others deploy is theirs all the same.
	Only func(app spec.Application) bool

	Compare Comparisons

	Events   report.EventCreator                 // nil: no Events are created
	Publish  func(*report.Cycle)                 // called after each cycle; nil: not
	Progress func(stage string, done, total int) // called during a cycle; nil: not

	state state
}

// Comparisons find what lies between two commits of a source repository, which images
// name. The zero value finds nothing.
type Comparisons struct {
	// Ask asks a forge for the commits. It returns what Page does if it gets none.
	Ask func(ctx context.Context, source, from, to string) forge.Comparison
	// Page returns only the page for people, who need access of their own.
	Page func(source, from, to string) forge.Comparison
	// May reports whether the pull requests of an Application may show the commits of
	// a repository, which the operator's login may be able to read and its authors not;
	// nil: they may not.
	May func(app spec.Application, source giturl.Address) bool
}

// between compares two commits for the pull request of an Application.
func (c Comparisons) between(ctx context.Context, app spec.Application, source, from, to string) forge.Comparison {
	switch {
	case c.Ask != nil && c.May != nil && c.May(app, giturl.Parse(source)):
		return c.Ask(ctx, source, from, to)
	case c.Page != nil:
		return c.Page(source, from, to)
	}

	return forge.Comparison{}
}

// state is what is kept between cycles. All of it may be lost.
type state struct {
	log     report.Log
	events  report.Events
	choices choices
	gone    map[string]gone                          // by the keys of choices
	opened  map[string]map[*gitwrite.Repository]bool // by spec.Application.Shard
	health  health

	questions  *errands[string, policy.Choice]
	readings   *errands[*gitwrite.Repository, *files]
	deliveries deliveries
	choosing   *limit.Room            // for policies that choose among many tags
	hosts      map[string]*hostMemory // by registry
	inbox      *Inbox                 // of Run and Once; nil: a cycle waits for everything
}

// stage announces a stage; each call of the function it returns is one step.
func (e *Engine) stage(name string, total int) func() {
	e.state.health.move(time.Now())
	if e.Progress == nil || total == 0 {
		return func() { e.state.health.move(time.Now()) }
	}

	e.Progress(name, 0, total)
	var done atomic.Int64

	return func() {
		e.state.health.move(time.Now())
		e.Progress(name, int(done.Add(1)), total)
	}
}

// Plan returns what a cycle would do. It writes nothing. The error is for
// Applications that cannot be listed; everything else is in the plan.
func (e *Engine) Plan(ctx context.Context) (*plan.Plan, error) {
	c, err := e.plan(ctx, Everything())
	if err != nil {
		return nil, err
	}

	return c.plan, nil
}

// Cycle plans and, unless it is a dry run, delivers. It logs what happened, and
// why nothing happened if that is new. The result is nil if the scope is about
// no Application at all.
func (e *Engine) Cycle(ctx context.Context, scope Scope, dryRun bool) (*report.Cycle, error) {
	start := time.Now()

	// What is done for one Application catches its own panics; this is for the rest.
	c, err := panics.Try(func() (*cycle, error) { return e.plan(ctx, scope) })
	if c == nil || err != nil {
		e.logPanic(err)
		return nil, err
	}

	result := &report.Cycle{
		All: c.scope.everything, About: c.scope.String(), Plan: c.plan,
		Shared: e.Replicas.Owns != nil, OfOthers: c.others,
	}
	if !dryRun {
		result.Outcomes = c.deliver(ctx)
	}
	result.Took = time.Since(start)

	e.publish(ctx, result, dryRun)

	return result, nil
}

// logPanic logs the stack of a panic. Other errors are told by whoever gets them.
func (e *Engine) logPanic(err error) {
	var panicked *panics.Error
	if e.Log != nil && errors.As(err, &panicked) {
		e.Log.Error("panic", "error", err, "stack", panicked.Stack)
	}
}

// publish tells what a cycle did. Events come last: they only tell of what is
// done.
func (e *Engine) publish(ctx context.Context, result *report.Cycle, dryRun bool) {
	e.state.log.Logger = e.Log
	e.state.log.Cycle(ctx, result, dryRun)

	if e.Publish != nil {
		e.Publish(result)
	}

	if !dryRun && e.Events != nil {
		if e.state.events.Creator == nil { // Events of earlier cycles may still be on their way
			e.state.events.Creator, e.state.events.Log = e.Events, e.Log
		}
		e.state.events.Cycle(ctx, result)
	}
}

// cycle is one cycle under way.
type cycle struct {
	*Engine
	scope    Scope
	all      []spec.Application // those of other replicas as well
	others   int                // how many of them other replicas work on
	problems []spec.Problem
	cases    []*plan.Case
	readings []*reading
	plan     *plan.Plan
	texts    map[*plan.PullRequest]*report.Text
}

// plan collects and decides. It returns nil if the scope is about no
// Application at all.
func (e *Engine) plan(ctx context.Context, scope Scope) (*cycle, error) {
	e.applyHeads(&scope)
	if scope.empty() {
		return nil, nil
	}

	if e.state.questions == nil {
		e.state.questions = newErrands[string, policy.Choice]()
		e.state.readings = newErrands[*gitwrite.Repository, *files]()
		e.state.choosing = limit.NewRoom(maxChoosing)
		e.state.questions.panicked, e.state.readings.panicked = e.logPanic, e.logPanic
	}

	c := &cycle{Engine: e, scope: scope}
	if err := c.list(ctx); err != nil {
		return nil, err
	}
	if len(c.cases) == 0 && !scope.everything {
		return nil, nil
	}

	if err := c.collect(ctx); err != nil {
		return nil, err
	}
	c.decide(ctx)

	return c, nil
}

// list finds the Applications that the cycle is about.
func (c *cycle) list(ctx context.Context) error {
	found, err := c.Source.List(ctx)
	if err != nil {
		return err
	}

	found = c.only(found)
	territory := permission.NewTerritory(slices.DeleteFunc(slices.Concat(found.Applications, found.Neighbours),
		func(app spec.Application) bool { return !c.Settings.Permission.Deployed(app) }))
	apps := found.Applications
	c.all = apps
	c.passOn(&c.scope, apps)

	var own []spec.Application
	for _, app := range apps {
		if c.Replicas.owns(app.Shard()) {
			own = append(own, app)
		}
	}
	c.others = len(apps) - len(own)

	for _, app := range c.selected(&c.scope, own) {
		c.cases = append(c.cases, c.newCase(app, territory))
	}
	if c.scope.everything { // only a cycle about everything reports them
		c.problems = found.Problems
	}

	return nil
}

// only makes neighbours of the Applications that the cycle need not look at.
func (c *cycle) only(found spec.Listing) spec.Listing {
	if c.Only == nil {
		return found
	}

	written := map[string]bool{}
	for _, app := range found.Applications {
		if c.Only(app) && app.Target.InGit() {
			written[giturl.Parse(app.Target.Repository).Key()] = true
		}
	}

	kept := spec.Listing{Neighbours: slices.Clone(found.Neighbours)}
	for _, app := range found.Applications {
		if c.Only(app) || app.Target.InGit() && written[giturl.Parse(app.Target.Repository).Key()] {
			kept.Applications = append(kept.Applications, app)
		} else {
			kept.Neighbours = append(kept.Neighbours, app)
		}
	}
	for _, p := range found.Problems {
		namespace, name, _ := strings.Cut(p.Application, "/")
		if p.Application == "" || c.Only(spec.Application{Namespace: namespace, Name: name}) {
			kept.Problems = append(kept.Problems, p)
		}
	}

	return kept
}

// newCase returns the case of an Application, with what the rules refuse before
// anything is asked for it.
func (c *cycle) newCase(app spec.Application, territory *permission.Territory) *plan.Case {
	made, err := panics.Try(func() (*plan.Case, error) { return c.checked(app, territory), nil })
	if err != nil {
		c.logPanic(err)
		made = plan.NewCase(app)
		made.Refused = err
	}

	return made
}

// checked is newCase, which may panic.
func (c *cycle) checked(app spec.Application, territory *permission.Territory) *plan.Case {
	one := plan.NewCase(app)
	one.Territory = territory
	if len(app.Broken()) > 0 {
		return one
	}

	rules := &c.Settings.Permission
	if refusal := rules.Application(app); refusal != nil {
		one.Refused = refusal
		return one
	}
	for i := range one.Images {
		if refusal := rules.Image(app, one.Images[i].Spec); refusal != nil {
			one.Images[i].Err = refusal
		}
	}

	return one
}

// collect asks registries and git repositories at the same time.
func (c *cycle) collect(ctx context.Context) error {
	questions := c.question()
	policies := questions.policies()
	w, others := newWait(len(policies)+len(c.cases)), newWait(len(policies))
	c.putTo(ctx, questions, len(policies), w, others)
	c.open(ctx)
	c.read(ctx, c.readings, w, c.stage("reading repositories", len(c.readings)))

	c.wait(ctx, w, patience)
	others.until(ctx, patience/5, patience) // what they want may matter, and is not what was asked for
	c.note(questions)
	c.place(c.readings)
	if c.scope.everything { // it forgets what nobody asks about any more
		c.state.questions.keep(func(key string) bool { return policies[key] })
		c.state.readings.keep(func(r *gitwrite.Repository) bool {
			return slices.ContainsFunc(c.readings, func(one *reading) bool { return one.repository == r })
		})
	}

	return ctx.Err() // half a plan is none
}

// wait waits for what was begun. If somebody resumes what is late, it does not wait for
// the slowest.
func (c *cycle) wait(ctx context.Context, w *wait, quiet time.Duration) {
	if c.state.inbox == nil {
		w.until(ctx, 0, 0)
	} else {
		w.until(ctx, quiet, 2*patience)
	}
}

// resume asks for a cycle about an image, or the address of a repository, whose errand
// was late and has ended.
func (e *Engine) resume(about string) {
	if e.state.inbox != nil {
		e.state.inbox.put(func(s *Scope) { s.addLate(about) })
	}
}

// decide makes the plan. Branches that are named after the changes are known
// only then, and are read before the final decision.
func (c *cycle) decide(ctx context.Context) {
	if named := plan.NameBranches(c.cases, c.Settings); len(named) > 0 {
		c.readAgain(ctx, named)
	}

	c.plan = plan.Make(c.cases, c.Settings)
	for _, p := range c.problems {
		c.plan.Problems = append(c.plan.Problems, located(p))
	}
	c.title(c.plan.Proposals)
}

// located is a problem with the place where it was found.
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
