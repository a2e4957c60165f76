package plan

import (
	"github.com/liverty-music/image-writeback/internal/giturl"
	"github.com/liverty-music/image-writeback/internal/permission"
)

// permissionName is the name of the gate.
const permissionName = "permission"

// permissionGate refuses what the rules forbid an Application: files, branches,
// and the pull requests of other projects. What the rules forbid before anything
// is read is refused by [Decision.compare], in the name of this gate.
func permissionGate(decisions []*Decision, s Settings) answer {
	refusals := map[*Decision]*permission.Refusal{}
	for _, d := range decisions {
		if !d.Case.inApplication() {
			at := d.Case.write(d.delivery)
			refusals[d] = s.Permission.Write(d.Case.Application, at, d.Case.Territory)
		}
	}
	owners := headOwners(decisions, refusals)

	return func(d *Decision, _ *Image) verdict {
		if d.Case.inApplication() {
			return goOn()
		}
		if refusal := refusals[d]; refusal != nil {
			return refuse("%v", refusal)
		}

		app, head := d.Case.Application, d.ownedHead()
		if owner := owners[head]; owner != nil && owner.Case.Application.Project != app.Project {
			return refuse("the branch %s belongs to Application %s of another project (%s); a branch besides the "+
				"base is shared within one project alone: name another branch", head.branch, owner.Application,
				owner.Case.Application.Project)
		}

		return goOn()
	}
}

// write returns where a delivery writes.
func (c *Case) write(delivery string) permission.Place {
	target, at := c.Application.Target, &c.Place
	place := permission.Place{
		Repository: target.Repository, Path: at.Base.Path, Base: at.Base.Branch, Write: target.WriteBranch,
		Named: target.WriteBranch != "", Default: at.Default, Tracked: at.Tracked,
	}
	if opensPullRequest(delivery) {
		place.Write = at.HeadBranch
	}

	return place
}

// ownedHead is a branch of a repository, whoever reads it with which credentials.
type ownedHead struct{ repository, branch string }

// ownedHead returns the branch that a decision writes to, if it is not the base.
func (d *Decision) ownedHead() ownedHead {
	at := d.Case.write(d.delivery)
	if at.Write == "" || at.Write == at.Base || d.Case.inApplication() {
		return ownedHead{}
	}

	return ownedHead{giturl.Parse(at.Repository).Key(), at.Write}
}

// headOwners returns the decision that owns each head: that of the oldest
// Application for which the operator's settings name the branch, or if there is
// none, of the oldest one that names it in git-branch. What the rules refuse owns
// nothing.
func headOwners(decisions []*Decision, refusals map[*Decision]*permission.Refusal) map[ownedHead]*Decision {
	owners := map[ownedHead]*Decision{}
	for _, d := range decisions {
		head := d.ownedHead()
		if head == (ownedHead{}) || refusals[d] != nil || !d.Case.Open() {
			continue
		}
		if owner := owners[head]; owner == nil || d.comesBefore(owner) {
			owners[head] = d
		}
	}

	return owners
}

func (d *Decision) comesBefore(other *Decision) bool {
	a, b := d.Case.Application, other.Case.Application
	named := a.Target.WriteBranch != ""
	switch {
	case named != (b.Target.WriteBranch != ""):
		return !named
	case !a.Created.Equal(b.Created):
		return a.Created.Before(b.Created)
	}

	return a.String() < b.String()
}
