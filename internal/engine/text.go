package engine

import (
	"context"
	"time"

	"github.com/liverty-music/image-writeback/internal/giturl"
	"github.com/liverty-music/image-writeback/internal/image"
	"github.com/liverty-music/image-writeback/internal/plan"
	"github.com/liverty-music/image-writeback/internal/report"
)

// How long delivery waits for the facts that pull requests show: for those of one
// image, and for all of one repository. A registry or a source repository that
// hangs must not use up the time for the commits.
const (
	factsTimeout = 30 * time.Second
	textsTimeout = 2 * time.Minute
)

// title makes the titles of pull requests. Their bodies are made by [cycle.body],
// where they are needed.
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

// writeTexts makes the bodies of pull requests.
func (c *cycle) writeTexts(ctx context.Context, requests []*plan.PullRequest) {
	ctx, cancel := context.WithTimeout(ctx, textsTimeout)
	defer cancel()

	for _, request := range requests {
		request.Body = c.body(ctx, request)
	}
}

// body makes the body of a pull request.
func (c *cycle) body(ctx context.Context, request *plan.PullRequest) string {
	text := c.texts[request]
	changes := text.Proposal.Changes

	return text.Body(changes, c.facts(ctx, text.Images(changes)))
}

func (c *cycle) facts(ctx context.Context, images []*plan.Image) map[*plan.Image]report.Facts {
	facts := map[*plan.Image]report.Facts{}
	for _, img := range images {
		facts[img] = c.factsOf(ctx, img)
	}

	return facts
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

	if c.Compare == nil || to.Source == "" || to.Revision == "" || img.Old.IsZero() {
		return f
	}
	before := image.Tag{Name: img.Old.Tag, Digest: img.Old.Digest}
	_, from, err := repository.Inspect(ctx, before, defaultPlatform())
	if err != nil || from.Revision == "" || from.Revision == to.Revision || !sameSource(from.Source, to.Source) {
		return f
	}
	f.Comparison = c.Compare(ctx, to.Source, from.Revision, to.Revision)

	return f
}

func sameSource(a, b string) bool { return giturl.Parse(a).Key() == giturl.Parse(b).Key() }
