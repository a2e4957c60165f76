package argo

import (
	"fmt"
	"path"
	"slices"

	"k8s.io/apimachinery/pkg/labels"

	"github.com/liverty-music/image-writeback/internal/panics"
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

// read reads an Application into a listing: as one that asks for something, if it
// is selected and its annotations or an ImageUpdater ask for anything, otherwise
// as a neighbour.
func (s Selection) read(c candidate, updaters []*ImageUpdater, defaults Defaults, into *spec.Listing) {
	_, err := panics.Try(func() (any, error) {
		s.add(c, updaters, defaults, into)
		return nil, nil
	})
	if err != nil {
		into.Problems = append(into.Problems, spec.Problem{
			Application: c.app.Namespace + "/" + c.app.Name, Expected: "it cannot be read: " + err.Error(),
		})
	}
}

// add is read, which may panic.
func (s Selection) add(c candidate, updaters []*ImageUpdater, defaults Defaults, into *spec.Listing) {
	g := governed{}
	selected := s.Match(c.app)
	if selected {
		g = govern(updaters, c.app)
		selected = len(g.problems) > 0 || Annotated(g.app)
	}
	if !selected {
		into.Neighbours = append(into.Neighbours, identity(c.app))
		return
	}

	app := read(g, defaults, c.from)
	if c.from.file != "" {
		app.Origin = fmt.Sprintf("%s:%d", c.from.file, c.from.lines[""])
	}
	into.Applications = append(into.Applications, app)
}
