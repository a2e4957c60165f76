package engine

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/liverty-music/image-writeback/internal/gitwrite"
	"github.com/liverty-music/image-writeback/internal/image"
	"github.com/liverty-music/image-writeback/internal/plan"
)

// deliverTimeout bounds the delivery of one plan.
const deliverTimeout = 10 * time.Minute

// deliver writes the plan. Once begun it is not interrupted half-way: a push
// that is under way is finished, within the timeout.
func (c *cycle) deliver(ctx context.Context) []gitwrite.Outcome {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), deliverTimeout)
	defer cancel()

	works := map[*plan.Case]*plan.Work{}
	var applications []*plan.Decision
	for _, d := range c.plan.Decisions {
		if d.Work == nil {
			continue
		}
		works[d.Case] = d.Work
		if d.InApplication() {
			applications = append(applications, d)
		}
	}

	var batches []batch
	for _, r := range c.readings {
		b := batch{reading: r}
		for _, one := range r.cases {
			if w := works[one]; w != nil {
				b.works = append(b.works, *w)
			}
		}
		if len(b.works) > 0 {
			batches = append(batches, b)
		}
	}

	outcomes := make([][]gitwrite.Outcome, len(batches))
	progress := c.stage("writing", len(batches))
	var group sync.WaitGroup
	for i, b := range batches {
		group.Go(func() {
			defer progress()
			shard := b.reading.cases[0].Application.Shard()
			outcomes[i] = b.reading.repository.Write(ctx, b.reading.snapshot, b.works,
				func() bool { return c.Replicas.owns(shard) })
		})
	}
	all := c.patch(ctx, applications)
	group.Wait()

	for _, o := range outcomes {
		all = append(all, o...)
	}

	return all
}

// batch is what is written to one repository.
type batch struct {
	reading *reading
	works   []plan.Work
}

// patchesAtOnce is how many Applications are changed at a time.
const patchesAtOnce = 8

// patch writes to Applications themselves: write-back-method argocd.
func (c *cycle) patch(ctx context.Context, decisions []*plan.Decision) []gitwrite.Outcome {
	outcomes := make([]gitwrite.Outcome, len(decisions))
	slots := make(chan struct{}, patchesAtOnce)
	var group sync.WaitGroup
	for i, d := range decisions {
		slots <- struct{}{}
		group.Go(func() {
			defer func() { <-slots }()
			outcomes[i] = c.patchOne(ctx, d)
		})
	}
	group.Wait()

	return outcomes
}

func (c *cycle) patchOne(ctx context.Context, d *plan.Decision) gitwrite.Outcome {
	app := d.Case.Application
	outcome := gitwrite.Outcome{Application: app.String()}
	if c.Cluster == nil {
		outcome.Err = errors.New("write-back-method argocd changes the Application in its cluster, but it was read from a file; leave --applications out, or use the method git")
		return outcome
	}
	if !c.Replicas.owns(app.Shard()) {
		outcome.Note = "another replica has taken over the Application"
		return outcome
	}

	var changes []image.Change
	err := c.Cluster.SetOverrides(ctx, app.Namespace, app.Name, app.Target.Source, func(old []byte) (content []byte, err error) {
		content, changes, err = d.Work.Edit(old)
		return content, err
	})
	switch {
	case err != nil:
		outcome.Err = fmt.Errorf("%s: %w", d.Work.File, err)
	case len(changes) == 0:
		outcome.Note = "the Application changed during this cycle; retrying in the next one"
	default:
		outcome.Changes, outcome.Patched = changes, true
	}

	return outcome
}
