// Package reconcile runs a cycle: it reads Applications, asks registries and
// repositories, decides, and has the decisions written. The plan in between is
// a value. Commands, dry runs and the writer all read the same one; there is no
// second opinion on what would happen or why.
package reconcile

import (
	"slices"
	"strings"

	"github.com/liverty-music/image-writeback/internal/gitwrite"
	"github.com/liverty-music/image-writeback/internal/policy"
	"github.com/liverty-music/image-writeback/internal/spec"
)

// Action is what a cycle does for an image.
type Action string

// The actions of a plan.
const (
	ActionUpdate   Action = "update"
	ActionUpToDate Action = "up-to-date"
	ActionSkip     Action = "skip"
	ActionError    Action = "error"
)

// Plan is what a cycle would do, and why. Its JSON form is stable.
type Plan struct {
	Applications []Application `json:"applications"`
	// Files are the changes to files, in order of repository, branch and path.
	Files []FileDiff `json:"files"`
	// Problems are those that belong to no Application, such as a manifest
	// that cannot be read.
	Problems []string `json:"problems,omitempty"`

	works   []repositoryWork
	patches []applicationWork
	others  int // Applications that other replicas work on
}

// Application is the plan for one Application.
type Application struct {
	Namespace string `json:"namespace"`
	Name      string `json:"name"`
	// Problems are those of its annotations, the harmless ones too.
	Problems []string `json:"problems"`
	Images   []Image  `json:"images"`

	uid    string
	broken bool // a problem that is not advice
}

// String is namespace/name.
func (a Application) String() string { return a.Namespace + "/" + a.Name }

// saidByImage tells whether an image gives a problem as its reason.
func (a Application) saidByImage(problem string) bool {
	return slices.ContainsFunc(a.Images, func(i Image) bool { return i.Reason == problem })
}

// Unsaid are the problems that no image gives as its reason.
func (a Application) Unsaid() []string {
	var unsaid []string
	for _, problem := range a.Problems {
		if !a.saidByImage(problem) {
			unsaid = append(unsaid, problem)
		}
	}
	return unsaid
}

// Image is the plan for one image of an Application.
type Image struct {
	Alias      string `json:"alias"`
	Image      string `json:"image"`
	Strategy   string `json:"strategy"`
	Constraint string `json:"constraint"`
	Current    string `json:"current"`
	Candidate  string `json:"candidate"`
	Action     Action `json:"action"`
	Reason     string `json:"reason"` // a sentence that a person can act on
	Method     string `json:"method"`
	Delivery   string `json:"delivery"`
	Repository string `json:"repository"`
	// Branch is the base of a pull request, otherwise the branch committed to.
	Branch string `json:"branch"`
	// HeadBranch is set for a pull request only.
	HeadBranch string `json:"headBranch"`
	File       string `json:"file"`

	choice policy.Choice
	update spec.Image
	edit   *imageEdit // what the image is to be, due or not; nil where that is not known
}

// Label is what people call the image: its alias, else the end of its name.
func (i Image) Label() string {
	if i.Alias != "" {
		return i.Alias
	}
	return i.Image[strings.LastIndex(i.Image, "/")+1:]
}

// Choice is the policy's decision with every tag that it dropped, for explain.
func (i Image) Choice() policy.Choice { return i.choice }

// FileDiff is the change to one file on one branch.
type FileDiff struct {
	// Application is set where the file is a part of it: write-back-method argocd.
	Application string `json:"application,omitempty"`
	Repository  string `json:"repository"`
	Branch      string `json:"branch"`
	File        string `json:"file"`
	Diff        string `json:"diff"` // unified
}

// repositoryWork is what is to be written to one repository.
type repositoryWork struct {
	shard      string
	repository *gitwrite.Repository
	snapshot   *gitwrite.Snapshot
	works      []gitwrite.Work
}

// applicationWork is what is to be written to one Application itself.
type applicationWork struct {
	shard           string
	namespace, name string
	source          int
	work            gitwrite.Work
}

// Count tells how many images have an action.
func (p *Plan) Count(action Action) int {
	n := 0
	for _, app := range p.Applications {
		for _, image := range app.Images {
			if image.Action == action {
				n++
			}
		}
	}
	return n
}

// Failed tells whether anything in the plan could not be decided.
func (p *Plan) Failed() bool {
	if len(p.Problems) > 0 || p.Count(ActionError) > 0 {
		return true
	}
	for _, app := range p.Applications {
		if app.broken {
			return true
		}
	}
	return false
}
