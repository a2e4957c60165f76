package reconcile

import (
	"context"
	"strings"
	"sync"

	"github.com/liverty-music/image-writeback/internal/argo"
	"github.com/liverty-music/image-writeback/internal/gitwrite"
	"github.com/liverty-music/image-writeback/internal/manifest"
)

// reading is one repository with the Applications that live in it.
type reading struct {
	apps       []int // indices
	repository *gitwrite.Repository
	snapshot   *gitwrite.Snapshot
}

// locate reads the files of all Applications, each repository once.
func (e *Engine) locate(ctx context.Context, apps []argo.Application) ([]place, []*reading) {
	places := make([]place, len(apps))
	readings := map[*gitwrite.Repository]*reading{}
	var order []*reading
	for i, app := range apps {
		if len(app.Broken()) > 0 || app.Target.Repository == "" {
			continue
		}
		repository, err := e.Git.Open(app.Target.Repository, app.Target.Credentials)
		if err != nil {
			places[i].err = err
			continue
		}
		r := readings[repository]
		if r == nil {
			r = &reading{repository: repository}
			readings[repository] = r
			order = append(order, r)
		}
		r.apps = append(r.apps, i)
	}
	progress := e.stage("reading repositories", len(order))
	var group sync.WaitGroup
	for _, r := range order {
		group.Go(func() {
			defer progress()
			r.read(ctx, apps, places)
		})
	}
	group.Wait()
	return places, order
}

// read fills in the places of the Applications that live in one repository.
func (r *reading) read(ctx context.Context, apps []argo.Application, places []place) {
	var wants []gitwrite.Want
	for _, i := range r.apps {
		wants = append(wants, wantOf(apps[i], apps[i].Target.BaseBranch), wantOf(apps[i], headBranch(apps[i])))
	}
	var err error
	if r.snapshot, err = r.repository.Read(ctx, wants); err != nil {
		for _, i := range r.apps {
			places[i].err = err
		}
		return
	}
	for _, i := range r.apps {
		at := place{repository: r.repository.URL(), headBranch: headBranch(apps[i]), writes: apps[i].Target.WriteBranch != "", pulls: r.repository.TakesPullRequests()}
		at.base, at.baseErr = r.snapshot.File(wantOf(apps[i], apps[i].Target.BaseBranch))
		if head, err := r.snapshot.File(wantOf(apps[i], at.headBranch)); err == nil {
			at.head = &head
		}
		places[i] = at
	}
}

func wantOf(app argo.Application, branch string) gitwrite.Want {
	return gitwrite.Want{Branch: branch, Folder: app.Target.Folder, Names: strings.Join(manifest.KustomizationNames, "/")}
}

// headBranch is the branch to write to where it is not the base itself.
func headBranch(app argo.Application) string {
	if app.Target.WriteBranch != "" {
		return app.Target.WriteBranch
	}
	return headPrefix + app.Namespace + "/" + app.Name
}
