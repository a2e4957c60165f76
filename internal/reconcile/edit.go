package reconcile

import (
	"bytes"
	"fmt"
	"slices"

	"github.com/aymanbagabas/go-udiff"

	"github.com/liverty-music/image-writeback/internal/gitwrite"
	"github.com/liverty-music/image-writeback/internal/image"
	"github.com/liverty-music/image-writeback/internal/manifest"
	"github.com/liverty-music/image-writeback/internal/spec"
)

// imageEdit is one image to be set.
type imageEdit struct {
	format manifest.Format
	entry  manifest.Entry
	alias  string
	saw    manifest.Version // what the plan was made on
	old    image.Version    // what it was; what runs where the file says nothing
}

func (e imageEdit) change(file string) image.Change {
	return image.Change{File: file, Image: e.entry.Image, Alias: e.alias, Old: e.old, New: e.entry.Version}
}

// editFile makes edits on content that may be newer than what the plan saw. A
// value that is neither what the plan saw nor what it wants was set by
// somebody else meanwhile: theirs stays, and the next cycle decides anew.
func editFile(file string, edits []imageEdit) gitwrite.Edit {
	return func(old []byte) ([]byte, []image.Change, error) {
		var set []manifest.Entry
		var changes []image.Change
		for _, e := range edits {
			got, err := e.format.Read(old, e.entry)
			if err != nil {
				return nil, nil, err
			}
			if got.Found != e.saw.Found || got.String() != e.saw.String() {
				continue
			}
			set = append(set, e.entry)
			changes = append(changes, e.change(file))
		}
		if len(set) == 0 {
			return old, nil, nil
		}
		content, err := edits[0].format.Set(old, set...)
		return content, changes, err
	}
}

// edit makes the work of one Application and shows it as a diff. An image that
// cannot be set in the file is an error of its own; the others go on.
func edit(app spec.Application, out *Application, at place, settings Settings) (*gitwrite.Work, []FileDiff) {
	file, err := at.current()
	if err != nil {
		return nil, nil
	}
	var due []*Image
	for i := range out.Images {
		img := &out.Images[i]
		if img.Action == ActionUpdate {
			due = append(due, img)
		}
	}
	all, content, changes, err := together(file, append(carried(out, at, file), due...))
	if err != nil {
		due = without(file, due)
		if all, content, changes, err = together(file, due); err != nil {
			refuse(file, due, err)
			return nil, nil
		}
	}
	if len(due) == 0 {
		return settled(app, out, at, file, settings), nil
	}
	work := &gitwrite.Work{Application: out.String(), Name: out.Name, Base: at.base.Branch, Write: app.Target.WriteBranch, File: file.Path, Create: at.created, Edit: all, Planned: changes}
	if due[0].Delivery == spec.DeliverPullRequest {
		work.Write = at.headBranch
		work.PullRequest = pullRequest(app, settings.PullRequests)
		if at.head != nil && at.head.Path == file.Path && bytes.Equal(at.head.Data, content) {
			work.Proposed = true
			for _, img := range due {
				img.Action = ActionSkip
				img.Reason = fmt.Sprintf("%s waits on branch %s for its pull request to be merged (%s)", img.Candidate, at.headBranch, img.Reason)
			}
		}
	}
	from := "a/" + file.Path
	if at.created && len(file.Data) == 0 {
		from = "/dev/null"
	}
	diff := FileDiff{Repository: at.repository, Branch: due[0].Branch, File: file.Path, Diff: udiff.Unified(from, "b/"+file.Path, string(file.Data), string(content))}
	if at.inApplication {
		diff.Application = out.String()
	}
	return work, []FileDiff{diff}
}

// pullRequest is that of an Application, without what it says.
func pullRequest(app spec.Application, settings PullRequests) *gitwrite.PullRequest {
	return &gitwrite.PullRequest{Labels: slices.Concat(settings.Labels, missing(app.Target.Labels, settings.Labels)), Reviewers: settings.Reviewers, Assignees: settings.Assignees,
		Draft: settings.Draft, AutoMerge: settings.AutoMerge, Ours: app.Target.WriteBranch == ""}
}

// carried are the images that cannot be decided in this cycle, but are proposed
// by the head already: what it holds of them is not taken back.
func carried(out *Application, at place, file gitwrite.File) (all []*Image) {
	if at.delivery != spec.DeliverPullRequest || at.head == nil || at.head.Path != file.Path {
		return nil
	}
	for i := range out.Images {
		img := out.Images[i]
		if img.Action != ActionError {
			continue
		}
		entry := entryOf(img.update)
		base, err := at.format.Read(file.Data, entry)
		if err != nil {
			continue
		}
		head, err := at.format.Read(at.head.Data, entry)
		if err != nil || !head.Found || head.String() == base.String() {
			continue
		}
		entry.Version = head.Version
		img.edit = &imageEdit{format: at.format, entry: entry, alias: img.Label(), saw: base, old: base.Version}
		all = append(all, &img)
	}
	return all
}

// settled is the work of an Application whose base holds all that is wanted,
// while there is still the head of a pull request.
func settled(app spec.Application, out *Application, at place, file gitwrite.File, settings Settings) *gitwrite.Work {
	if at.delivery != spec.DeliverPullRequest || !at.headExists || !at.pulls || at.headBranch == at.base.Branch || len(out.Images) == 0 {
		return nil
	}
	for _, img := range out.Images {
		if img.Action != ActionUpToDate {
			return nil // not known, or not decided: nothing is taken back
		}
	}
	return &gitwrite.Work{Application: out.String(), Name: out.Name, Base: at.base.Branch, Write: at.headBranch, File: file.Path, Settled: true,
		Proposed: at.head != nil && bytes.Equal(at.head.Data, file.Data), PullRequest: pullRequest(app, settings.PullRequests)}
}

// together makes the edit of all images in one, and tries it. Images that
// share an anchored value can be set in no other way.
func together(file gitwrite.File, due []*Image) (gitwrite.Edit, []byte, []image.Change, error) {
	edits := make([]imageEdit, len(due))
	for i, img := range due {
		edits[i] = *img.edit
	}
	all := editFile(file.Path, edits)
	content, changes, err := all(file.Data)
	return all, content, changes, err
}

// without leaves out the images that cannot be set even alone.
func without(file gitwrite.File, due []*Image) []*Image {
	var rest []*Image
	for _, img := range due {
		if _, _, _, err := together(file, []*Image{img}); err != nil {
			refuse(file, []*Image{img}, err)
			continue
		}
		rest = append(rest, img)
	}
	return rest
}

func refuse(file gitwrite.File, images []*Image, err error) {
	for _, img := range images {
		img.Action, img.Reason = ActionError, fmt.Sprintf("%s: %v", named(file), err)
	}
}
