package delivery

import (
	"context"

	"github.com/liverty-music/image-writeback/internal/forge"
	"github.com/liverty-music/image-writeback/internal/gitwrite"
)

// send puts the new commits on their branches: all with one push, or through the
// forge's API if that is configured and possible.
func (b *gitBatch) send(ctx context.Context, stage *gitwrite.Stage, updates []*branchUpdate) {
	if committer, ok := b.forge.(forge.Committer); ok && b.writer.options.CommitViaAPI {
		updates = b.commitByAPI(ctx, committer, updates)
	}

	var sealed []*branchUpdate
	for _, u := range updates {
		if err := b.seal(stage, u); err != nil {
			u.fail(err)
			continue
		}
		sealed = append(sealed, u)
	}

	if len(sealed) > 0 {
		b.push(ctx, stage, sealed)
	}
}

// push pushes the new commits and records the results. The tasks of a branch that
// has moved stay pending.
func (b *gitBatch) push(ctx context.Context, stage *gitwrite.Stage, updates []*branchUpdate) {
	if !b.owns() {
		for _, u := range updates {
			u.handOver()
		}
		return
	}

	refs := make([]gitwrite.RefUpdate, len(updates))
	for i, u := range updates {
		refs[i] = u.RefUpdate
	}

	var refused []*branchUpdate
	var why []error
	raced := 0
	for i, result := range b.repository.Push(ctx, b.snapshot, stage, refs) {
		u := updates[i]
		switch {
		case result.Status == gitwrite.PushRaced:
			raced = 1
		case result.Status == gitwrite.PushFailed:
			u.fail(result.Err)
		case result.Status == gitwrite.PushAccepted:
			b.accepted(u)
		case u.New.IsZero():
			b.deletionRefused(u.Branch, result.Err)
		default:
			refused = append(refused, u)
			why = append(why, b.failed("pushing to "+u.Branch, result.Err, "allow the App or user to push to this "+
				"branch (branch protection, rulesets, hooks), or deliver by pull request"))
		}
	}

	b.division.pushes += 1 - raced
	if len(refused) > 0 {
		b.divide(refused, why)
	}
}

// accepted records that the server accepted the update of a branch.
func (b *gitBatch) accepted(u *branchUpdate) {
	if len(u.drafts) == 0 {
		b.writer.forgetLastState(b.repository, u.Branch)
	}

	b.noteAccepted(u)
	for _, t := range u.tasks() {
		t.pending = false
		t.outcome.Kind = Committed
	}

	for _, p := range b.pulls {
		if p.head == u.Branch {
			p.state.stale, p.state.headExists = false, len(u.drafts) > 0
		}
	}
}
