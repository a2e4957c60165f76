package argo

import (
	"fmt"
	"path"
	"slices"

	"github.com/argoproj/argo-cd/v2/pkg/apis/application/v1alpha1"
	"k8s.io/apimachinery/pkg/labels"
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

// Match reports whether an Application is selected and annotated.
func (s Selection) Match(app *v1alpha1.Application) bool {
	if !Annotated(app) {
		return false
	}
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
