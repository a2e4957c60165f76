package reconcile

import (
	"context"
	"log/slog"
	"strings"
	"time"
)

// report logs a cycle for the person who runs the service: each commit and
// pull request, each failure, and the reason why nothing happened when it is
// not the one of the cycle before.
func (e *Engine) report(ctx context.Context, result *Result, dryRun bool) {
	seen := map[string]string{}
	once := func(level slog.Level, key, message string, attrs ...any) {
		seen[key] = message
		for _, a := range attrs {
			if s, ok := a.(string); ok {
				seen[key] += " " + s
			}
		}
		if e.seen[key] != seen[key] {
			e.Log.Log(ctx, level, message, attrs...)
		}
	}
	for _, problem := range result.Plan.Problems {
		once(slog.LevelError, problem, problem)
	}
	for _, app := range result.Plan.Applications {
		for _, problem := range app.Unsaid() {
			once(slog.LevelWarn, app.String()+" "+problem, problem, "application", app.String())
		}
		for _, img := range app.Images {
			key := app.String() + " " + img.Alias + " " + img.Image
			attrs := []any{"application", app.String(), "image", img.Image, "current", img.Current, "candidate", img.Candidate, "reason", img.Reason}
			switch img.Action {
			case ActionError:
				once(slog.LevelError, key, "image cannot be updated", "application", app.String(), "image", img.Image, "reason", img.Reason)
			case ActionSkip:
				once(slog.LevelInfo, key, "image is skipped", attrs...)
			case ActionUpToDate:
				once(slog.LevelInfo, key, "image is up to date", attrs...)
			case ActionUpdate:
				if dryRun {
					once(slog.LevelInfo, key, "image would be updated", append(attrs, "file", img.File, "branch", img.Branch, "delivery", img.Delivery)...)
				}
			}
		}
	}
	e.reportOutcomes(result, once)
	e.seen = seen
	commits := 0
	failed := result.Plan.Count(ActionError)
	for _, o := range result.Outcomes {
		if o.Commit != "" {
			commits++
		}
		if o.Err != nil {
			failed++
		}
	}
	attrs := []any{"applications", len(result.Plan.Applications)}
	if e.Owns != nil {
		attrs = append(attrs, "ofOtherReplicas", result.Plan.others)
	}
	e.Log.Info("cycle done", append(attrs, "commits", commits, "failed", failed,
		"upToDate", result.Plan.Count(ActionUpToDate), "skipped", result.Plan.Count(ActionSkip), "took", result.Took.Round(time.Millisecond).String())...)
}

func (e *Engine) reportOutcomes(result *Result, once func(level slog.Level, key, message string, attrs ...any)) {
	for _, o := range result.Outcomes {
		key := o.Application + " outcome"
		var changes []string
		for _, c := range o.Changes {
			changes = append(changes, c.Alias+" "+short(c.Before())+" → "+short(c.New))
		}
		what := strings.Join(changes, ", ")
		if o.ByPush != "" {
			once(slog.LevelInfo, key+" by push", o.ByPush, "application", o.Application)
		}
		switch {
		case o.Err != nil:
			once(slog.LevelError, key, "writing failed", "application", o.Application, "error", o.Err.Error())
		case o.Note != "":
			once(slog.LevelInfo, key, o.Note, "application", o.Application)
		case o.PullRequestURL != "" && o.Opened:
			e.Log.Info("pull request opened", "application", o.Application, "changes", what, "url", o.PullRequestURL)
		case o.PullRequestURL != "" && o.Commit != "":
			e.Log.Info("pull request updated", "application", o.Application, "changes", what, "url", o.PullRequestURL)
		case o.PullRequestURL != "":
			once(slog.LevelInfo, key, "pull request waits to be merged", "application", o.Application, "url", o.PullRequestURL)
		case o.Patched:
			e.Log.Info("Application changed", "application", o.Application, "changes", what)
		case o.Commit != "":
			e.Log.Info("committed", "application", o.Application, "changes", what, "commit", o.Commit)
		}
	}
}
