package argo

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"sync"
	"time"

	"github.com/liverty-music/image-writeback/internal/permission"
	"github.com/liverty-music/image-writeback/internal/spec"
)

// ProjectLister reads what Argo CD has of its projects.
type ProjectLister interface {
	// AppProjects returns the AppProjects of Argo CD's namespace, as TrimProject
	// returns them. The error is an [UnreadableError] if another attempt would fail as
	// well.
	AppProjects(ctx context.Context) ([]*StoredProject, error)
	// GlobalProjects returns globalProjects of the ConfigMap argocd-cm, or nothing. The
	// error is as that of AppProjects.
	GlobalProjects(ctx context.Context) (string, error)
	// ProjectRepositories returns, by project, the repositories for which a project has
	// a Secret: they are among its sources. The error is for Secrets that cannot be
	// listed.
	ProjectRepositories(ctx context.Context) (map[string][]string, error)
}

// UnreadableError is for projects that cannot be read until somebody changes something.
type UnreadableError struct{ Err error }

// Error returns why, and what to do.
func (e *UnreadableError) Error() string { return e.Err.Error() }

// Unwrap returns the cause.
func (e *UnreadableError) Unwrap() error { return e.Err }

// projectsLife is how long projects are used before they are read again: several
// triggers can cause a cycle each within a second.
const projectsLife = 30 * time.Second

// Projects are the AppProjects of a cluster. All fields are required, except Life.
type Projects struct {
	Lister  ProjectLister
	Follow  string // FollowAuto, FollowRequired or FollowOff
	Setting string // where Follow is set, for messages
	// Warn is called with what is not followed and what to do, once until that changes.
	Warn func(text string)
	// Life is how long projects are used before they are read again; 0: 30 s.
	Life time.Duration

	mu       sync.Mutex
	read     time.Time
	known    map[string]spec.Project // nil: they are not known
	answers  permission.Projects
	scoped   map[string][]string // by project, what its Secrets add
	extended map[string]spec.Project
	warned   map[string]string // what was said, by topic
}

// bound sets the bounds of Applications. The error means that no cycle is possible, and
// says what to do.
func (p *Projects) bound(ctx context.Context, apps ...[]spec.Application) error {
	if p == nil || p.Follow == FollowOff {
		return nil
	}

	p.mu.Lock()
	defer p.mu.Unlock()

	if p.read.IsZero() || time.Since(p.read) >= cmp.Or(p.Life, projectsLife) {
		if err := p.refresh(ctx); err != nil {
			return err
		}
	}

	var refused []*spec.Application
	for _, some := range apps {
		for i := range some {
			some[i].Bounds = bounds(p.known, some[i].Project)
			if !p.permits(&some[i]) {
				refused = append(refused, &some[i])
			}
		}
	}
	p.extend(ctx, refused)

	return nil
}

// refresh reads the projects. If they cannot be read at the moment, those that were read
// before are used.
func (p *Projects) refresh(ctx context.Context) error {
	stored, err := p.Lister.AppProjects(ctx)
	var globals string
	if err == nil {
		globals, err = p.globals(ctx)
	}

	var unreadable *UnreadableError
	switch {
	case err == nil:
		p.take(stored, globals)
	case errors.As(err, &unreadable) && p.Follow == FollowRequired:
		return requires(p.Setting, err)
	case errors.As(err, &unreadable):
		p.warn("projects", fmt.Sprintf("%v; until then, AppProjects limit nothing (%s: %s)", err, p.Setting, p.Follow))
		p.known = nil
	case !p.read.IsZero() && ctx.Err() == nil:
		p.warn("projects", fmt.Sprintf("%v; until that succeeds, the AppProjects as they were count", err))
	default:
		return fmt.Errorf("%w; check that the API server can be reached from here", err)
	}
	p.read = time.Now()

	return nil
}

// globals returns the list of global projects. Without permission to read it, they add
// nothing, unless projects are required.
func (p *Projects) globals(ctx context.Context) (string, error) {
	globals, err := p.Lister.GlobalProjects(ctx)

	var unreadable *UnreadableError
	if errors.As(err, &unreadable) && p.Follow != FollowRequired {
		p.warn("globals", fmt.Sprintf("%v; until then, global projects add nothing to AppProjects", err))
		return "", nil
	}
	if err == nil {
		p.warn("globals", "")
	}

	return globals, err
}

// take keeps projects. If nothing has changed, the old ones stay, and with them what is
// known about them.
func (p *Projects) take(stored []*StoredProject, globals string) {
	found, err := withGlobals(stored, globals)
	p.warn("projects", "")
	if err != nil {
		p.warn("globals", err.Error()+", so global projects add nothing; correct it")
	}

	if !reflect.DeepEqual(found, p.known) {
		p.known, p.extended = found, nil
	}
}

// warn says something about a topic, unless it is what was said last. An empty text ends
// the topic.
func (p *Projects) warn(topic, text string) {
	if p.warned[topic] == text {
		return
	}
	if p.warned == nil {
		p.warned = map[string]string{}
	}
	if p.warned[topic] = text; text != "" {
		p.Warn(text)
	}
}

// permits reports whether the project of an Application permits all of its repositories.
func (p *Projects) permits(app *spec.Application) bool {
	if !app.Bounds.Known || !app.Bounds.Exists {
		return true // no Secret changes that
	}
	if written := app.Target.Repository; written != "" && !p.answers.PermitsRepository(&app.Bounds.Project, written) {
		return false
	}

	return !slices.ContainsFunc(app.Sources, func(source spec.Source) bool {
		return !p.answers.PermitsRepository(&app.Bounds.Project, source.Repository)
	})
}

// extend adds to the projects of some Applications the repositories for which they have
// Secrets. Few need them, and not every account may list Secrets: they are asked for only
// if they can make a difference.
func (p *Projects) extend(ctx context.Context, refused []*spec.Application) {
	if len(refused) == 0 {
		return
	}

	scoped, err := p.Lister.ProjectRepositories(ctx)
	if err != nil {
		return
	}
	if p.extended == nil || !reflect.DeepEqual(scoped, p.scoped) {
		p.scoped, p.extended = scoped, map[string]spec.Project{}
	}

	for _, app := range refused {
		added := scoped[app.Project]
		if len(added) == 0 {
			continue
		}

		project, ok := p.extended[app.Project]
		if !ok {
			project = app.Bounds.Project
			project.SourceRepos = slices.Concat(project.SourceRepos, added)
			p.extended[app.Project] = project
		}
		app.Bounds.Project = project
	}
}
