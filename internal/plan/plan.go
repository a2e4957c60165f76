// Package plan decides what a cycle writes, and why. A [Case] goes in: one
// Application and all that is known about it. A [Plan] comes out: an action
// and a reason for each image, the changes to files, and the [Work] for
// package delivery. It is pure: no network, no files, no clock.
//
// Commands, dry runs, pull requests and the writers all read the same Plan.
// Nothing else decides what would happen or why.
//
// [Make] compares what the policy chose with what git holds, then asks the
// gates. A gate is a rule between "there is a newer version" and "it is
// written"; gates.go lists them.
package plan

import (
	"slices"
	"strings"

	"github.com/liverty-music/image-writeback/internal/image"
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

	// Files are the changes to files, in the order of the Applications.
	Files []FileDiff `json:"files"`

	// Problems are those that belong to no Application, such as a manifest
	// that cannot be read.
	Problems []string `json:"problems,omitempty"`

	// Decisions are what is written, one for each case. Proposals are the pull
	// requests that they need.
	Decisions []*Decision `json:"-"`
	Proposals []*Proposal `json:"-"`
}

// Application is the plan for one Application.
type Application struct {
	Namespace string `json:"namespace"`
	Name      string `json:"name"`

	// Problems are those of its annotations, including advice.
	Problems []string `json:"problems"`
	Images   []Image  `json:"images"`

	UID    string `json:"-"` // empty for an Application from a file
	Broken bool   `json:"-"` // at least one problem is not advice
}

// String returns namespace/name.
func (a Application) String() string { return a.Namespace + "/" + a.Name }

// Unsaid returns the problems that no image gives as its reason.
func (a Application) Unsaid() []string {
	var unsaid []string

	for _, problem := range a.Problems {
		if !slices.ContainsFunc(a.Images, func(i Image) bool { return i.Reason == problem }) {
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

	Basis `json:"-"`
}

// Basis is what an image was decided on.
type Basis struct {
	Spec   spec.Image
	Choice policy.Choice // with every tag that was dropped, for explain
	Old    image.Version // in git; what runs if git does not set the image
	Gate   string        // the gate that held the image back; empty: none did

	wanted *wanted // what the image is to be, due or not; nil if that is not known
	due    bool
	reason string // why the candidate is wanted
}

// Label is what people call the image: its alias, otherwise the end of its name.
func (i *Image) Label() string {
	if i.Alias != "" {
		return i.Alias
	}

	return i.Image[strings.LastIndex(i.Image, "/")+1:]
}

// Known reports whether the version that the image is to have is known.
func (i *Image) Known() bool { return i.wanted != nil }

// heldBack reports whether an error or a gate keeps the image from being written.
func (i Image) heldBack() bool { return i.Action == ActionError || i.Gate != "" }

// refused reports whether the rules forbid the image, or its Application.
func (i Image) refused() bool { return i.Gate == permissionName }

// decided reports whether the image has its action.
func (i *Image) decided() bool { return i.Action != "" }

// decide gives the image its action and reason. The first decision stands.
func (i *Image) decide(action Action, reason string) {
	if i.decided() {
		return
	}

	i.Action, i.Reason = action, reason
}

// FileDiff is the change to one file on one branch.
type FileDiff struct {
	// Application is set if the file is a part of the Application itself:
	// write-back-method argocd.
	Application string `json:"application,omitempty"`
	Repository  string `json:"repository"`
	Branch      string `json:"branch"`
	File        string `json:"file"`
	Diff        string `json:"diff"` // unified
}

// Count returns how many images have an action.
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

// Failed reports whether anything in the plan could not be decided.
func (p *Plan) Failed() bool {
	if len(p.Problems) > 0 || p.Count(ActionError) > 0 {
		return true
	}

	return slices.ContainsFunc(p.Applications, func(a Application) bool { return a.Broken })
}
