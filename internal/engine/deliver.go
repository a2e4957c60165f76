package engine

import (
	"context"
	"time"

	"github.com/liverty-music/image-writeback/internal/delivery"
	"github.com/liverty-music/image-writeback/internal/limit"
	"github.com/liverty-music/image-writeback/internal/panics"
	"github.com/liverty-music/image-writeback/internal/plan"
	"github.com/liverty-music/image-writeback/internal/spec"
)

// deliverTimeout bounds the delivery to one target.
const deliverTimeout = 10 * time.Minute

// deliver writes the plan: all targets at the same time. Once begun it is not
// interrupted half-way: a push that is under way is finished, within the timeout. The
// outcomes are those that are known, also of slow deliveries of earlier cycles.
func (c *cycle) deliver(waiting context.Context) []delivery.Outcome {
	ctx := context.WithoutCancel(waiting)
	repositories := c.repositoryJobs()
	jobs := append(c.applicationJobs(), repositories...)
	progress := c.stage("writing", len(repositories))

	w := newWait(len(jobs))
	for _, job := range jobs {
		step := func() {}
		if job.Repository != nil {
			step = progress
		}
		w.count(true, step)
		c.state.deliveries.begin(job, func() []delivery.Outcome {
			ctx, cancel := context.WithTimeout(limit.WithTenant(ctx, job.Works[0].Application), deliverTimeout)
			defer cancel()

			outcomes, err := panics.Try(func() ([]delivery.Outcome, error) { return c.carryOut(ctx, job), nil })
			if err != nil {
				c.logPanic(err)
				return job.Fail(err)
			}

			return outcomes
		}, c.resume, w.ended(step))
	}
	c.wait(waiting, w, 2*patience)

	return c.state.deliveries.take()
}

// carryOut writes to one target. The text of a pull request asks registries and
// forges, so it is made only if the pull request will be opened or edited, after
// the commits have landed.
func (c *cycle) carryOut(ctx context.Context, job delivery.Job) []delivery.Outcome {
	batch := c.Delivery.Examine(ctx, job)
	batch.Write(ctx)
	c.writeTexts(ctx, batch.Texts())

	return batch.Finish(ctx)
}

// applicationJobs are the works of methods that do not write to git, one job for
// each Application.
func (c *cycle) applicationJobs() []delivery.Job {
	var jobs []delivery.Job
	for _, d := range c.plan.Decisions {
		if d.Work == nil || !d.InApplication() {
			continue
		}
		app := d.Case.Application
		jobs = append(jobs, delivery.Job{
			Method: app.Target.Method,
			Works:  []plan.Work{*d.Work},
			Owns:   func() bool { return c.Replicas.owns(app.Shard()) },
			Source: app.Target.Source,
		})
	}

	return jobs
}

// repositoryJobs are the works for git, one job for each repository.
func (c *cycle) repositoryJobs() []delivery.Job {
	works := map[*plan.Case]*plan.Work{}
	for _, d := range c.plan.Decisions {
		works[d.Case] = d.Work
	}

	var jobs []delivery.Job
	for _, r := range c.readings {
		shard := r.cases[0].Application.Shard()
		job := delivery.Job{
			Method:     spec.MethodGit,
			Owns:       func() bool { return c.Replicas.owns(shard) },
			Repository: r.repository,
			Snapshot:   r.snapshot,
		}
		for _, one := range r.cases {
			if w := works[one]; w != nil {
				job.Works = append(job.Works, *w)
			}
		}
		if len(job.Works) > 0 {
			jobs = append(jobs, job)
		}
	}

	return jobs
}
