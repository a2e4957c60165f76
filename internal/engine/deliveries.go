package engine

import (
	"slices"
	"sync"

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
	repository *gitwrite.Repository // nil for an Application that is written to itself
	outcomes   []delivery.Outcome
	ended      bool
	late       bool // its cycle has not waited
}

// begin begins a job. If it ends late, resume is called with the address of its
// repository; ended is called at the end.
func (d *deliveries) begin(
	repository *gitwrite.Repository, do func() []delivery.Outcome, resume func(address string), ended func(),
) {
	d.mu.Lock()
	defer d.mu.Unlock()

	one := &writing{repository: repository}
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

// underway reports whether any job is.
func (d *deliveries) underway() bool {
	d.mu.Lock()
	defer d.mu.Unlock()

	return slices.ContainsFunc(d.all, func(one *writing) bool { return !one.ended })
}
