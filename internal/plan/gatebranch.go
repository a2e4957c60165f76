package plan

// branchGate refuses changes for which the template of git-branch makes no
// usable name.
func branchGate([]*Decision, Settings) answer {
	return func(d *Decision, _ *Image) verdict {
		if err := d.Case.BranchErr; err != nil {
			return refuse("%v", err)
		}

		return goOn()
	}
}
