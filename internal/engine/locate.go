package engine

import (
	"context"
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"

	"github.com/liverty-music/image-writeback/internal/giturl"
	"github.com/liverty-music/image-writeback/internal/gitwrite"
	"github.com/liverty-music/image-writeback/internal/limit"
	"github.com/liverty-music/image-writeback/internal/manifest"
	"github.com/liverty-music/image-writeback/internal/plan"
	"github.com/liverty-music/image-writeback/internal/spec"
)

// reading is one git repository with the cases that are written there.
type reading struct {
	cases      []*plan.Case
	repository *gitwrite.Repository
	remote     int // plan.Place.Remote
	snapshot   *gitwrite.Snapshot
	// pullRequests: pull requests can be opened there.
	pullRequests bool
	errand       *errand[*files]
}

// files are what was read of a repository.
type files struct {
	wants    []gitwrite.Want
	snapshot *gitwrite.Snapshot
}

// have reports whether other files were read as well.
func (f *files) have(wants []gitwrite.Want) bool {
	return !slices.ContainsFunc(wants, func(w gitwrite.Want) bool { return !slices.Contains(f.wants, w) })
}

// open opens the repositories of all cases.
func (c *cycle) open(ctx context.Context) {
	if c.scope.everything {
		c.state.opened = nil // it forgets what nobody names any more
	}
	byRepository := map[*gitwrite.Repository]*reading{}
	for _, one := range c.cases {
		app := one.Application
		switch {
		case !one.Open():
			one.Place.Repository = giturl.Parse(app.Target.Repository).Public()
			continue
		case !app.Target.InGit():
			one.Place = inApplication(app)
			continue
		}

		rules := &c.Settings.Permission
		repository, err := c.Git.Open(ctx, gitwrite.Access{
			URL: app.Target.Repository, From: app.Target.Credentials, Project: rules.Project(app),
			Vouched: rules.Secrets.Vouches(app),
		})
		if err != nil {
			one.Place.Err = err
			continue
		}
		c.noteOpened(app.Shard(), repository)

		r := byRepository[repository]
		if r == nil {
			r = &reading{
				repository: repository, remote: len(c.readings), pullRequests: c.Delivery.TakesPullRequests(repository),
			}
			byRepository[repository] = r
			c.readings = append(c.readings, r)
		}
		r.cases = append(r.cases, one)
	}
}

// read begins to read repositories.
func (c *cycle) read(ctx context.Context, readings []*reading, w *wait, progress func()) {
	for _, r := range readings {
		if c.state.deliveries.writes(r.repository) {
			w.count(false, progress)
			continue
		}

		wants := r.wants(c.Settings.PullRequests)
		address, tenant := r.cases[0].Application.Shard(), r.cases[0].Application.Project

		var begun bool
		r.errand, begun = c.state.readings.begin(r.repository, errandOptions[*files]{
			do: func() (*files, error) {
				ctx, cancel := c.Deadline.start(limit.WithTenant(ctx, tenant),
					"repository "+r.repository.URL()+": reading it")
				defer cancel()
				snapshot, err := r.repository.Read(ctx, wants)

				return &files{wants, snapshot}, orTooSlow(ctx, err)
			},
			fits:   func(known *files) bool { return known.have(wants) },
			resume: func() { c.resume(address) },
			ended:  w.ended(progress),
		})
		w.count(begun, progress)
	}
}

// place fills in the places of the cases whose repositories have been read.
func (c *cycle) place(readings []*reading) {
	for _, r := range readings {
		err := c.take(r)
		for _, one := range r.cases {
			if err != nil {
				one.Place.Err = err
				continue
			}
			one.Place = r.place(one.Application, c.Settings.PullRequests)
		}
	}
}

// take takes what was read of a repository.
func (c *cycle) take(r *reading) error {
	if r.errand == nil {
		return &plan.Waiting{For: "changes that are being written to " + r.repository.URL()}
	}

	read, ok, err := c.state.readings.take(r.repository, r.errand)
	switch {
	case !ok:
		return &plan.Waiting{For: "the files of " + r.repository.URL()}
	case err != nil:
		return err
	case !read.have(r.wants(c.Settings.PullRequests)): // it was begun before somebody wanted more
		c.resume(r.cases[0].Application.Shard())
		return &plan.Waiting{For: "the files of " + r.repository.URL()}
	}
	r.snapshot = read.snapshot

	return nil
}

// readAgain reads the files of cases whose branches have just been named.
func (c *cycle) readAgain(ctx context.Context, named []*plan.Case) {
	again := slices.DeleteFunc(slices.Clone(c.readings), func(r *reading) bool {
		return !slices.ContainsFunc(r.cases, func(one *plan.Case) bool { return slices.Contains(named, one) })
	})

	w := newWait(len(again))
	c.read(ctx, again, w, func() {})
	c.wait(ctx, w, patience)
	c.place(again)
}

// wants returns the files that the cases of a repository may need.
func (r *reading) wants(pulls plan.PullRequests) []gitwrite.Want {
	var wants []gitwrite.Want
	for _, one := range r.cases {
		target := one.Application.Target
		wants = append(wants, wantsOf(target, target.BaseBranch)...)
		if head, err := pulls.Head(one.Application); err == nil && head != "" {
			wants = append(wants, wantsOf(target, head)...)
		}
	}

	return wants
}

// place finds an Application's file in what was read.
func (r *reading) place(app spec.Application, pulls plan.PullRequests) plan.Place {
	target := app.Target
	at := plan.Place{
		Repository:   r.repository.URL(),
		Remote:       r.remote,
		Named:        target.WriteBranch != "",
		PullRequests: r.pullRequests,
	}
	if at.HeadBranch, at.Err = pulls.Head(app); at.Err != nil {
		return at
	}
	at.Default, _ = r.snapshot.Branch("")
	at.Tracked = r.tracked(app)

	if target.Type == "" {
		typed, file, err := r.sourceType(target)
		if typed.Type == "" {
			at.Base, at.BaseErr = fileOf(file), explainRead(at.Repository, file, err)
			return at
		}
		target = typed
	}

	at.Format = target.Kind().Format
	base, created, err := r.file(target, target.BaseBranch)
	at.Base, at.MayCreate, at.BaseErr = fileOf(base), created, explainRead(at.Repository, base, err)

	if at.HeadBranch != "" {
		_, at.HeadExists = r.snapshot.Branch(at.HeadBranch)
		if head, created, err := r.file(target, at.HeadBranch); err == nil {
			file := fileOf(head)
			at.Head, at.MayCreate = &file, at.MayCreate || created
		}
	}

	return at
}

// tracked returns the branches of the repository that an Application's own sources
// name. A revision that is not a branch there, such as a tag, is left out.
func (r *reading) tracked(app spec.Application) []string {
	var branches []string

	for _, source := range app.SourcesIn(giturl.Parse(app.Target.Repository).Key()) {
		if branch, ok := r.snapshot.Branch(source.Branch()); ok {
			branches = append(branches, branch)
		}
	}

	return branches
}

func fileOf(f gitwrite.File) plan.File {
	return plan.File{Branch: f.Branch, Path: f.Path, Data: f.Data}
}

// sourceType returns the target with the type of source that the files in its
// folder indicate. If they indicate none, Type stays empty, and the file and
// the error are what the repository has instead.
func (r *reading) sourceType(target spec.Target) (spec.Target, gitwrite.File, error) {
	file, err := r.snapshot.File(want(target.Marker(), target.BaseBranch))
	names := file.Others
	switch {
	case err == nil:
		names = []string{path.Base(file.Path)}
	case !errors.Is(err, gitwrite.ErrNoFile):
		return target, file, err
	}

	source := spec.SourceType(manifest.SourceOf(names))
	if source == "" {
		return target, file, err
	}

	return target.OfType(source), file, err
}

// file returns the file to edit on a branch. A file that is missing is created
// if the kind of target allows it.
func (r *reading) file(target spec.Target, branch string) (_ gitwrite.File, created bool, _ error) {
	files := target.Write()
	file, err := r.snapshot.File(want(files, branch))
	if target.Kind().Create && errors.Is(err, gitwrite.ErrNoFile) {
		file.Path = files.Path()
		return file, true, nil
	}

	return file, false, err
}

// wantsOf returns the files that an Application may need of a branch.
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

// inApplication is the place of an Application that is written to through
// Kubernetes.
func inApplication(app spec.Application) plan.Place {
	kind, _ := manifest.For(manifest.FormApplication, string(app.Target.Type))
	at := plan.Place{Format: kind.Format, Base: plan.File{Path: "spec.source", Data: app.Overrides}}
	if app.Target.Source >= 0 {
		at.Base.Path = fmt.Sprintf("spec.sources[%d]", app.Target.Source)
	}

	return at
}

// explainRead says what to do about a file that cannot be read; nil for nil.
func explainRead(repository string, file gitwrite.File, err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, gitwrite.ErrNoBranch) && file.Branch == "":
		return fmt.Errorf("repository %s: the server does not say which branch is the default one; name a branch in "+
			"%sgit-branch or spec.source.targetRevision", repository, spec.Prefix)
	case errors.Is(err, gitwrite.ErrNoBranch):
		return fmt.Errorf("repository %s: %w; name a branch in %sgit-branch or spec.source.targetRevision",
			repository, err, spec.Prefix)
	case errors.Is(err, gitwrite.ErrNoFile):
		return fmt.Errorf("repository %s, branch %s: %w; create the kustomization, or name its folder in "+
			"%swrite-back-target: kustomization:FOLDER (for Helm: helmvalues:FILE)",
			repository, file.Branch, err, spec.Prefix)
	}

	return fmt.Errorf("repository %s, branch %s: %w", repository, file.Branch, err)
}
