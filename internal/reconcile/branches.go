package reconcile

import (
	"context"
	"fmt"
	"sync"

	"github.com/liverty-music/image-writeback/internal/gitwrite"
	"github.com/liverty-music/image-writeback/internal/image"
	"github.com/liverty-music/image-writeback/internal/spec"
)

// nameBranches gives their branches to Applications whose git-branch is a
// template over the changes. It returns the indices of those that have
// changes, whose branches may exist already and must be looked at.
func nameBranches(apps []spec.Application, plans []Application, works []*gitwrite.Work) []int {
	var named []int
	for i := range apps {
		template := apps[i].Target.BranchTemplate
		if template == nil || works[i] == nil || apps[i].Target.WriteBranch != "" {
			continue
		}
		var changes []image.Change
		for _, img := range plans[i].Images {
			if img.Action == ActionUpdate {
				changes = append(changes, image.Change{Image: img.Image, Alias: img.Alias,
					Old: image.ParseVersion(img.Current), New: image.ParseVersion(img.Candidate)})
			}
		}
		branch, err := template.Branch(apps[i].Target.Key(), changes)
		if err != nil {
			failAll(&plans[i], fmt.Sprintf("annotation %sgit-branch: %v", spec.Prefix, err))
			works[i] = nil
			continue
		}
		apps[i].Target.WriteBranch = branch
		named = append(named, i)
	}
	return named
}

func failAll(app *Application, reason string) {
	for i := range app.Images {
		if app.Images[i].Action == ActionUpdate {
			app.Images[i].Action, app.Images[i].Reason = ActionError, reason
		}
	}
}

// locateAgain reads the files of some Applications anew, whose branches are
// known only now.
func (e *Engine) locateAgain(ctx context.Context, apps []spec.Application, named []int, places []place, readings []*reading) {
	again := map[int]bool{}
	for _, i := range named {
		again[i] = true
	}
	var group sync.WaitGroup
	for _, r := range readings {
		some := false
		for _, i := range r.apps {
			some = some || again[i]
		}
		if some {
			group.Go(func() { r.read(ctx, apps, places, e.Settings.PullRequests) })
		}
	}
	group.Wait()
}
