package reconcile

import (
	"bytes"
	"fmt"

	"github.com/aymanbagabas/go-udiff"

	"github.com/liverty-music/image-writeback/internal/argo"
	"github.com/liverty-music/image-writeback/internal/gitwrite"
	"github.com/liverty-music/image-writeback/internal/image"
	"github.com/liverty-music/image-writeback/internal/manifest"
)

// imageEdit is one image to be set.
type imageEdit struct {
	kustomize manifest.KustomizeImage
	image     string
	alias     string
	old       string // the version that the plan was made on
	hadEntry  bool
}

func (e imageEdit) version() string { return image.Version(e.kustomize.NewTag, e.kustomize.Digest) }

func (e imageEdit) change(file string) gitwrite.Change {
	return gitwrite.Change{File: file, Image: e.image, Alias: e.alias, Old: e.old, New: e.version()}
}

// editFile makes edits on content that may be newer than what the plan saw. A
// value that is neither what the plan saw nor what it wants was set by
// somebody else meanwhile: theirs stays, and the next cycle decides anew.
func editFile(file string, edits []imageEdit) gitwrite.Edit {
	return func(old []byte) ([]byte, []gitwrite.Change, error) {
		var set []manifest.KustomizeImage
		var changes []gitwrite.Change
		for _, e := range edits {
			entry, found, err := manifest.ReadKustomizeImage(old, e.kustomize.Name)
			if err != nil {
				return nil, nil, err
			}
			if found != e.hadEntry || found && image.Version(entry.NewTag, entry.Digest) != e.old {
				continue
			}
			set = append(set, e.kustomize)
			changes = append(changes, e.change(file))
		}
		if len(set) == 0 {
			return old, nil, nil
		}
		content, err := manifest.SetKustomizeImages(old, set...)
		return content, changes, err
	}
}

// edit makes the work of one Application and shows it as a diff. An image that
// cannot be set in the file is an error of its own; the others go on.
func edit(app argo.Application, out *Application, at place, settings Settings) (*gitwrite.Work, []FileDiff) {
	file, err := at.current()
	if err != nil {
		return nil, nil
	}
	var edits []imageEdit
	var due []*Image
	for i := range out.Images {
		img := &out.Images[i]
		if img.Action != ActionUpdate {
			continue
		}
		if conflict := conflicting(edits, *img.edit); conflict != "" {
			img.Action, img.Reason = ActionError, conflict
			continue
		}
		if _, _, err := editFile(file.Path, []imageEdit{*img.edit})(file.Data); err != nil {
			img.Action, img.Reason = ActionError, fmt.Sprintf("%s on %s: %v", file.Path, file.Branch, err)
			continue
		}
		edits, due = append(edits, *img.edit), append(due, img)
	}
	if len(due) == 0 {
		return nil, nil
	}
	all := editFile(file.Path, edits)
	content, changes, err := all(file.Data)
	if err != nil {
		for _, img := range due {
			img.Action, img.Reason = ActionError, fmt.Sprintf("%s on %s: %v", file.Path, file.Branch, err)
		}
		return nil, nil
	}
	work := &gitwrite.Work{Application: out.String(), Name: out.Name, Base: at.base.Branch, Write: app.Target.WriteBranch, File: file.Path, Edit: all, Planned: changes}
	if due[0].Delivery == argo.DeliverPullRequest {
		work.Write = at.headBranch
		work.PullRequest = pullRequest(out, due, settings)
		if at.head != nil && at.head.Path == file.Path && bytes.Equal(at.head.Data, content) {
			work.Proposed = true
			for _, img := range due {
				img.Action = ActionSkip
				img.Reason = fmt.Sprintf("%s waits on branch %s for its pull request to be merged (%s)", img.Candidate, at.headBranch, img.Reason)
			}
			return work, nil
		}
	}
	branch := due[0].Branch
	diff := udiff.Unified("a/"+file.Path, "b/"+file.Path, string(file.Data), string(content))
	return work, []FileDiff{{Repository: at.repository, Branch: branch, File: file.Path, Diff: diff}}
}

// conflicting reports two images of one Application that want different
// versions in the same entry.
func conflicting(edits []imageEdit, e imageEdit) string {
	for _, other := range edits {
		if other.kustomize.Name == e.kustomize.Name && other.version() != e.version() {
			return fmt.Sprintf("%s and %s want different versions of %s in one place (%s and %s); give them one policy, or distinct kustomize.image-name annotations", other.alias, e.alias, e.kustomize.Name, other.version(), e.version())
		}
	}
	return ""
}
