package argo

import (
	"context"
	"slices"
	"strings"
	"sync/atomic"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/liverty-music/image-writeback/internal/spec"
)

// Lister lists what is stored in a cluster. kube.Applications implements it.
type Lister interface {
	// List returns all Applications, as Trim returns them, in any order. They
	// are not changed. The error says what to do.
	List(ctx context.Context) ([]*Stored, error)
	// ImageUpdaters returns all ImageUpdaters; none if the cluster does not have
	// the resource. The error says what to do.
	ImageUpdaters(ctx context.Context) ([]unstructured.Unstructured, error)
}

// Cluster is a source of Applications from the Kubernetes API.
type Cluster struct {
	Lister    Lister
	Selection Selection
	Defaults  Defaults
	Projects  *Projects // nil: they are not read

	// updaters reports whether there were ImageUpdaters, which can select any
	// Application, in the last List.
	updaters atomic.Bool
}

// List returns the selected Applications, in order of their names, with their bounds,
// and their neighbours. What cannot be read of one Application is a Problem.
func (c *Cluster) List(ctx context.Context) (spec.Listing, error) {
	updaters, problems, err := c.imageUpdaters(ctx)
	if err != nil {
		return spec.Listing{}, err
	}
	c.updaters.Store(len(updaters) > 0)

	all, err := c.Lister.List(ctx)
	if err != nil {
		return spec.Listing{}, err
	}

	found := spec.Listing{Problems: problems}
	for _, one := range all {
		if one.Unreadable != "" {
			found.Problems = append(found.Problems, spec.Problem{
				Application: one.Namespace + "/" + one.Name,
				Expected:    "it is not an Application that Argo CD 2.14 knows: " + one.Unreadable,
				Remedy:      "correct the Application",
			})
			continue
		}
		c.Selection.read(candidate{app: one}, updaters, c.Defaults, &found)
	}
	slices.SortFunc(found.Applications, func(a, b spec.Application) int {
		return strings.Compare(a.String(), b.String())
	})

	return found, c.Projects.bound(ctx, found.Applications, found.Neighbours)
}

// imageUpdaters reads the ImageUpdaters of the cluster, in order of their names.
func (c *Cluster) imageUpdaters(ctx context.Context) ([]*ImageUpdater, []spec.Problem, error) {
	all, err := c.Lister.ImageUpdaters(ctx)
	if err != nil {
		return nil, nil, err
	}

	var updaters []*ImageUpdater
	var problems []spec.Problem
	for _, one := range all {
		u, err := imageUpdaterFrom(one.Object)
		if err != nil {
			problems = append(problems, spec.Problem{
				Expected: "ImageUpdater " + one.GetNamespace() + "/" + one.GetName() +
					" cannot be read: " + err.Error(),
				Remedy: "correct it; it is ignored until then",
			})
			continue
		}
		updaters = append(updaters, u)
	}
	slices.SortFunc(updaters, func(a, b *ImageUpdater) int { return strings.Compare(a.String(), b.String()) })

	return updaters, problems, nil
}

// Concerns reports whether an Application asks for anything, as far as that is
// known: while there are ImageUpdaters, any Application can.
func (c *Cluster) Concerns(app *Stored) bool {
	return app.Unreadable != "" || Annotated(app) || c.updaters.Load()
}

// Differs reports whether a cycle should look at what has happened to an
// Application: its annotations, its spec, its labels or its running images have
// changed.
func (c *Cluster) Differs(before, after *Stored) bool {
	return (c.Concerns(before) || c.Concerns(after)) && !before.sameAs(after)
}
