package delivery

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/liverty-music/image-writeback/internal/escape"
	"github.com/liverty-music/image-writeback/internal/forge"
	"github.com/liverty-music/image-writeback/internal/image"
)

// advance runs the steps of a pull request as long as now reports true for the next
// one. An error ends the pull request for this cycle.
func (b *gitBatch) advance(ctx context.Context, p *pullRequest, now func(step) bool) {
	for !p.finished {
		s := next(p.state)
		if !now(s) {
			return
		}
		if err := b.do(ctx, p, s); err != nil {
			p.fail(err)
		}
	}
}

// do runs one step, except stepCommit: [gitBatch.commit] runs it for all pull
// requests at once.
func (b *gitBatch) do(ctx context.Context, p *pullRequest, s step) error {
	switch s {
	case stepListOpen:
		return b.listOpen(ctx, p)
	case stepFindAuthors:
		return b.findAuthors(ctx, p)
	case stepListClosed:
		return b.listClosed(ctx, p)

	case stepRepeat:
		b.repeat(p)
	case stepLeaveAlone:
		return b.leaveAlone(ctx, p)
	case stepRespectNo:
		b.leave(p, fmt.Sprintf("pull request %s was closed without merging; a newer version will be proposed",
			p.declinedBy.URL))
	case stepWithdraw:
		return b.withdraw(ctx, p)
	case stepDeleteBranch:
		b.deleteBranch(p)

	case stepOpen:
		return b.openPullRequest(ctx, p)
	case stepEdit:
		return b.edit(ctx, p)
	case stepComplete:
		p.state.open = openCurrent
		return b.forge.Complete(ctx, *p.open, p.proposal(""))
	case stepCloseOthers:
		p.state.othersClosed = true
		return b.closeOthers(ctx, p)
	default:
		b.done(p)
	}

	return nil
}

// done ends a pull request that has no steps left.
func (b *gitBatch) done(p *pullRequest) {
	if p.state.settled {
		b.leave(p, p.note)
		return
	}
	p.finished = true
	b.remember(p, p.open.URL, "")
}

// repeat reports the result of the previous cycle again.
func (b *gitBatch) repeat(p *pullRequest) {
	last, _ := b.writer.lastState(b.repository, p.head)
	for _, t := range p.tasks {
		t.outcome.PullRequestURL = last.url
		if last.url != "" {
			t.outcome.Kind = Waiting
		}
	}

	p.finished = true
	if last.note != "" {
		b.leave(p, last.note)
	}
}

// leave ends a pull request with a note why nothing is done. The next cycles do
// nothing either, until something changes.
func (b *gitBatch) leave(p *pullRequest, note string) {
	p.skip(note)
	b.remember(p, "", note)
}

// skip ends a pull request with a note why nothing is committed.
func (p *pullRequest) skip(note string) {
	p.finished = true
	for _, t := range p.tasks {
		t.outcome.Commit = ""
		t.skip(note)
	}
}

// remember stores the state of a pull request for the next cycle.
func (b *gitBatch) remember(p *pullRequest, url, note string) {
	b.writer.setLastState(b.repository, p.head, lastState{b.snapshot.Head(p.head), p.key, url, note})
}

// leaveAlone stops updating a branch that somebody else has pushed to. If newer
// versions are therefore not proposed, one comment in the pull request says so.
func (b *gitBatch) leaveAlone(ctx context.Context, p *pullRequest) error {
	if p.state.settled {
		b.leave(p, fmt.Sprintf("branch %s is left alone: it has a commit by %s", p.head, p.otherAuthor))
		return nil
	}

	note := fmt.Sprintf("branch %s has a commit by %s, so it is left alone; merge or close its pull request, "+
		"or delete the branch to have it created again", p.head, p.otherAuthor)
	if p.open != nil {
		text := fmt.Sprintf("Somebody else has pushed to this branch, so I no longer update it.\n\n"+
			"Newer versions: %s.\n\n"+
			"Merge this when it is ready. To have the branch created again, delete it.\n\n%s\n",
			versionList(p.planned()), leftAloneMarker)
		if err := b.forge.CommentOnce(ctx, *p.open, leftAloneMarker, text); err != nil {
			return err
		}
		note = p.open.URL + ": " + note
	}

	b.leave(p, note)
	return nil
}

// versionList returns the new versions as a list for a sentence.
func versionList(changes []image.Change) string {
	var parts []string
	for _, c := range changes {
		parts = append(parts, escape.Markdown(c.Alias)+" "+escape.Code(c.New.String()))
	}
	return strings.Join(parts, ", ")
}

// withdraw closes a pull request whose changes the base already has.
func (b *gitBatch) withdraw(ctx context.Context, p *pullRequest) error {
	if !b.owns() {
		p.finished = true // the replica that took over does it
		return nil
	}

	why := fmt.Sprintf("%s already holds what this pull request was for, so there is nothing left to merge. "+
		"I close it.", escape.Code(p.base))
	if err := b.closePullRequest(ctx, *p.open, why); err != nil {
		return err
	}

	p.note = fmt.Sprintf("pull request %s was closed: %s holds what it was for", p.open.URL, p.base)
	p.state.open = openNone
	return nil
}

// closePullRequest closes a pull request with a comment that says why.
func (b *gitBatch) closePullRequest(ctx context.Context, pr forge.PullRequest, why string) error {
	if err := b.forge.CommentOnce(ctx, pr, closedMarker, why+"\n\n"+closedMarker+"\n"); err != nil {
		return err
	}
	record, _ := recordOf(pr.Body)
	record.Withdrawn = true
	return b.forge.Close(ctx, pr, withRecord(pr.Body, record))
}

// deleteBranch lets the next push delete a branch that is no longer needed, whether
// its pull request was merged or not.
func (b *gitBatch) deleteBranch(p *pullRequest) {
	b.removals = append(b.removals, p.head)
	if p.note == "" {
		p.note = fmt.Sprintf("branch %s is deleted: %s holds what it was for", p.head, p.base)
	}
	p.skip(p.note) // not remembered: if the deletion fails, the next cycle retries
}

// deletionRefused records that the server refused to delete a branch. It is not
// retried, because a rule of the repository forbids it.
func (b *gitBatch) deletionRefused(branch string, why error) {
	for _, p := range b.pulls {
		if p.head == branch {
			b.leave(p, fmt.Sprintf("branch %s could not be deleted, though %s holds what it was for: %v; "+
				"delete it by hand, or allow the App or user to delete it", branch, p.base, why))
		}
	}
}

// collectProposed collects what the pull request of committed tasks shows, whether
// they were committed now or in an earlier cycle.
func (b *gitBatch) collectProposed(p *pullRequest) {
	if p.finished || p.state.stale {
		return
	}

	for _, t := range p.tasks {
		if !t.isProposed() {
			continue
		}
		if len(t.outcome.Changes) == 0 {
			t.outcome.Changes = t.Planned
		}
		p.proposed = append(p.proposed, t.outcome.Changes...)
	}

	if len(p.proposed) > 0 && !b.owns() {
		p.handOver()
	}
}

// isProposed reports whether the pull request shows the task.
func (t *task) isProposed() bool {
	return t.outcome.Kind != Failed && t.outcome.Kind != Skipped && !t.Settled
}

// handOver leaves the pull request to another replica.
func (p *pullRequest) handOver() {
	p.finished = true
	for _, t := range p.tasks {
		if t.isProposed() {
			t.handOver()
		}
	}
}

// propose opens or edits the pull request of committed tasks.
func (b *gitBatch) propose(ctx context.Context, p *pullRequest) {
	if p.finished || len(p.proposed) == 0 {
		return
	}
	if !b.owns() {
		p.handOver()
		return
	}

	var err error
	for !p.finished && err == nil {
		err = b.do(ctx, p, next(p.state))
	}

	for _, t := range p.tasks {
		if t.isProposed() {
			t.proposed(p, err)
		}
	}
}

// proposed records the result of a task's pull request. The outcome keeps its commit
// even if the pull request failed.
func (t *task) proposed(p *pullRequest, err error) {
	if p.open != nil {
		t.outcome.PullRequestURL, t.outcome.Opened = p.open.URL, p.opened
	}

	switch {
	case err != nil:
		t.outcome.Kind, t.outcome.Err = Failed, err
	case p.opened || t.outcome.Commit != "":
		t.outcome.Kind = Proposed
	default:
		t.outcome.Kind = Waiting
	}
}

// openPullRequest opens a pull request.
func (b *gitBatch) openPullRequest(ctx context.Context, p *pullRequest) error {
	proposal := p.proposal(p.body())
	pr, err := b.forge.Create(ctx, proposal)
	if err != nil {
		return err
	}
	p.open, p.opened, p.state.open = &pr, true, openCurrent
	return b.forge.Complete(ctx, pr, proposal)
}

// edit updates the text and the base of an open pull request.
func (b *gitBatch) edit(ctx context.Context, p *pullRequest) error {
	p.state.open = p.completeState()
	return b.forge.Edit(ctx, *p.open, p.Title, p.body(), p.base)
}

// body returns the text with the record of the proposed changes.
func (p *pullRequest) body() string {
	record := proposalRecord{Key: p.key}
	for _, c := range p.proposed {
		record.Changes = append(record.Changes, changeID(c))
	}
	return withRecord(p.Body, record)
}

func (p *pullRequest) proposal(body string) forge.Proposal {
	return forge.Proposal{
		Title: p.Title, Body: body, Head: p.head, Base: p.base,
		Labels: p.Labels, Reviewers: p.Reviewers, Assignees: p.Assignees, Draft: p.Draft, AutoMerge: p.AutoMerge,
	}
}

// closeOthers closes open pull requests of other branches that propose other versions
// of the same images: with a template in git-branch, each version has its own branch.
// It keeps a pull request open if somebody else has commits on it.
func (b *gitBatch) closeOthers(ctx context.Context, p *pullRequest) error {
	for head, other := range b.open {
		record, ok := recordOf(other.Body)
		isWanted := slices.ContainsFunc(b.pulls, func(p *pullRequest) bool { return p.head == head })
		if !ok || isWanted || other.Base != p.base || !record.coveredBy(p.proposed) {
			continue
		}

		commits, err := b.forge.Commits(ctx, *other)
		if err != nil {
			return err
		}
		if slices.ContainsFunc(commits, isForeign) {
			continue
		}
		if err := b.closePullRequest(ctx, *other, "Superseded by "+p.open.URL+". I close this."); err != nil {
			return err
		}
		b.removals = append(b.removals, head)
	}

	return nil
}
