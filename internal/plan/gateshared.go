package plan

import (
	"bytes"
	"slices"
)

// sharedHead is the head of a pull request that Applications may share.
type sharedHead struct {
	remote int
	branch string
}

// sharedGate leaves a pull request that several Applications share as it is
// while one of them has something proposed there and cannot be decided: rebuilt
// without that Application, the pull request would take its change back.
func sharedGate(decisions []*Decision, _ Settings) answer {
	undecided := map[sharedHead]string{}
	for _, d := range decisions {
		if d.undecided() {
			undecided[d.head()] = d.Application.String()
		}
	}

	held := map[*Decision]string{}
	for _, d := range decisions {
		other := undecided[d.head()]
		if other != "" && d.draft.hasWork() && d.draft.work.PullRequest != nil {
			d.draft.work, d.draft.diffs = nil, nil
			held[d] = other
		}
	}

	return func(d *Decision, i *Image) verdict {
		other, ok := held[d]
		if !ok {
			return goOn()
		}

		return wait("%s waits: %s has an error, and something proposed in the same pull request (%s)",
			i.Candidate, other, i.reason)
	}
}

func (d *Decision) head() sharedHead {
	return sharedHead{d.Case.Place.Remote, d.Case.Place.HeadBranch}
}

// undecided reports whether the head proposes something for an Application that
// has nothing to write because an image has an error or is held back. What the
// rules forbid keeps nobody waiting.
func (d *Decision) undecided() bool {
	at := &d.Case.Place
	if d.draft.hasWork() || at.Head == nil || bytes.Equal(at.Head.Data, at.Base.Data) {
		return false
	}

	return slices.ContainsFunc(d.Application.Images, func(i Image) bool { return i.heldBack() && !i.refused() })
}
