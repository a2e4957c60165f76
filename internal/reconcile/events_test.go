package reconcile

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/liverty-music/image-writeback/internal/gitwrite"
	"github.com/liverty-music/image-writeback/internal/image"
)

// TestEvents holds what is told of cycles: a failure once, until it was gone.
func TestEvents(t *testing.T) {
	plan := func(reasons ...string) *Plan {
		p := &Plan{Applications: []Application{{Namespace: "argocd", Name: "a"}}}
		for i, reason := range reasons {
			img := Image{Alias: fmt.Sprintf("i%d", i), Action: ActionUpToDate}
			if reason != "" {
				img.Action, img.Reason = ActionError, reason
			}
			p.Applications[0].Images = append(p.Applications[0].Images, img)
		}
		return p
	}
	written := gitwrite.Outcome{Application: "argocd/a", Commit: "c", Changes: []image.Change{{Image: "ghcr.io/o/app", Old: image.ParseVersion("1"), New: image.ParseVersion("2")}}}
	opened := written
	opened.PullRequestURL, opened.Opened = "https://example.com/pull/1", true
	before := sayings{}
	for i, cycle := range []struct {
		result Result
		want   string
	}{
		{Result{Plan: plan("broken", "")}, "ImageUpdateFailed argocd/a i0: broken"},
		{Result{Plan: plan("broken", "")}, ""},
		{Result{Plan: plan("other", "broken")}, "ImageUpdateFailed argocd/a i0: other, ImageUpdateFailed argocd/a i1: broken"},
		{Result{Plan: plan("", "")}, ""},
		{Result{Plan: plan("", "broken")}, "ImageUpdateFailed argocd/a i1: broken"},
		{Result{Plan: plan(), Outcomes: []gitwrite.Outcome{written}}, "ImagesUpdated argocd/a Successfully updated application 'a'"},
		{Result{Plan: plan(), Outcomes: []gitwrite.Outcome{opened}}, "ImagesUpdated argocd/a Successfully updated application 'a', PullRequestOpened argocd/a A pull request waits to be merged: https://example.com/pull/1"},
		{Result{Plan: plan(), Outcomes: []gitwrite.Outcome{{Application: "argocd/a", Err: errors.New("no push")}}}, "WriteFailed argocd/a no push"},
		{Result{Plan: plan(), Outcomes: []gitwrite.Outcome{{Application: "argocd/a", Err: errors.New("no push")}}}, ""},
		{Result{Plan: plan(), Outcomes: []gitwrite.Outcome{{Application: "argocd/a", Note: "nothing"}}}, ""},
	} {
		var all []notice
		all, before = events(&cycle.result, before)
		var got []string
		for _, one := range all {
			got = append(got, one.event.Reason+" "+one.application+" "+one.event.Message)
		}
		if strings.Join(got, ", ") != cycle.want {
			t.Errorf("cycle %d: %s\nwant %s", i, strings.Join(got, ", "), cycle.want)
		}
	}
	many := make([]string, 5000)
	for i := range many {
		many[i] = "broken"
	}
	if all, failures := events(&Result{Plan: plan(many...)}, nil); len(all) != mostFailures || len(failures["argocd/a"]) != len(many) {
		t.Errorf("%d events of %d failures", len(all), len(failures))
	}
}
