package plan

import (
	"cmp"
	"errors"
	"fmt"

	"github.com/liverty-music/image-writeback/internal/image"
	"github.com/liverty-music/image-writeback/internal/manifest"
	"github.com/liverty-music/image-writeback/internal/permission"
	"github.com/liverty-music/image-writeback/internal/spec"
)

// compare compares what the policy chose for an image with what git holds. An
// image that cannot be compared is decided at once. Any other one is open: the
// gates are asked, if it is due.
func (d *Decision) compare(candidate Candidate) Image {
	i := newImage(candidate, d.Case)

	if broken := d.Case.Application.Broken(); len(broken) > 0 {
		i.decide(ActionError, broken[0].Error())
		return i
	}
	if d.Case.Refused != nil {
		i.decide(ActionError, d.Case.Refused.Error())
		i.Gate = permissionName
		return i
	}
	if problems := candidate.Spec.Problems; len(problems) > 0 {
		i.decide(ActionError, problems[0].Error())
		return i
	}

	want := &wanted{entry: entryOf(candidate.Spec), format: d.Case.Place.Format}
	file, err := d.file, d.fileErr
	i.Branch, i.File = d.Case.Place.Base.Branch, file.Path
	if err == nil {
		if want.have, err = d.have(want.entry); err != nil {
			err = fmt.Errorf("%s: %w; correct the file", file, err)
		}
	}

	i.Old = candidate.Spec.Live.Version
	if want.have.Found {
		i.Old = want.have.Shown
	}
	if want.have.Version == candidate.Spec.Live.Version { // whoever sees the Application sees it
		i.Old = candidate.Spec.Live.Version
	}
	i.Current = i.Old.String()

	switch {
	case candidate.Spec.NotLive != "":
		i.decide(ActionSkip, candidate.Spec.NotLive)
	case waits(err) || err == nil && waits(candidate.Err):
		i.decide(ActionSkip, cmp.Or(err, candidate.Err).Error())
		i.Gate = answerName
	case err != nil:
		i.decide(ActionError, err.Error())
	case candidate.Err != nil:
		i.decide(ActionError, candidate.Err.Error())
		if refusal := new(permission.Refusal); errors.As(candidate.Err, &refusal) {
			i.Gate = permissionName
		}
	case !candidate.Choice.Found:
		reason := "no tag was chosen: " + candidate.Choice.Reason
		if len(candidate.Choice.Dropped) == 0 && !i.Old.IsZero() {
			reason += ", though " + i.Current + " is in use; look at the registry's clean-up policy"
		}
		i.decide(ActionSkip, reason)
	default:
		d.want(&i, want)
	}

	return i
}

// answerName is the name by which images are held back whose answers are not there yet.
const answerName = "answer"

func waits(err error) bool {
	var waiting *Waiting

	return errors.As(err, &waiting)
}

// have returns the version that the file has for an image. The file is parsed once
// for all images.
func (d *Decision) have(e manifest.Entry) (v manifest.Version, err error) {
	if d.images == nil && d.openErr == nil {
		d.images, d.openErr = d.Case.Place.Format.Open(d.file.Data)
	}
	if d.openErr != nil {
		return v, d.openErr
	}

	return d.images.Version(e)
}

func newImage(candidate Candidate, c *Case) Image {
	return Image{
		Alias:      candidate.Spec.Alias,
		Image:      candidate.Spec.Ref.Name,
		Strategy:   string(candidate.Spec.Policy.Strategy),
		Constraint: candidate.Spec.Policy.Constraint,
		Method:     c.Application.Target.Method,
		Repository: c.Place.Repository,
		Basis:      Basis{Spec: candidate.Spec, Choice: candidate.Choice},
	}
}

// want notes the version that an image is to have, and whether it is due.
func (d *Decision) want(i *Image, want *wanted) {
	p := i.Spec.Policy
	want.entry.Version = p.Version(i.Choice.Tag)
	want.change = image.Change{
		File: d.file.Path, Image: want.entry.Image, Alias: i.Label(), Old: i.Old, New: want.entry.Version,
	}

	if !want.entry.Version.Valid() {
		i.decide(ActionError, "the registry names a tag or a digest that is none; ask whoever runs it")
		return
	}

	i.wanted = want
	i.Candidate = want.entry.Version.String()
	i.due = !p.Satisfied(want.have.Version, want.entry.Version)
	if !want.have.Found { // what runs counts if git does not set the image
		i.due = !p.Runs(i.Spec.Live.Version, want.entry.Version)
	}
	i.reason = i.Choice.Reason

	switch {
	case !i.due:
	case d.Case.Place.MayCreate && len(d.file.Data) == 0:
		i.reason += fmt.Sprintf("; %s does not exist yet and is created", d.file.Path)
	case want.have.Missing != "":
		i.reason += fmt.Sprintf("; %s has no %s, which is added", d.file.Path, want.have.Missing)
	}
}

func entryOf(s spec.Image) manifest.Entry {
	return manifest.Entry{
		Image:         s.Ref.Name,
		KustomizeName: s.KustomizeName,
		HelmName:      s.HelmName,
		HelmTag:       s.HelmTag,
		HelmSpec:      s.HelmSpec,
	}
}
