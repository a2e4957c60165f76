package reconcile

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/liverty-music/image-writeback/internal/gitwrite"
)

// perCluster is how many Applications are changed at a time.
const perCluster = 8

// patch writes to Applications themselves: write-back-method argocd.
func (e *Engine) patch(ctx context.Context, works []applicationWork) []gitwrite.Outcome {
	outcomes := make([]gitwrite.Outcome, len(works))
	slots := make(chan struct{}, perCluster)
	var group sync.WaitGroup
	for i, w := range works {
		slots <- struct{}{}
		group.Go(func() {
			defer func() { <-slots }()
			outcomes[i] = e.patchOne(ctx, w)
		})
	}
	group.Wait()
	return outcomes
}

func (e *Engine) patchOne(ctx context.Context, w applicationWork) gitwrite.Outcome {
	outcome := gitwrite.Outcome{Application: w.work.Application}
	if e.Applications == nil {
		outcome.Err = errors.New("write-back-method argocd changes the Application in its cluster, but it was read from a file; leave --applications out, or use the method git")
		return outcome
	}
	if !e.owns(w.shard) {
		outcome.Note = "another replica has taken it over"
		return outcome
	}
	err := e.Applications.SetOverrides(ctx, w.namespace, w.name, w.source, func(old []byte) ([]byte, error) {
		content, changes, err := w.work.Edit(old)
		outcome.Changes = changes
		return content, err
	})
	switch {
	case err != nil:
		outcome.Err = fmt.Errorf("%s: %w", w.work.File, err)
		outcome.Changes = nil
	case len(outcome.Changes) == 0:
		outcome.Note = "somebody else has changed it meanwhile; the next cycle decides anew"
	default:
		outcome.Patched = true
	}
	return outcome
}
