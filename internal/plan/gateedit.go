package plan

// editGate drafts the edits of all files, and refuses images that cannot be set
// in theirs. The other images of the Application go on.
func editGate(decisions []*Decision, s Settings) answer {
	failed := map[*Image]error{}
	for _, d := range decisions {
		d.draft = newDraft(d, s, failed)
	}

	return func(d *Decision, i *Image) verdict {
		if err, ok := failed[i]; ok {
			return refuse("%s: %v", d.file, err)
		}

		return goOn()
	}
}
