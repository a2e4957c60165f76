package delivery

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/liverty-music/image-writeback/internal/plan"
)

// Applications changes the Applications of a cluster.
type Applications interface {
	// SetOverrides replaces the parameters of one source of an Application with the
	// result of edit. It calls edit again if the Application changed in between, and
	// writes nothing if the content stays the same.
	SetOverrides(
		ctx context.Context, namespace, name string, source int, edit func(old []byte) (content []byte, err error),
	) error
}

// applicationWriter writes to Applications themselves: write-back-method argocd.
type applicationWriter struct {
	cluster Applications // nil: Applications are read from files
	slots   chan struct{}
}

// applicationsAtOnce limits how many Applications are changed at the same time.
const applicationsAtOnce = 8

func newApplicationWriter(cluster Applications) *applicationWriter {
	return &applicationWriter{cluster: cluster, slots: make(chan struct{}, applicationsAtOnce)}
}

// Examine does nothing: an Application is read when it is changed.
func (w *applicationWriter) Examine(_ context.Context, job Job) Batch {
	return &applicationBatch{writer: w, job: job}
}

type applicationBatch struct {
	writer   *applicationWriter
	job      Job
	outcomes []Outcome
}

// Texts returns nothing: there are no pull requests here.
func (b *applicationBatch) Texts() []Text { return nil }

// Write changes the Application.
func (b *applicationBatch) Write(ctx context.Context) {
	b.writer.slots <- struct{}{}
	defer func() { <-b.writer.slots }()

	for _, work := range b.job.Works {
		b.outcomes = append(b.outcomes, b.deliver(ctx, work))
	}
}

// Finish returns the outcomes.
func (b *applicationBatch) Finish(context.Context) []Outcome { return b.outcomes }

func (b *applicationBatch) deliver(ctx context.Context, work plan.Work) Outcome {
	outcome := Outcome{Application: work.Application}
	if b.writer.cluster == nil {
		outcome.fail(errors.New("write-back-method argocd changes the Application in its cluster, but it was " +
			"read from a file; leave --applications out, or use the method git"))
		return outcome
	}

	if !b.job.Owns() {
		outcome.skip("another replica has taken over the Application")
		return outcome
	}

	namespace, name, _ := strings.Cut(work.Application, "/")
	err := b.writer.cluster.SetOverrides(ctx, namespace, name, b.job.Source, func(old []byte) ([]byte, error) {
		content, changes, err := work.Edit(old)
		outcome.Changes = changes
		return content, err
	})
	switch {
	case err != nil:
		outcome.Changes = nil
		outcome.fail(fmt.Errorf("%s: %w", work.File, err))
	case len(outcome.Changes) == 0:
		outcome.skip("the Application changed during this cycle; retrying in the next one")
	default:
		outcome.Kind = Updated
	}

	return outcome
}
