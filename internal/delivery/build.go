package delivery

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/liverty-music/image-writeback/internal/gitwrite"
	"github.com/liverty-music/image-writeback/internal/image"
)

// branchUpdate is a branch with the commits to add to it. Without drafts, the
// branch is deleted.
type branchUpdate struct {
	gitwrite.RefUpdate
	parent gitwrite.Hash // of the first commit
	drafts []*draft
}

// draft is a commit that does not exist yet.
type draft struct {
	tasks   []*task
	tree    gitwrite.Hash // of the stage
	files   map[string][]byte
	message string
	// notRegular is a file whose mode is not 100644; empty: all files are regular.
	notRegular string
}

func (u *branchUpdate) tasks() []*task {
	var all []*task
	for _, d := range u.drafts {
		all = append(all, d.tasks...)
	}
	return all
}

// fail ends all tasks of a branch with an error.
func (u *branchUpdate) fail(err error) {
	for _, t := range u.tasks() {
		t.fail(err)
	}
}

// handOver leaves all tasks of a branch to another replica.
func (u *branchUpdate) handOver() {
	for _, t := range u.tasks() {
		t.handOver()
	}
}

// changedMeanwhile is the note if an edit finds nothing left to change.
const changedMeanwhile = "the file changed during this cycle; retrying in the next one"

// builder collects the commits of one attempt.
type builder struct {
	*gitBatch
	stage   *gitwrite.Stage
	updates []*branchUpdate
}

// attempt builds the commits on the heads of the snapshot and sends them.
func (b *gitBatch) attempt(ctx context.Context) {
	building := &builder{gitBatch: b, stage: b.repository.NewStage()}
	for _, t := range b.current() {
		err := building.add(t)
		if err != nil && !b.repaired && b.repository.Repair(err) {
			b.repaired = true
			return // everything is pending still
		}
		if err != nil {
			t.fail(err)
		}
	}

	for _, branch := range b.removals {
		building.updates = append(building.updates,
			&branchUpdate{RefUpdate: gitwrite.RefUpdate{Branch: branch, Old: b.snapshot.Head(branch)}})
	}

	b.removals = nil // the next cycle tries again

	if len(building.updates) > 0 {
		b.send(ctx, building.stage, building.updates)
	}
}

// add edits the file of one task on its branch: in a separate commit or, with
// Options.Combined, in the commit that the branch already has.
func (b *builder) add(t *task) error {
	u, isNew, err := b.update(t)
	if err != nil {
		return err
	}

	tree, err := b.tree(u)
	if err != nil {
		return b.failed("reading branch "+u.Branch, err, "it is tried again in the next cycle")
	}

	d, err := b.draft(t, u, tree)
	if err != nil {
		return b.failed(fmt.Sprintf("editing %s on %s", t.File, u.Branch), err,
			"correct the file; other files are not affected")
	}

	if d == nil {
		t.skip(changedMeanwhile)
		return nil
	}

	if b.combines(u) {
		u.drafts[len(u.drafts)-1] = d
	} else {
		u.drafts = append(u.drafts, d)
	}

	if isNew {
		b.updates = append(b.updates, u)
	}

	return nil
}

// combines reports whether the next change of a branch belongs to its last commit.
func (b *builder) combines(u *branchUpdate) bool {
	return b.writer.options.Combined && len(u.drafts) > 0
}

// update returns the branchUpdate for a task's branch. A branch that does not exist,
// or is the head of a pull request, is built on the base.
func (b *builder) update(t *task) (u *branchUpdate, isNew bool, err error) {
	branch := t.branch()
	for _, u := range b.updates {
		if u.Branch == branch {
			return u, false, nil
		}
	}

	head := b.snapshot.Head(branch)
	u = &branchUpdate{RefUpdate: gitwrite.RefUpdate{Branch: branch, Old: head}, parent: head}
	if head.IsZero() || t.PullRequest != nil {
		u.parent = b.snapshot.Head(t.Base)
		if u.parent.IsZero() {
			return nil, false, b.failed("committing", fmt.Errorf("%w: %s", gitwrite.ErrNoBranch, t.Base),
				"correct git-branch or spec.source.targetRevision")
		}
	}

	return u, true, nil
}

// tree returns the tree that the next commit of a branch changes.
func (b *builder) tree(u *branchUpdate) (gitwrite.Hash, error) {
	if len(u.drafts) > 0 {
		return u.drafts[len(u.drafts)-1].tree, nil
	}
	commit, err := b.stage.Commit(u.parent)
	return commit.Tree, err
}

// draft edits the file of a task. It returns nil if nothing is left to do.
func (b *builder) draft(t *task, u *branchUpdate, tree gitwrite.Hash) (*draft, error) {
	old, err := b.stage.ReadFile(tree, t.File)
	if t.Create && errors.Is(err, gitwrite.ErrNoFile) {
		old, err = gitwrite.StagedFile{Regular: true}, nil
	}

	if err != nil {
		return nil, err
	}

	data, changes, err := t.Edit(old.Data)
	if err != nil {
		return nil, err
	}

	t.outcome.Changes = changes
	if len(changes) == 0 || bytes.Equal(old.Data, data) {
		t.outcome.Commit = ""
		return nil, nil //nolint:nilnil // nothing is left to do
	}

	d := &draft{files: map[string][]byte{}}
	if b.combines(u) {
		last := u.drafts[len(u.drafts)-1]
		d.tasks, d.notRegular, d.files = slices.Clone(last.tasks), last.notRegular, maps.Clone(last.files)
	}

	d.tasks = append(d.tasks, t)
	d.files[t.File] = data
	if !old.Regular {
		d.notRegular = t.File
	}

	if d.message, err = b.message(d.tasks); err != nil {
		return nil, err
	}

	d.tree, err = b.stage.WriteFile(tree, t.File, data)
	return d, err
}

// message returns the commit message for tasks.
func (b *gitBatch) message(tasks []*task) (string, error) {
	var signOff *gitwrite.Signature
	if b.writer.options.SignOff {
		signOff = &b.author
	}

	var names []string
	var changes []image.Change
	for _, t := range tasks {
		names = append(names, t.Name)
		changes = append(changes, t.outcome.Changes...)
	}

	return commitMessage(b.writer.options.Message, nameList(names), changes, signOff)
}

// seal creates the commits of a branch in the stage.
func (b *gitBatch) seal(stage *gitwrite.Stage, u *branchUpdate) error {
	u.New = u.parent
	if len(u.drafts) == 0 {
		u.New = gitwrite.Hash{} // delete the branch
	}

	for _, d := range u.drafts {
		hash, err := stage.AddCommit(gitwrite.NewCommit{
			Parent: u.New, Tree: d.tree, Message: d.message, Author: b.author,
			Signer: b.writer.options.Signer, Time: b.writer.options.Now(),
		})
		if err != nil {
			return b.failed("committing to "+u.Branch, err, "check the configured signing key")
		}
		u.New = hash
		for _, t := range d.tasks {
			t.outcome.Commit = hash.String()
		}
	}

	return nil
}
