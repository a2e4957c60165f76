package plan

import (
	"bytes"
	"slices"

	"github.com/aymanbagabas/go-udiff"

	"github.com/liverty-music/image-writeback/internal/image"
	"github.com/liverty-music/image-writeback/internal/manifest"
	"github.com/liverty-music/image-writeback/internal/spec"
)

// wanted is one image as a file is to have it.
type wanted struct {
	format manifest.Format
	entry  manifest.Entry
	have   manifest.Version // what the plan was made on
	change image.Change
}

// editOf returns the edit that sets images in a file whose content may be newer
// than what the plan was made on. A value that is no longer what the plan saw was
// set by somebody else: it stays, and the next cycle decides again.
func editOf(all []*wanted) Edit {
	return func(old []byte) ([]byte, []image.Change, error) {
		var entries []manifest.Entry
		var changes []image.Change

		if len(all) == 0 {
			return old, nil, nil
		}
		images, err := all[0].format.Open(old)
		if err != nil {
			return nil, nil, err
		}

		for _, w := range all {
			got, err := images.Version(w.entry)
			if err != nil {
				return nil, nil, err
			}
			if got.Found != w.have.Found || got.String() != w.have.String() {
				continue
			}

			entries = append(entries, w.entry)
			changes = append(changes, w.change)
		}
		if len(entries) == 0 {
			return old, nil, nil
		}

		content, err := all[0].format.Set(old, entries...)

		return content, changes, err
	}
}

// draft is what would be written for one case.
type draft struct {
	work  *Work // nil: nothing
	diffs []FileDiff
}

func (d *draft) hasWork() bool { return d != nil && d.work != nil }

// mostTried is how many bytes are edited to find out which images of an Application
// cannot be set. Beyond that, none of them is.
const mostTried = 4 << 20

// newDraft makes the edit of one case and shows it as a diff. Images that
// cannot be set are noted in failed; the others go on.
func newDraft(d *Decision, s Settings, failed map[*Image]error) *draft {
	if d.fileErr != nil {
		return nil
	}

	due := d.due()
	e := try(d.file, append(carried(d), wants(due)...))
	if e.err != nil && len(due)*len(d.file.Data) <= mostTried {
		due = settable(d.file, due, failed)
		e = try(d.file, wants(due))
	}
	if e.err != nil {
		for _, img := range due {
			failed[img] = e.err
		}

		return nil
	}
	if len(due) == 0 {
		if w := settled(d, s); w != nil {
			return &draft{work: w}
		}

		return nil
	}

	return &draft{work: d.work(e, s), diffs: []FileDiff{d.diff(due[0].Branch, e.content)}}
}

// attempt is the result of an edit that was tried on the present content.
type attempt struct {
	edit    Edit
	content []byte
	changes []image.Change
	err     error
}

// try makes the edit of all images in one. Images that share an anchored value
// can be set in no other way.
func try(file File, all []*wanted) attempt {
	a := attempt{edit: editOf(all)}
	a.content, a.changes, a.err = a.edit(file.Data)

	return a
}

// settable leaves out the images that cannot be set even alone.
func settable(file File, due []*Image, failed map[*Image]error) []*Image {
	var rest []*Image

	for _, img := range due {
		if e := try(file, wants([]*Image{img})); e.err != nil {
			failed[img] = e.err
			continue
		}
		rest = append(rest, img)
	}

	return rest
}

func wants(images []*Image) []*wanted {
	all := make([]*wanted, len(images))
	for i, img := range images {
		all[i] = img.wanted
	}

	return all
}

// carried returns what the head of a pull request already proposes for images
// that have an error or are held back in this cycle. It is not taken back, unless
// the rules forbid it.
func carried(d *Decision) []*wanted {
	at := &d.Case.Place
	if d.delivery != spec.DeliverPullRequest || at.Head == nil || at.Head.Path != d.file.Path {
		return nil
	}

	images := d.Application.Images
	if !slices.ContainsFunc(images, Image.heldBack) {
		return nil
	}
	base, err := at.Format.Open(d.file.Data)
	if err != nil {
		return nil
	}
	head, err := at.Format.Open(at.Head.Data)
	if err != nil {
		return nil
	}

	var all []*wanted
	for i := range images {
		if img := &images[i]; img.heldBack() && !img.refused() {
			if w := carriedImage(d, img, base, head); w != nil {
				all = append(all, w)
			}
		}
	}

	return all
}

func carriedImage(d *Decision, img *Image, base, head manifest.Images) *wanted {
	w := &wanted{entry: entryOf(img.Spec), format: d.Case.Place.Format}

	have, err := base.Version(w.entry)
	if err != nil {
		return nil
	}
	proposed, err := head.Version(w.entry)
	if err != nil || !proposed.Found || proposed.String() == have.String() {
		return nil
	}

	w.entry.Version, w.have = proposed.Version, have
	w.change = image.Change{
		File: d.file.Path, Image: w.entry.Image, Alias: img.Label(), Old: have.Shown, New: proposed.Shown,
	}

	return w
}

// work is what an edit gives delivery to do.
func (d *Decision) work(e attempt, s Settings) *Work {
	w := d.newWork()
	w.Write = d.Case.Application.Target.WriteBranch
	w.Create = d.Case.Place.MayCreate
	w.Edit, w.Planned = e.edit, e.changes

	if opensPullRequest(d.delivery) && !d.Case.inApplication() {
		w.Write = d.Case.Place.HeadBranch
		w.PullRequest = s.PullRequests.request(d.Case.Application)
		w.Proposed = d.headHas(e.content)
	}

	return w
}

func (d *Decision) newWork() *Work {
	return &Work{
		Application: d.Application.String(),
		Name:        d.Application.Name,
		Project:     d.Case.Application.Project,
		Base:        d.Case.Place.Base.Branch,
		File:        d.file.Path,
	}
}

// headHas reports whether the head has the file with a content.
func (d *Decision) headHas(content []byte) bool {
	head := d.Case.Place.Head

	return head != nil && head.Path == d.file.Path && bytes.Equal(head.Data, content)
}

// settled is the work of an Application whose base holds all that is wanted,
// while the head of a pull request is still there.
func settled(d *Decision, s Settings) *Work {
	at := &d.Case.Place
	if d.delivery != spec.DeliverPullRequest || !at.HeadExists || !at.PullRequests || at.HeadBranch == at.Base.Branch {
		return nil
	}

	images := d.Application.Images
	for i := range images {
		if images[i].decided() || images[i].due {
			return nil // not known, or not decided: nothing is taken back
		}
	}
	if len(images) == 0 {
		return nil
	}

	w := d.newWork()
	w.Write = at.HeadBranch
	w.Settled = true
	w.Proposed = at.Head != nil && bytes.Equal(at.Head.Data, d.file.Data)
	w.PullRequest = s.PullRequests.request(d.Case.Application)

	return w
}

func (d *Decision) diff(branch string, content []byte) FileDiff {
	from := "a/" + d.file.Path
	if d.Case.Place.MayCreate && len(d.file.Data) == 0 {
		from = "/dev/null"
	}

	diff := FileDiff{
		Repository: d.Case.Place.Repository,
		Branch:     branch,
		File:       d.file.Path,
		Diff:       udiff.Unified(from, "b/"+d.file.Path, string(d.file.Data), string(content)),
	}
	if d.Case.inApplication() {
		diff.Application = d.Application.String()
	}

	return diff
}
