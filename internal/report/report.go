// Package report makes what people are told about a cycle: log lines,
// Kubernetes Events, and the text of pull requests. It reads the plan and the
// outcomes, and decides nothing.
//
// [Log] writes log lines and leaves out what it has written before. [Events]
// does the same for Kubernetes Events. [Text] makes the title and the body of a
// pull request, before it is delivered.
package report

import (
	"maps"
	"time"

	"github.com/liverty-music/image-writeback/internal/delivery"
	"github.com/liverty-music/image-writeback/internal/plan"
)

// Cycle is one cycle that has ended.
type Cycle struct {
	All      bool   // it was about all Applications
	About    string // names of the images and repositories that it was about, if not all
	Plan     *plan.Plan
	Outcomes []delivery.Outcome
	Took     time.Duration

	// Shared reports that there are other replicas, and OfOthers how many
	// Applications they work on.
	Shared   bool
	OfOthers int
}

// Failed reports whether anything went wrong. The rest was still done.
func (c *Cycle) Failed() bool {
	for _, o := range c.Outcomes {
		if o.Kind == delivery.Failed {
			return true
		}
	}

	return c.Plan.Failed()
}

// statements are what was reported last, by Application and subject. What is
// about no Application is under "".
type statements map[string]map[string]string

func (s statements) add(application, subject, text string) {
	if s[application] == nil {
		s[application] = map[string]string{}
	}
	s[application][subject] = text
}

// after returns what was reported last once a cycle has reported more. A cycle
// about some Applications changes nothing for the others.
func (s statements) after(now statements, c *Cycle) statements {
	if c.All || s == nil {
		return now
	}

	for _, app := range c.Plan.Applications {
		delete(s, app.String())
	}
	maps.Copy(s, now)

	return s
}
