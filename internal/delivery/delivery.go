// Package delivery carries out what package plan has decided: it writes to git
// repositories, straight to a branch or by pull request, and to Applications.
//
// A [Service] has a writer for each write-back method. The caller gives it a [Job]
// for each target. [Service.Examine] finds out what is to be done there and changes
// nothing; the [Batch] names the pull requests whose text is needed, and
// [Batch.Deliver] then does it. What became of each work is an [Outcome], which has
// a [Kind].
//
// A new writer is a file of this package that implements [Writer], and a line in
// [New]. How git works is not known here; see package gitwrite.
package delivery

import (
	"context"
	"fmt"

	"github.com/liverty-music/image-writeback/internal/gitwrite"
	"github.com/liverty-music/image-writeback/internal/plan"
	"github.com/liverty-music/image-writeback/internal/spec"
)

// Writer carries out the works of one write-back method.
type Writer interface {
	// Examine finds out what is to be done about the works of a job. It may read
	// from the target, and changes nothing. What goes wrong is kept for the
	// outcomes.
	Examine(ctx context.Context, job Job) Batch
}

// Batch is a [Job] that was examined.
type Batch interface {
	// Texts returns the pull requests that will be opened or edited. Set their
	// bodies before Deliver; no other body is used.
	Texts() []*plan.PullRequest
	// Deliver writes. It returns one outcome for each work of the job, in order. A
	// work that fails does not stop the others. It is called once.
	Deliver(ctx context.Context) []Outcome
}

// Job is what is to be written to one target.
type Job struct {
	// Method selects the writer.
	Method string
	Works  []plan.Work
	// Owns reports whether this replica may still write to the target. It is called
	// right before whatever changes the target: the process may have been halted for
	// a long time.
	Owns func() bool

	// Repository is the target of the method git, and Snapshot is what the plan was
	// made on.
	Repository *gitwrite.Repository
	Snapshot   *gitwrite.Snapshot

	// Source is the index of the source of the Application that is the target of the
	// method argocd.
	Source int
}

// Service carries out jobs.
type Service struct {
	git     *gitWriter
	writers map[string]Writer // by method
}

// New returns a Service.
func New(options Options) *Service {
	git := newGitWriter(options)
	return &Service{
		git: git,
		writers: map[string]Writer{
			spec.MethodGit:    git,
			spec.MethodArgoCD: newApplicationWriter(options.Applications),
		},
	}
}

// Examine finds out what is to be done about a job. It changes nothing.
func (s *Service) Examine(ctx context.Context, job Job) Batch {
	writer, ok := s.writers[job.Method]
	if !ok {
		return failedBatch{job, fmt.Errorf("write-back-method %q has no writer", job.Method)}
	}
	return writer.Examine(ctx, job)
}

// TakesPullRequests reports whether pull requests can be opened in a repository.
func (s *Service) TakesPullRequests(r *gitwrite.Repository) bool { return s.git.forge(r) != nil }

// failedBatch is a job that cannot be carried out at all.
type failedBatch struct {
	job Job
	err error
}

// Texts returns nothing.
func (failedBatch) Texts() []*plan.PullRequest { return nil }

// Deliver returns the error for each work.
func (b failedBatch) Deliver(context.Context) []Outcome {
	outcomes := make([]Outcome, len(b.job.Works))
	for i, work := range b.job.Works {
		outcomes[i] = Outcome{Application: work.Application, Kind: Failed, Err: b.err}
	}
	return outcomes
}
