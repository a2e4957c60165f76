package reconcile

import (
	"context"
	"errors"
	"fmt"
	"path"
	"strings"
	"sync"

	"github.com/liverty-music/image-writeback/internal/gitwrite"
	"github.com/liverty-music/image-writeback/internal/manifest"
	"github.com/liverty-music/image-writeback/internal/spec"
)

// reading is one repository with the Applications that live in it.
type reading struct {
	apps       []int // indices
	repository *gitwrite.Repository
	snapshot   *gitwrite.Snapshot
}

// locate reads the files of all Applications, each repository once.
func (e *Engine) locate(ctx context.Context, apps []spec.Application) ([]place, []*reading) {
	places := make([]place, len(apps))
	readings := map[*gitwrite.Repository]*reading{}
	var order []*reading
	for i, app := range apps {
		switch {
		case len(app.Broken()) > 0:
			continue
		case app.Target.Method == spec.MethodArgoCD:
			places[i] = inApplication(app)
			continue
		}
		repository, err := e.Git.Open(ctx, gitwrite.Access{URL: app.Target.Repository, From: app.Target.Credentials, Project: app.Project})
		if err != nil {
			places[i].err = err
			continue
		}
		e.open(app.Shard(), repository)
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
			r.read(ctx, apps, places, e.Settings.PullRequests)
		})
	}
	group.Wait()
	return places, order
}

// read fills in the places of the Applications that live in one repository.
func (r *reading) read(ctx context.Context, apps []spec.Application, places []place, pulls PullRequests) {
	var wants []gitwrite.Want
	for _, i := range r.apps {
		wants = append(wants, wantsOf(apps[i].Target, apps[i].Target.BaseBranch)...)
		if head, err := pulls.head(apps[i]); err == nil && head != "" {
			wants = append(wants, wantsOf(apps[i].Target, head)...)
		}
	}
	var err error
	if r.snapshot, err = r.repository.Read(ctx, wants); err != nil {
		for _, i := range r.apps {
			places[i].err = err
		}
		return
	}
	for _, i := range r.apps {
		places[i] = r.placeOf(apps[i], pulls)
	}
}

// placeOf finds an Application's file in what was read.
func (r *reading) placeOf(app spec.Application, pulls PullRequests) place {
	target := app.Target
	at := place{repository: r.repository.URL(), writes: target.WriteBranch != "", pulls: r.repository.TakesPullRequests()}
	if at.headBranch, at.err = pulls.head(app); at.err != nil {
		return at
	}
	if target.Type == "" {
		var ok bool
		if target, ok, at.base, at.baseErr = r.sourceType(target); !ok {
			return at
		}
	}
	at.format = target.Kind().Format
	at.base, at.created, at.baseErr = r.file(target, target.BaseBranch)
	if at.headBranch != "" {
		_, at.headExists = r.snapshot.Branch(at.headBranch)
		if head, created, err := r.file(target, at.headBranch); err == nil {
			at.head, at.created = &head, at.created || created
		}
	}
	return at
}

// sourceType returns the type of a source that the files in its folder
// indicate, and the target of that type. It reports whether there is one;
// otherwise the file and the error are what the repository has instead.
func (r *reading) sourceType(target spec.Target) (_ spec.Target, ok bool, file gitwrite.File, err error) {
	file, err = r.snapshot.File(want(target.Marker(), target.BaseBranch))
	names := file.Others
	switch {
	case err == nil:
		names = []string{path.Base(file.Path)}
	case !errors.Is(err, gitwrite.ErrNoFile):
		return target, false, file, err
	}

	source := spec.SourceType(manifest.SourceOf(names))
	return target.OfType(source), source != "", file, err
}

// file is the file to edit on a branch; one that is missing is created where
// the kind of target allows it.
func (r *reading) file(target spec.Target, branch string) (_ gitwrite.File, created bool, _ error) {
	files := target.Write()
	file, err := r.snapshot.File(want(files, branch))
	if target.Kind().Create && errors.Is(err, gitwrite.ErrNoFile) {
		file.Path = files.Path()
		return file, true, nil
	}

	return file, false, err
}

// wantsOf are the files that an Application may need of a branch.
func wantsOf(target spec.Target, branch string) []gitwrite.Want {
	var wants []gitwrite.Want
	for _, files := range target.Candidates() {
		wants = append(wants, want(files, branch))
	}

	return wants
}

func want(files manifest.Files, branch string) gitwrite.Want {
	return gitwrite.Want{Branch: branch, Folder: files.Folder, Names: strings.Join(files.Names, "/")}
}

// inApplication is the place of one that is written to through Kubernetes.
func inApplication(app spec.Application) place {
	kind, _ := manifest.For(manifest.FormApplication, string(app.Target.Type))
	at := place{inApplication: true, format: kind.Format}
	at.base = gitwrite.File{Path: "spec.source", Data: app.Overrides}
	if app.Target.Source >= 0 {
		at.base.Path = fmt.Sprintf("spec.sources[%d]", app.Target.Source)
	}
	return at
}
