package plan

// proposedGate lets images wait that the head of a pull request sets already.
func proposedGate([]*Decision, Settings) answer {
	return func(d *Decision, i *Image) verdict {
		if d.draft == nil || d.draft.work == nil || !d.draft.work.Proposed {
			return goOn()
		}

		return wait("%s waits on branch %s for its pull request to be merged (%s)",
			i.Candidate, d.Case.Place.HeadBranch, i.reason)
	}
}
