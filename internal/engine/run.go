package engine

import (
	"context"
	"log/slog"
	"time"

	"github.com/liverty-music/image-writeback/internal/plan"
	"github.com/liverty-music/image-writeback/internal/report"
)

// firstPause is how soon a cycle that failed is tried again at first. The pause
// then doubles, up to the interval.
const firstPause = 5 * time.Second

// Run runs a cycle at once, one every interval about everything, and one
// whenever inbox asks for it, until ctx ends. A cycle that fails is tried again
// sooner than that: as a whole, or for what a trigger named.
func (e *Engine) Run(ctx context.Context, interval time.Duration, inbox *Inbox, dryRun bool) {
	defer func() { _ = e.finish(ctx) }()
	e.state.inbox = inbox

	l := newLoop(e, interval)
	defer l.stop()

	for {
		scope, ok := l.next(ctx, inbox)
		if !ok {
			return
		}
		if scope.empty() {
			continue
		}

		e.state.health.begin(time.Now())
		result, err := e.Cycle(ctx, scope, dryRun)
		before := e.state.health.end(err)

		if err != nil {
			if ctx.Err() == nil {
				l.failed(ctx, err, before)
			}
			continue
		}
		l.ended(scope, result)
	}
}

// finish waits for the deliveries that are under way, but if ctx has ended no longer than
// Grace, tells of them, and waits until the Events of all cycles are created, or for as
// long as is worth waiting. It reports whether one of these deliveries failed.
func (e *Engine) finish(ctx context.Context) (failed bool) {
	if ctx.Err() != nil && e.Replicas.Leave != nil {
		e.Replicas.Leave() // others take over at once
	}
	for _, target := range e.state.deliveries.drain(ctx, e.Grace) {
		e.Log.Warn("stopped while this was being written; the next start finds out what has become of it",
			"target", target)
	}
	result := &report.Cycle{Plan: &plan.Plan{}, Outcomes: e.state.deliveries.take()}
	if len(result.Outcomes) > 0 {
		e.publish(context.WithoutCancel(ctx), result, false)
	}
	e.state.events.Flush()

	return result.Failed()
}

// Once runs a cycle about everything, and further ones about what was late until
// nothing is. It reports whether an image or a repository failed; the error is for a
// cycle that could not be run at all.
func (e *Engine) Once(ctx context.Context, dryRun bool) (failed bool, err error) {
	defer func() { failed = e.finish(ctx) || failed }()
	inbox := NewInbox()
	e.state.inbox = inbox

	for scope := Everything(); ; scope = inbox.drain() {
		result, err := e.Cycle(ctx, scope, dryRun)
		if err != nil {
			return failed, err
		}
		failed = failed || result != nil && result.Failed()

		underway := e.state.questions.underway() || e.state.readings.underway() || e.state.deliveries.underway()
		if !underway && inbox.empty() {
			return failed, nil
		}
		select {
		case <-inbox.ready:
		case <-ctx.Done():
			return failed, ctx.Err()
		}
	}
}

// loop decides when the next cycle runs.
type loop struct {
	engine   *Engine
	interval time.Duration

	due   *time.Timer   // the next cycle about everything
	pause time.Duration // before a cycle that failed as a whole is tried again

	retry      *time.Timer // the next try of unfinished
	retryPause time.Duration
	unfinished Scope // what triggers named and could not be done
}

func newLoop(e *Engine, interval time.Duration) *loop {
	l := &loop{
		engine: e, interval: interval,
		due: time.NewTimer(0), pause: firstPause,
		retry: time.NewTimer(time.Hour), retryPause: firstPause,
	}
	l.retry.Stop()

	return l
}

func (l *loop) stop() {
	l.due.Stop()
	l.retry.Stop()
}

// next waits for what asks for a cycle. It returns false once ctx has ended.
func (l *loop) next(ctx context.Context, inbox *Inbox) (scope Scope, ok bool) {
	select {
	case <-ctx.Done():
		return scope, false
	case <-inbox.ready:
	case <-l.retry.C:
		scope, l.unfinished = l.unfinished, Scope{}
	case <-l.due.C:
		scope = Everything()
	}
	scope.add(inbox.drain())

	return scope, true
}

// failed plans the next try after a cycle that failed as a whole. before is how
// the cycle before it failed.
func (l *loop) failed(ctx context.Context, err, before error) {
	next := min(l.interval, l.pause)
	l.pause = min(2*l.pause, l.interval)

	level := slog.LevelError
	if before != nil && before.Error() == err.Error() {
		level = slog.LevelDebug // logged before
	}
	l.engine.Log.Log(ctx, level, "the cycle failed; it is tried again", "error", err, "in", next.String())

	l.due.Reset(next)
}

// ended plans what follows a cycle. The result is nil if the scope was about no
// Application.
func (l *loop) ended(scope Scope, result *report.Cycle) {
	switch {
	case scope.everything:
		l.pause, l.retryPause, l.unfinished = firstPause, firstPause, Scope{}
		l.retry.Stop()
		l.due.Reset(l.interval)
	case result != nil && result.Failed():
		l.unfinished.add(scope.again())
		l.retry.Reset(l.retryPause)
		l.retryPause = min(2*l.retryPause, l.interval)
	case l.unfinished.empty():
		l.retryPause = firstPause
	}
}
