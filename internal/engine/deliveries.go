package engine

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/liverty-music/image-writeback/internal/delivery"
	"github.com/liverty-music/image-writeback/internal/giturl"
	"github.com/liverty-music/image-writeback/internal/gitwrite"
)

// deliveries are the jobs that are under way, or of which nobody has taken the
// outcomes. A slow one does not keep its cycle waiting: it goes on, its outcomes are
// those of the next cycle, and until then nothing is decided for its repository. The
// zero value is ready for use.
type deliveries struct {
	mu  sync.Mutex
	all []*writing // in the order in which they began

	group sync.WaitGroup // of those under way
}

// writing is one job.
type writing struct {
	target     string               // as it may be shown
	repository *gitwrite.Repository // nil for an Application that is written to itself
	outcomes   []delivery.Outcome
	ended      bool
	late       bool // its cycle has not waited
}

// begin begins a job. If it ends late, resume is called with the address of its
// repository; ended is called at the end.
func (d *deliveries) begin(
	job delivery.Job, do func() []delivery.Outcome, resume func(address string), ended func(),
) {
	d.mu.Lock()
	defer d.mu.Unlock()

	repository := job.Repository
	one := &writing{repository: repository}
	if repository != nil {
		one.target = repository.URL()
	} else if len(job.Works) > 0 {
		one.target = job.Works[0].Application
	}
	d.all = append(d.all, one)
	d.group.Go(func() {
		defer ended()
		if !d.end(one, do()) {
			return
		}
		address := "" // of an Application that is written to itself
		if repository != nil {
			address = giturl.Parse(repository.URL()).Key()
		}
		resume(address)
	})
}

// end notes the outcomes of a job. It reports whether another cycle must tell them.
func (d *deliveries) end(one *writing, outcomes []delivery.Outcome) (resume bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	one.outcomes, one.ended = outcomes, true

	return one.late
}

// take returns the outcomes that are there. Jobs without any are late from now on.
func (d *deliveries) take() []delivery.Outcome {
	d.mu.Lock()
	defer d.mu.Unlock()

	var outcomes []delivery.Outcome
	d.all = slices.DeleteFunc(d.all, func(one *writing) bool {
		outcomes = append(outcomes, one.outcomes...)
		one.late = !one.ended

		return one.ended
	})

	return outcomes
}

// writes reports whether a repository is being written to.
func (d *deliveries) writes(repository *gitwrite.Repository) bool {
	d.mu.Lock()
	defer d.mu.Unlock()

	return slices.ContainsFunc(d.all, func(one *writing) bool {
		return one.repository == repository && !one.ended
	})
}

// drain waits until no job is under way. If ctx has ended or ends, it waits no longer than
// grace from then on, and returns what is still being written to.
func (d *deliveries) drain(ctx context.Context, grace time.Duration) (left []string) {
	done := make(chan struct{})
	go func() {
		d.group.Wait()
		close(done)
	}()

	select {
	case <-done:
		return nil
	case <-ctx.Done():
	}
	timer := time.NewTimer(grace)
	defer timer.Stop()
	select {
	case <-done:
		return nil
	case <-timer.C:
	}

	d.mu.Lock()
	defer d.mu.Unlock()
	for _, one := range d.all {
		if !one.ended {
			left = append(left, one.target)
		}
	}

	return left
}

// underway reports whether any job is.
func (d *deliveries) underway() bool {
	d.mu.Lock()
	defer d.mu.Unlock()

	return slices.ContainsFunc(d.all, func(one *writing) bool { return !one.ended })
}
