package plan

import (
	"fmt"

	"github.com/liverty-music/image-writeback/internal/image"
	"github.com/liverty-music/image-writeback/internal/manifest"
	"github.com/liverty-music/image-writeback/internal/spec"
)

// Decision is what is done for one case.
type Decision struct {
	Case        *Case
	Application *Application
	Work        *Work // nil: nothing is written
	Diffs       []FileDiff

	delivery   string
	enforcedBy int  // the number of the rule that annotations cannot weaken; 0: none
	file       File // whose content counts
	fileErr    error
	images     manifest.Images // of file; nil before the first image, and after the last
	openErr    error           // of images
	draft      *draft
}

// Make decides about all cases of a cycle.
func Make(cases []*Case, s Settings) *Plan {
	p := &Plan{
		Applications: make([]Application, len(cases)),
		Files:        []FileDiff{},
		Decisions:    make([]*Decision, len(cases)),
	}
	all := make([]Decision, len(cases))
	for i, c := range cases {
		all[i] = Decision{Case: c, Application: &p.Applications[i]}
		all[i].begin(s)
		p.Decisions[i] = &all[i]
	}

	passGates(p.Decisions, s)

	for _, d := range p.Decisions {
		d.finish()
		if d.Work != nil && !d.Work.Proposed {
			p.Files = append(p.Files, d.Diffs...)
		}
	}
	p.Proposals = propose(p.Decisions)

	return p
}

// NameBranches names the branches of the cases whose git-branch is a template
// over the changes. It returns the cases that have changes: their branches may
// exist already, so they must be read again before [Make].
func NameBranches(cases []*Case, s Settings) []*Case {
	var named []*Case

	for _, c := range cases {
		template := c.Application.Target.BranchTemplate
		if template == nil || c.Application.Target.WriteBranch != "" {
			continue
		}

		changes := branchChanges(Make([]*Case{c}, s).Applications[0])
		if len(changes) == 0 {
			continue
		}

		branch, err := template.Branch(c.Application.Target.Key(), changes)
		if err != nil {
			c.BranchErr = fmt.Errorf("annotation %sgit-branch: %w", spec.Prefix, err)
			continue
		}
		c.Application.Target.WriteBranch = branch
		named = append(named, c)
	}

	return named
}

// branchChanges returns the changes of an Application under their aliases, as
// templates of branches see them.
func branchChanges(app Application) []image.Change {
	var changes []image.Change

	for i := range app.Images {
		img := &app.Images[i]
		if img.Action == ActionUpdate {
			changes = append(changes, image.Change{
				Image: img.Image, Alias: img.Alias, Old: img.Old, New: img.wanted.entry.Version,
			})
		}
	}

	return changes
}

// begin notes what the images of a case are to be, and how a change would be
// delivered.
func (d *Decision) begin(s Settings) {
	c, app := d.Case, d.Application
	d.delivery, d.enforcedBy = s.delivery(c)
	d.file, d.fileErr = c.Place.current(d.delivery)

	*app = Application{
		Namespace: c.Application.Namespace,
		Name:      c.Application.Name,
		UID:       c.Application.UID,
		Problems:  []string{},
		Images:    make([]Image, len(c.Images)),
	}
	for _, p := range c.Application.Problems {
		app.Problems = append(app.Problems, p.Error())
		app.Broken = app.Broken || !p.Advice
	}
	if asked := c.Application.Target.Delivery; asked != d.delivery && !c.inApplication() && asked != "" {
		app.Problems = append(app.Problems, fmt.Sprintf("annotation %swrite-back-delivery = %q has no effect: rule %d "+
			"of git.delivery in config.yaml enforces %s for %s",
			spec.Prefix, asked, d.enforcedBy, d.delivery, d.file.Path))
	}
	if advice := s.Permission.SignatureAdvice(c.Application, d.delivery); advice != "" {
		app.Problems = append(app.Problems, advice)
	}
	for i, candidate := range c.Images {
		app.Images[i] = d.compare(candidate)
		d.route(&app.Images[i])
	}
	d.images = nil // a parsed file is many times as large
}

// route notes how and by which branch a change of an image reaches the base.
func (d *Decision) route(i *Image) {
	if d.Case.inApplication() {
		return
	}

	i.Delivery = d.delivery
	switch {
	case d.delivery == spec.DeliverPullRequest:
		i.HeadBranch = d.Case.Place.HeadBranch
	case d.Case.Application.Target.WriteBranch != "":
		i.Branch = d.Case.Application.Target.WriteBranch
	}
}

// finish decides about the images that no gate held back.
func (d *Decision) finish() {
	for i := range d.Application.Images {
		img := &d.Application.Images[i]
		if img.due {
			img.decide(ActionUpdate, img.reason)
		} else {
			img.decide(ActionUpToDate, img.reason)
		}
	}

	if d.draft != nil {
		d.Work, d.Diffs = d.draft.work, d.draft.diffs
	}
}

// due returns the images that would be updated, as far as gates have been asked.
func (d *Decision) due() []*Image {
	var due []*Image

	for i := range d.Application.Images {
		if img := &d.Application.Images[i]; img.due && !img.decided() {
			due = append(due, img)
		}
	}

	return due
}

// InApplication reports whether the Application itself is written to.
func (d *Decision) InApplication() bool { return d.Case.inApplication() }
