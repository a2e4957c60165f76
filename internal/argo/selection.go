package argo

import (
	"fmt"
	"path"
	"slices"

	"k8s.io/apimachinery/pkg/labels"

	"github.com/liverty-music/image-writeback/internal/spec"
)

// Selection is which Applications are read. The zero value is all of them.
type Selection struct {
	Namespaces []string
	Labels     labels.Selector // nil: any
	Names      []string        // globs of path.Match
}

// NewSelection reads a selection as config.yaml has it. The error names the
// selector or glob that cannot be read.
func NewSelection(namespaces []string, selector string, names []string) (Selection, error) {
	s := Selection{Namespaces: namespaces, Names: names}

	if selector != "" {
		parsed, err := labels.Parse(selector)
		if err != nil {
			return s, fmt.Errorf("%q is not a label selector: %w", selector, err)
		}
		s.Labels = parsed
	}

	for _, glob := range names {
		if _, err := path.Match(glob, ""); err != nil {
			return s, fmt.Errorf("%q is not a glob: %w", glob, err)
		}
	}

	return s, nil
}

// LabelSelector returns the selector by labels; empty if there is none.
func (s Selection) LabelSelector() string {
	if s.Labels == nil {
		return ""
	}

	return s.Labels.String()
}

// Match reports whether an Application is selected.
func (s Selection) Match(app *Stored) bool {
	if len(s.Namespaces) > 0 && !slices.Contains(s.Namespaces, app.Namespace) {
		return false
	}
	if s.Labels != nil && !s.Labels.Matches(labels.Set(app.Labels)) {
		return false
	}

	return len(s.Names) == 0 || slices.ContainsFunc(s.Names, func(glob string) bool {
		ok, _ := path.Match(glob, app.Name)
		return ok
	})
}

// candidate is an Application that may be selected.
type candidate struct {
	app  *Stored
	from origin
}

// read reads an Application. It reports whether the Application is selected,
// and whether its annotations or an ImageUpdater ask for anything.
func (s Selection) read(c candidate, updaters []*ImageUpdater, defaults Defaults) (spec.Application, bool) {
	if !s.Match(c.app) {
		return spec.Application{}, false
	}

	g := govern(updaters, c.app)
	if len(g.problems) == 0 && !Annotated(g.app) {
		return spec.Application{}, false
	}

	return read(g, defaults, c.from), true
}
