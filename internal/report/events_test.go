package report

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/liverty-music/image-writeback/internal/delivery"
	"github.com/liverty-music/image-writeback/internal/image"
	"github.com/liverty-music/image-writeback/internal/kube"
	"github.com/liverty-music/image-writeback/internal/plan"
)

// TestEvents holds what is told of cycles: a failure once, until it was gone.
func TestEvents(t *testing.T) {
	planned := func(reasons ...string) *plan.Plan {
		p := &plan.Plan{Applications: []plan.Application{{Namespace: "argocd", Name: "a"}}}
		for i, reason := range reasons {
			img := plan.Image{Alias: fmt.Sprintf("i%d", i), Action: plan.ActionUpToDate}
			if reason != "" {
				img.Action, img.Reason = plan.ActionError, reason
			}
			p.Applications[0].Images = append(p.Applications[0].Images, img)
		}
		return p
	}
	change := image.Change{Image: "ghcr.io/o/app", Old: image.ParseVersion("1"), New: image.ParseVersion("2")}
	written := delivery.Outcome{
		Application: "argocd/a", Kind: delivery.Committed, Commit: "c", Changes: []image.Change{change},
	}
	failed := delivery.Outcome{Application: "argocd/a", Kind: delivery.Failed, Err: errors.New("no push")}
	skipped := delivery.Outcome{Application: "argocd/a", Kind: delivery.Skipped, Note: "nothing"}
	after := func(o delivery.Outcome) Cycle {
		return Cycle{All: true, Plan: planned(), Outcomes: []delivery.Outcome{o}}
	}
	opened := written
	opened.Kind = delivery.Proposed
	opened.PullRequestURL, opened.Opened = "https://example.com/pull/1", true
	before := statements{}
	for i, cycle := range []struct {
		result Cycle
		want   string
	}{
		{Cycle{All: true, Plan: planned("broken", "")}, "ImageUpdateFailed argocd/a i0: broken"},
		{Cycle{All: true, Plan: planned("broken", "")}, ""},
		{Cycle{All: true, Plan: planned("other", "broken")},
			"ImageUpdateFailed argocd/a i0: other, ImageUpdateFailed argocd/a i1: broken"},
		{Cycle{All: true, Plan: planned("", "")}, ""},
		{Cycle{All: true, Plan: planned("", "broken")}, "ImageUpdateFailed argocd/a i1: broken"},
		{after(written), "ImagesUpdated argocd/a Successfully updated application 'a'"},
		{after(opened), "ImagesUpdated argocd/a Successfully updated application 'a', " +
			"PullRequestOpened argocd/a A pull request waits to be merged: https://example.com/pull/1"},
		{after(failed), "WriteFailed argocd/a no push"},
		{after(failed), ""},
		{after(skipped), ""},
	} {
		var all []kube.Event
		all, before = eventsOf(&cycle.result, before)
		var got []string
		for _, one := range all {
			got = append(got, one.Reason+" "+one.Namespace+"/"+one.Name+" "+one.Message)
		}
		if strings.Join(got, ", ") != cycle.want {
			t.Errorf("cycle %d: %s\nwant %s", i, strings.Join(got, ", "), cycle.want)
		}
	}
	many := make([]string, 5000)
	for i := range many {
		many[i] = "broken"
	}
	all, failures := eventsOf(&Cycle{All: true, Plan: planned(many...)}, nil)
	if len(all) != maxFailures || len(failures["argocd/a"]) != len(many) {
		t.Errorf("%d events of %d failures", len(all), len(failures))
	}
}
