package plan

// proposedGate makes an image wait if the head branch already has its version.
func proposedGate([]*Decision, Settings) answer {
	return func(d *Decision, i *Image) verdict {
		if d.draft == nil || d.draft.work == nil || !d.draft.work.Proposed {
			return goOn()
		}

		return wait("%s waits on branch %s for its pull request to be merged (%s)",
			i.Candidate, d.Case.Place.HeadBranch, i.reason)
	}
}
