package reconcile

import (
	"context"
	"log/slog"
	"maps"
	"strings"
	"time"
)

// report logs a cycle for the person who runs the service: each commit and
// pull request, each failure, and the reason why nothing happened when it is
// not the one of the cycle before.
func (e *Engine) report(ctx context.Context, result *Result, dryRun bool) {
	seen := sayings{}
	once := func(level slog.Level, application, about, message string, attrs ...any) {
		said := message
		for _, a := range attrs {
			if s, ok := a.(string); ok {
				said += " " + s
			}
		}
		seen.add(application, about, said)
		if e.seen[application][about] != said {
			e.Log.Log(ctx, level, message, attrs...)
		}
	}
	for _, problem := range result.Plan.Problems {
		once(slog.LevelError, "", problem, problem)
	}
	for _, app := range result.Plan.Applications {
		for _, problem := range app.Unsaid() {
			once(slog.LevelWarn, app.String(), problem, problem, "application", app.String())
		}
		for _, img := range app.Images {
			name, about := app.String(), img.Alias+" "+img.Image
			attrs := []any{"application", app.String(), "image", img.Image, "current", img.Current, "candidate", img.Candidate, "reason", img.Reason}
			switch img.Action {
			case ActionError:
				once(slog.LevelError, name, about, "image cannot be updated", "application", app.String(), "image", img.Image, "reason", img.Reason)
			case ActionSkip:
				once(slog.LevelInfo, name, about, "image is skipped", attrs...)
			case ActionUpToDate:
				once(slog.LevelInfo, name, about, "image is up to date", attrs...)
			case ActionUpdate:
				if dryRun {
					once(slog.LevelInfo, name, about, "image would be updated", append(attrs, "file", img.File, "branch", img.Branch, "delivery", img.Delivery)...)
				}
			}
		}
	}
	e.reportOutcomes(result, once)
	e.seen = e.seen.after(seen, result)
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
	var attrs []any
	if !result.Whole() {
		attrs = []any{"about", result.Scope.String()}
	}
	attrs = append(attrs, "applications", len(result.Plan.Applications))
	if e.Owns != nil {
		attrs = append(attrs, "ofOtherReplicas", result.Plan.others)
	}
	e.Log.Info("cycle done", append(attrs, "commits", commits, "failed", failed,
		"upToDate", result.Plan.Count(ActionUpToDate), "skipped", result.Plan.Count(ActionSkip), "took", result.Took.Round(time.Millisecond).String())...)
}

func (e *Engine) reportOutcomes(result *Result, once func(level slog.Level, application, about, message string, attrs ...any)) {
	for _, o := range result.Outcomes {
		var changes []string
		for _, c := range o.Changes {
			changes = append(changes, c.Alias+" "+short(c.Before())+" → "+short(c.New.String()))
		}
		what := strings.Join(changes, ", ")
		if o.ByPush != "" {
			once(slog.LevelInfo, o.Application, "by push", o.ByPush, "application", o.Application)
		}
		switch {
		case o.Err != nil:
			once(slog.LevelError, o.Application, "outcome", "writing failed", "application", o.Application, "error", o.Err.Error())
		case o.Note != "":
			once(slog.LevelInfo, o.Application, "outcome", o.Note, "application", o.Application)
		case o.PullRequestURL != "" && o.Opened:
			e.Log.Info("pull request opened", "application", o.Application, "changes", what, "url", o.PullRequestURL)
		case o.PullRequestURL != "" && o.Commit != "":
			e.Log.Info("pull request updated", "application", o.Application, "changes", what, "url", o.PullRequestURL)
		case o.PullRequestURL != "":
			once(slog.LevelInfo, o.Application, "outcome", "pull request waits to be merged", "application", o.Application, "url", o.PullRequestURL)
		case o.Patched:
			e.Log.Info("Application changed", "application", o.Application, "changes", what)
		case o.Commit != "":
			e.Log.Info("committed", "application", o.Application, "changes", what, "commit", o.Commit)
		}
	}
}

// sayings are what was said last, by Application and what about it; what is of
// none is under "".
type sayings map[string]map[string]string

func (s sayings) add(application, about, what string) {
	if s[application] == nil {
		s[application] = map[string]string{}
	}
	s[application][about] = what
}

// after is what was said last once a cycle has said more: one that is about
// some Applications changes nothing for the others.
func (s sayings) after(said sayings, result *Result) sayings {
	if result.Whole() || s == nil {
		return said
	}
	for _, app := range result.Plan.Applications {
		delete(s, app.String())
	}
	maps.Copy(s, said)
	return s
}
