// Package delivery carries out the decisions of package plan: it writes to git
// repositories, directly to a branch or by pull request, and to Applications.
//
// A [Service] has a writer for each write-back method. The caller passes a [Job]
// for each target. [Service.Examine] finds out what must be done and changes
// nothing. The [Batch] then writes, lists the pull requests that need a text, and
// finishes them. The result of each work is an [Outcome] with a [Kind].
//
// A new writer is a file of this package that implements [Writer], and a line in
// [New]. This package does not deal with git's objects and protocol; package
// gitwrite does.
package delivery

import (
	"context"
	"fmt"

	"github.com/liverty-music/image-writeback/internal/gitwrite"
	"github.com/liverty-music/image-writeback/internal/image"
	"github.com/liverty-music/image-writeback/internal/plan"
	"github.com/liverty-music/image-writeback/internal/spec"
)

// Writer carries out the works of one write-back method.
type Writer interface {
	// Examine finds out what the works of a job need. It may read from the target,
	// and changes nothing. The outcomes report its errors.
	Examine(ctx context.Context, job Job) Batch
}

// Batch is an examined [Job]. Call Write, then Finish, each once.
type Batch interface {
	// Write commits and pushes, or changes Applications. A work that fails does not
	// stop the others.
	Write(ctx context.Context)
	// Texts returns the pull requests that Finish will open or edit, with the changes
	// that were written. Set their titles and bodies before Finish.
	Texts() []Text
	// Finish opens, edits and closes pull requests. It returns one outcome for each
	// work of the job, in order.
	Finish(ctx context.Context) []Outcome
}

// Text is a pull request whose title and body are needed.
type Text struct {
	Request *plan.PullRequest
	Changes []image.Change // that the pull request shows
}

// Job is the works for one target.
type Job struct {
	// Method selects the writer.
	Method string
	Works  []plan.Work
	// Owns reports whether this replica may still write to the target. It is called
	// right before each change of the target, because the process may have been
	// paused for a long time.
	Owns func() bool

	// Repository is the target of the method git. Snapshot is the state of it that
	// the plan is based on.
	Repository *gitwrite.Repository
	Snapshot   *gitwrite.Snapshot

	// Source is the target of the method argocd: the index of the Application's
	// source.
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

// Examine finds out what the works of a job need. It changes nothing.
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

// Write writes nothing.
func (failedBatch) Write(context.Context) {}

// Texts returns nothing.
func (failedBatch) Texts() []Text { return nil }

// Finish returns the error for each work.
func (b failedBatch) Finish(context.Context) []Outcome { return b.job.Fail(b.err) }

// Fail returns the outcomes of a job of which nothing is known but that it failed.
func (j Job) Fail(err error) []Outcome {
	outcomes := make([]Outcome, len(j.Works))
	for i, work := range j.Works {
		outcomes[i] = Outcome{Application: work.Application, Kind: Failed, Err: err}
	}
	return outcomes
}
