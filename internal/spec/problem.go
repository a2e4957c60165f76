package spec

import (
	"fmt"
	"strings"

	"github.com/liverty-music/image-writeback/internal/escape"
)

// Problem is something in an Application that its author must correct.
type Problem struct {
	Application string // namespace/name
	Resource    string // the ImageUpdater that stands for the annotation; empty: the Application itself
	Image       string // Image.Key; empty if it concerns all images
	Where       string // file:line; empty for an Application from a cluster
	Annotation  string // with prefix; empty if the problem is not about one
	Value       string
	Expected    string // what is wrong with it
	Remedy      string // what to do

	// Advice is a problem that stops nothing, such as an annotation with an
	// unknown name.
	Advice bool
}

// longestValue is how much of a value is shown: an annotation can have 256 KB.
const longestValue = 200

// Error returns the problem in one line.
func (p Problem) Error() string {
	var b strings.Builder

	if p.Annotation != "" {
		if p.Resource != "" {
			fmt.Fprintf(&b, "ImageUpdater %s, as ", p.Resource)
		}

		fmt.Fprintf(&b, "annotation %s", p.Annotation)

		if p.Value != "" {
			fmt.Fprintf(&b, " = %q", escape.Cut(p.Value, longestValue))
		}

		b.WriteString(": ")
	}

	b.WriteString(p.Expected)

	if p.Remedy != "" {
		b.WriteString("; " + p.Remedy)
	}

	return b.String()
}
