package argo

import (
	"fmt"
	"path"
	"slices"

	"k8s.io/apimachinery/pkg/labels"

	"github.com/liverty-music/image-writeback/internal/spec"
)

// Selection tells which Applications are looked at. The zero value is all.
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
			return s, fmt.Errorf("%q is no label selector: %w", selector, err)
		}
		s.Labels = parsed
	}
	for _, glob := range names {
		if _, err := path.Match(glob, ""); err != nil {
			return s, fmt.Errorf("%q is no glob: %w", glob, err)
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

// read reads an Application where it is selected, and where its annotations or
// an ImageUpdater ask for anything at all.
func (s Selection) read(app *Stored, updaters []*ImageUpdater, defaults Defaults, from origin) (spec.Application, bool) {
	if !s.Match(app) {
		return spec.Application{}, false
	}
	found := under(updaters, app)
	if len(found.problems) == 0 && !Annotated(found.app) {
		return spec.Application{}, false
	}
	return read(found, defaults, from), true
}
