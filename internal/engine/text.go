package engine

import (
	"context"
	"time"

	"github.com/liverty-music/image-writeback/internal/delivery"
	"github.com/liverty-music/image-writeback/internal/giturl"
	"github.com/liverty-music/image-writeback/internal/image"
	"github.com/liverty-music/image-writeback/internal/plan"
	"github.com/liverty-music/image-writeback/internal/report"
	"github.com/liverty-music/image-writeback/internal/spec"
)

// How long delivery waits for the facts that pull requests show: for those of one
// image, and for all of one repository. A registry or a source repository that
// hangs must not use up the time for the pull requests.
const (
	factsTimeout = 30 * time.Second
	textsTimeout = 2 * time.Minute
)

// title makes the titles of pull requests for the planned changes: a pull request
// that has lost its record is recognized by its title. [cycle.writeTexts] makes
// the texts that are sent.
func (c *cycle) title(proposals []*plan.Proposal) {
	if len(proposals) == 0 {
		return
	}

	running := report.RunningIn(c.all)
	c.texts = map[*plan.PullRequest]*report.Text{}
	for _, p := range proposals {
		text := &report.Text{Templates: c.Templates, Proposal: p, Running: running}
		c.texts[p.Request] = text
		p.Request.Key = text.Key()
		p.Request.Title = text.Title(p.Changes)
	}
}

// writeTexts makes the titles and bodies of pull requests that will be opened or
// edited.
func (c *cycle) writeTexts(ctx context.Context, texts []delivery.Text) {
	ctx, cancel := context.WithTimeout(ctx, textsTimeout)
	defer cancel()

	for _, t := range texts {
		text := c.texts[t.Request]
		t.Request.Title = text.Title(t.Changes)
		t.Request.Body = text.Body(t.Changes, c.facts(ctx, text.Images(t.Changes)))
	}
}

func (c *cycle) facts(ctx context.Context, images []*plan.Image) map[*plan.Image]report.Facts {
	facts := map[*plan.Image]report.Facts{}
	for _, img := range images {
		facts[img] = c.factsOf(ctx, img)
	}

	return facts
}

// applicationOf returns the Application of an image of the plan.
func (c *cycle) applicationOf(img *plan.Image) spec.Application {
	for _, d := range c.plan.Decisions {
		for i := range d.Application.Images {
			if &d.Application.Images[i] == img {
				return d.Case.Application
			}
		}
	}

	return spec.Application{}
}

// factsOf asks the registry, and the source repository, about the change of an
// image. What is not answered is left out: it is not worth the pull request.
func (c *cycle) factsOf(ctx context.Context, img *plan.Image) report.Facts {
	ctx, cancel := context.WithTimeout(ctx, factsTimeout)
	defer cancel()

	f := report.Facts{Tag: img.Choice.Tag}
	if !img.Known() {
		return f
	}
	repository, err := c.Registries.Repository(img.Spec.Ref, img.Spec.Credentials)
	if err != nil {
		return f
	}
	ctx, end := repository.StartClock(ctx)
	defer end()

	tag, to, err := repository.Inspect(ctx, f.Tag, defaultPlatform())
	if err != nil {
		return f
	}
	f.Tag = tag

	if to.Source == "" || !image.ValidRevision(to.Revision) || img.Old.IsZero() || img.Old.Hidden {
		return f
	}
	before := image.Tag{Name: img.Old.Tag, Digest: img.Old.Digest}
	_, from, err := repository.Inspect(ctx, before, defaultPlatform())
	if err != nil || !image.ValidRevision(from.Revision) || from.Revision == to.Revision ||
		!sameSource(from.Source, to.Source) {
		return f
	}
	f.Comparison = c.Compare.between(ctx, c.applicationOf(img), to.Source, from.Revision, to.Revision)

	return f
}

func sameSource(a, b string) bool { return giturl.Parse(a).Key() == giturl.Parse(b).Key() }
