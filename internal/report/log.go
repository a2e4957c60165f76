package report

import (
	"context"
	"log/slog"
	"strings"
	"time"

	"github.com/liverty-music/image-writeback/internal/delivery"
	"github.com/liverty-music/image-writeback/internal/plan"
)

// Log logs cycles for the person who runs the service: each commit and pull
// request, each failure, and the reason why nothing happened if that has
// changed since the cycle before. Set Logger; it is not safe for concurrent use.
type Log struct {
	Logger *slog.Logger

	before statements
}

// Cycle logs one cycle. A dry run logs what would be written.
func (l *Log) Cycle(ctx context.Context, c *Cycle, dryRun bool) {
	w := &logging{Log: l, ctx: ctx, now: statements{}}

	for _, problem := range c.Plan.Problems {
		w.once(slog.LevelError, "", problem, problem)
	}
	for _, app := range c.Plan.Applications {
		w.application(&app, dryRun)
	}
	for _, o := range c.Outcomes {
		w.outcome(o)
	}
	l.before = l.before.after(w.now, c)

	l.Logger.Info("cycle done", summary(c)...)
}

// summary returns the attributes of the line that ends a cycle.
func summary(c *Cycle) []any {
	commits, failed := 0, c.Plan.Count(plan.ActionError)
	for _, o := range c.Outcomes {
		if o.Commit != "" {
			commits++
		}
		if o.Kind == delivery.Failed {
			failed++
		}
	}

	var attrs []any
	if !c.All {
		attrs = []any{"about", c.About}
	}
	attrs = append(attrs, "applications", len(c.Plan.Applications))
	if c.Shared {
		attrs = append(attrs, "ofOtherReplicas", c.OfOthers)
	}

	return append(attrs, "commits", commits, "failed", failed,
		"upToDate", c.Plan.Count(plan.ActionUpToDate), "skipped", c.Plan.Count(plan.ActionSkip),
		"took", c.Took.Round(time.Millisecond).String())
}

// logging is the log of one cycle under way.
type logging struct {
	*Log
	ctx context.Context //nolint:containedctx // it lives as long as one call of Cycle
	now statements
}

// once logs a message unless it is what was logged last about a subject.
func (w *logging) once(level slog.Level, application, subject, message string, attrs ...any) {
	text := message
	for _, a := range attrs {
		if s, ok := a.(string); ok {
			text += " " + s
		}
	}

	w.now.add(application, subject, text)
	if w.before[application][subject] != text {
		w.Logger.Log(w.ctx, level, message, attrs...)
	}
}

func (w *logging) application(app *plan.Application, dryRun bool) {
	for _, problem := range app.Unsaid() {
		w.once(slog.LevelWarn, app.String(), problem, problem, "application", app.String())
	}
	for _, img := range app.Images {
		w.image(app.String(), &img, dryRun)
	}
}

func (w *logging) image(application string, img *plan.Image, dryRun bool) {
	subject := img.Alias + " " + img.Image
	attrs := []any{
		"application", application, "image", img.Image, "current", img.Current, "candidate", img.Candidate,
		"reason", img.Reason,
	}

	switch img.Action {
	case plan.ActionError:
		w.once(slog.LevelError, application, subject, "image cannot be updated",
			"application", application, "image", img.Image, "reason", img.Reason)
	case plan.ActionSkip:
		w.once(slog.LevelInfo, application, subject, "image is skipped", attrs...)
	case plan.ActionUpToDate:
		w.once(slog.LevelInfo, application, subject, "image is up to date", attrs...)
	case plan.ActionUpdate:
		if dryRun {
			w.once(slog.LevelInfo, application, subject, "image would be updated",
				append(attrs, "file", img.File, "branch", img.Branch, "delivery", img.Delivery)...)
		}
	}
}

func (w *logging) outcome(o delivery.Outcome) {
	var changes []string
	for _, c := range o.Changes {
		changes = append(changes, changeText(c))
	}
	what := strings.Join(changes, ", ")

	if o.ByPush != "" {
		w.once(slog.LevelInfo, o.Application, "by push", o.ByPush, "application", o.Application)
	}

	switch o.Kind {
	case delivery.Unchanged:
	case delivery.Failed:
		w.once(slog.LevelError, o.Application, "outcome", "writing failed",
			"application", o.Application, "error", o.Err.Error())
	case delivery.Skipped:
		w.once(slog.LevelInfo, o.Application, "outcome", o.Note, "application", o.Application)
	case delivery.Proposed:
		message := "pull request updated"
		if o.Opened {
			message = "pull request opened"
		}
		w.Logger.Info(message, "application", o.Application, "changes", what, "url", o.PullRequestURL)
	case delivery.Waiting:
		w.once(slog.LevelInfo, o.Application, "outcome", "pull request waits to be merged",
			"application", o.Application, "url", o.PullRequestURL)
	case delivery.Updated:
		w.Logger.Info("Application changed", "application", o.Application, "changes", what)
	case delivery.Committed:
		w.Logger.Info("committed", "application", o.Application, "changes", what, "commit", o.Commit)
	}
}
