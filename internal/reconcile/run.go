package reconcile

import (
	"context"
	"log/slog"
	"time"
)

// Run runs a cycle at once, one every interval about everything, and one
// whenever inbox asks for it, about what it asks for, until ctx ends. A cycle
// that fails is tried again sooner than that: as a whole, or for what an event
// had named.
func (e *Engine) Run(ctx context.Context, interval time.Duration, inbox *Inbox, dryRun bool) {
	defer e.Flush()
	due, again := time.NewTimer(0), time.NewTimer(0)
	again.Stop()
	defer due.Stop()
	defer again.Stop()
	var failed Scope // what events named and could not be done
	pause, patience := firstPause, firstPause
	for {
		scope := Scope{}
		select {
		case <-ctx.Done():
			return
		case <-inbox.ready:
		case <-again.C:
			scope, failed = failed, Scope{}
		case <-due.C:
			scope = Everything()
		}
		if scope.add(inbox.take()); scope.empty() {
			continue
		}
		e.health.begin(time.Now())
		result, err := e.Cycle(ctx, scope, dryRun)
		before := e.health.end(err)
		switch {
		case err != nil && ctx.Err() == nil:
			next := min(interval, pause)
			pause = min(2*pause, interval)
			level := slog.LevelError
			if before != nil && before.Error() == err.Error() {
				level = slog.LevelDebug // it has been said
			}
			e.Log.Log(ctx, level, "the cycle failed; it is tried again", "error", err, "in", next.String())
			due.Reset(next)
		case scope.everything:
			pause, patience, failed = firstPause, firstPause, Scope{}
			again.Stop()
			due.Reset(interval)
		case result != nil && result.Failed():
			failed.add(scope.retry())
			again.Reset(patience)
			patience = min(2*patience, interval)
		case failed.empty():
			patience = firstPause
		}
	}
}

// firstPause is how soon a cycle that failed is tried again at first; then it
// doubles up to the interval.
const firstPause = 5 * time.Second
