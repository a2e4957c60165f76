package delivery

import (
	"cmp"
	"errors"
	"slices"

	"github.com/liverty-music/image-writeback/internal/gitwrite"
)

// A server refuses a push as a whole for one commit that breaks its rules, and so
// for everybody. A refused push is therefore divided: its works are pushed in two
// halves, and so on, until the ones at fault are alone. Those are set aside for a
// while, so that they do not spoil the next pushes.

// unit is what one push must hold together: one work, or all works of one pull
// request.
type unit []*task

// division is a refused push that is being divided.
type division struct {
	groups   [][]unit        // to be pushed one after the other; none: everything in one push
	pushes   int             // that were answered
	refused  int             // of them
	accepted map[string]bool // the branches of which something was accepted
	errs     map[*task]error // by which they were refused last
	suspects []suspect
}

// suspect is a unit that was refused alone.
type suspect struct {
	unit
	err error
}

const (
	// hopeless is how many refusals there are before a server is taken to refuse
	// everything: three rounds of halves.
	hopeless = 15
	// mostRefused is how many refusals one cycle is worth once something was accepted.
	mostRefused = 48
)

// current returns the tasks to push next; those that are not pending are left out.
func (b *gitBatch) current() []*task {
	d := &b.division
	for len(d.groups) > 0 {
		var tasks []*task
		for _, u := range d.groups[0] {
			tasks = append(tasks, u.pending()...)
		}
		if len(tasks) > 0 {
			return tasks
		}
		d.groups = d.groups[1:]
	}

	return unit(b.tasks).pending()
}

func (u unit) pending() []*task {
	return slices.DeleteFunc(slices.Clone(u), func(t *task) bool { return !t.pending })
}

// divide takes note of the updates of one push that the server refused, and decides
// what is pushed next. why has the error of each update.
func (b *gitBatch) divide(updates []*branchUpdate, why []error) {
	d := &b.division
	d.refused++
	if d.errs == nil {
		d.errs = map[*task]error{}
	}

	var units []unit
	for i, u := range updates {
		units = append(units, unitsOf(u)...)
		for _, t := range u.tasks() {
			d.errs[t] = why[i]
		}
	}
	if len(d.groups) > 0 {
		d.groups = d.groups[1:]
	}

	switch {
	case len(units) == 1:
		err := d.errs[units[0][0]]
		d.suspects = append(d.suspects, suspect{units[0], err})
		units[0].fail(err)
	case b.mayDivide(units):
		slices.SortStableFunc(units, func(x, y unit) int { return cmp.Compare(x[0].Project, y[0].Project) })
		half := len(units) / 2
		d.groups = append(d.groups, units[:half], units[half:])
	default:
		b.giveUp(append(d.groups, units))
	}
}

func unitsOf(u *branchUpdate) []unit {
	tasks := u.tasks()
	if len(tasks) > 0 && tasks[0].PullRequest != nil {
		return []unit{tasks}
	}

	units := make([]unit, len(tasks))
	for i, t := range tasks {
		units[i] = unit{t}
	}

	return units
}

func (u unit) fail(err error) {
	for _, t := range u {
		t.fail(err)
	}
}

// othersAccepted reports whether the server accepted a part of what it refused with
// an error: then it does not refuse everything.
func (b *gitBatch) othersAccepted(branch string, err error) bool {
	d := &b.division

	return d.accepted[branch] || errors.Is(err, gitwrite.ErrNotUnpacked) && len(d.accepted) > 0
}

// mayDivide reports whether dividing refused units is worth its pushes.
func (b *gitBatch) mayDivide(units []unit) bool {
	t := units[0][0]
	if b.othersAccepted(t.branch(), b.division.errs[t]) {
		return b.division.refused < mostRefused
	}

	return b.division.refused < hopeless && !b.isAside(everythingOn(t.branch()))
}

// giveUp fails what is left.
func (b *gitBatch) giveUp(groups [][]unit) {
	b.division.groups = nil
	for _, t := range slices.Concat(slices.Concat(groups...)...) {
		switch err := b.division.errs[t]; {
		case !t.pending:
		case err != nil && !b.othersAccepted(t.branch(), err):
			b.setBranchAside(t.branch(), err)
			t.fail(err)
		default:
			t.fail(b.failed("pushing", errors.New("the server refused it together with others"),
				"the next cycle continues to look for the one at fault"))
		}
	}
}

// noteAccepted notes that the server accepted the update of a branch.
func (b *gitBatch) noteAccepted(u *branchUpdate) {
	if b.division.accepted == nil {
		b.division.accepted = map[string]bool{}
	}
	b.division.accepted[u.Branch] = true

	for _, t := range u.tasks() {
		b.writer.asides.Forget(repositoryKey{b.repository, t.asideKey()})
	}
}

// setAside keeps those at fault out of the next pushes. A server that has accepted
// nothing has other reasons: it is asked for parts again after a pause.
func (b *gitBatch) setAside() {
	for _, s := range b.division.suspects {
		for _, t := range s.unit {
			switch {
			case b.othersAccepted(t.branch(), s.err):
				b.writer.asides.Set(repositoryKey{b.repository, t.asideKey()}, s.err)
			default:
				b.setBranchAside(t.branch(), s.err)
			}
		}
	}
}

// setBranchAside keeps a branch of which the server refuses all parts from being
// divided for a while.
func (b *gitBatch) setBranchAside(branch string, err error) {
	if key := everythingOn(branch); b.division.refused > 1 && !b.isAside(key) {
		b.writer.asides.Set(repositoryKey{b.repository, key}, err)
	}
}

// leaveAside fails the pending tasks that are set aside.
func (b *gitBatch) leaveAside() {
	for _, t := range unit(b.tasks).pending() {
		if a, ok := b.writer.asides.Get(repositoryKey{b.repository, t.asideKey()}); ok {
			t.fail(a.Told("the others land"))
		}
	}
}

func (b *gitBatch) isAside(key string) bool {
	_, ok := b.writer.asides.Get(repositoryKey{b.repository, key})

	return ok
}

func (t *task) asideKey() string { return t.Application + "\n" + t.branch() + "\n" + t.File }

// everythingOn is the key of a branch of which the server refuses all parts.
func everythingOn(branch string) string { return "\n" + branch }
