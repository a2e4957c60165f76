package gitwrite

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/filemode"

	"github.com/liverty-music/image-writeback/internal/image"
)

// branchUpdate is one branch with the commits that are to be put on it.
type branchUpdate struct {
	refUpdate
	parent plumbing.Hash // what the first commit is built on
	drafts []*draft
}

// draft is a commit that is not made yet.
type draft struct {
	works   []int
	root    plumbing.Hash // the tree, in the stage
	files   map[string][]byte
	message string
	// odd is a file whose mode is not 100644; empty: there is none.
	odd string
}

func (u *branchUpdate) works() []int {
	var all []int
	for _, d := range u.drafts {
		all = append(all, d.works...)
	}
	return all
}

// attempt builds the commits on the heads as they are known, and has them sent.
func (w *writing) attempt(ctx context.Context) {
	stage := newStage(w.repo.mirror)
	updates := map[string]*branchUpdate{}
	var order []string
	for i := range w.works {
		if !w.pending[i] {
			continue
		}
		u, err := w.build(stage, updates, i)
		if err != nil || u == nil {
			w.pending[i], w.outcomes[i].Err = false, err
			continue
		}
		if updates[u.branch] == nil {
			updates[u.branch] = u
			order = append(order, u.branch)
		}
	}
	for _, branch := range w.removals {
		updates[branch] = &branchUpdate{refUpdate: refUpdate{branch: branch, old: w.heads.branches[branch]}}
		order = append(order, branch)
	}
	w.removals = nil // one that is not deleted now is seen to in the next cycle
	if len(order) > 0 {
		w.send(ctx, stage, updates, order)
	}
}

// build edits the file of one work on its branch, in a commit of its own or,
// with Options.Combined, in the one that the branch has already. A nil update
// means that there is nothing to do any more.
func (w *writing) build(stage *stage, updates map[string]*branchUpdate, i int) (*branchUpdate, error) {
	work := w.works[i]
	u, root, err := w.start(stage, updates, work)
	if err != nil {
		return nil, err
	}
	fail := func(err error) (*branchUpdate, error) {
		return nil, &Error{Repository: w.repo.URL(), Doing: fmt.Sprintf("editing %s on %s", work.File, u.branch), Err: err, Remedy: "correct the file; other files are not affected"}
	}
	var old []byte
	entry, err := stage.find(root, work.File)
	if err == nil {
		old, err = stage.blob(entry.Hash)
	} else if work.Create && errors.Is(err, ErrNoFile) {
		entry.Mode, err = filemode.Regular, nil
	}
	if err != nil {
		return fail(err)
	}
	data, changes, err := work.Edit(old)
	if err != nil {
		return fail(err)
	}
	w.outcomes[i].Changes = changes
	if len(changes) == 0 || bytes.Equal(old, data) {
		w.outcomes[i].Commit = ""
		w.outcomes[i].Note = "somebody else has changed it meanwhile; the next cycle decides anew"
		return nil, nil
	}
	d := &draft{files: map[string][]byte{}}
	combine := w.repo.options.Combined && len(u.drafts) > 0
	if combine {
		before := u.drafts[len(u.drafts)-1]
		d.works, d.odd, d.files = slices.Clone(before.works), before.odd, maps.Clone(before.files)
	}
	d.works = append(d.works, i)
	d.files[work.File] = data
	if entry.Mode != filemode.Regular {
		d.odd = work.File
	}
	if d.message, err = w.message(d.works); err != nil {
		return fail(err)
	}
	if d.root, err = stage.file(root, work.File, data); err != nil {
		return fail(err)
	}
	if combine {
		u.drafts[len(u.drafts)-1] = d
	} else {
		u.drafts = append(u.drafts, d)
	}
	return u, nil
}

// message is that of a commit for some works.
func (w *writing) message(works []int) (string, error) {
	var signOff *Signature
	if w.repo.options.SignOff {
		signOff = &w.author
	}
	var names []string
	var changes []image.Change
	for _, i := range works {
		names = append(names, w.works[i].Name)
		changes = append(changes, w.outcomes[i].Changes...)
	}
	return commitMessage(w.repo.options.Message, together(names), changes, signOff)
}

// start finds the branch that a work is for, and the tree that it is built on:
// that of the branch with what was built on it already, or that of the base for
// a branch that is new or is the head of a pull request.
func (w *writing) start(stage *stage, updates map[string]*branchUpdate, work Work) (u *branchUpdate, root plumbing.Hash, err error) {
	branch := work.Base
	if work.Write != "" {
		branch = work.Write
	}
	if u := updates[branch]; u != nil {
		return u, u.drafts[len(u.drafts)-1].root, nil
	}
	head, exists := w.heads.branches[branch]
	u = &branchUpdate{refUpdate: refUpdate{branch: branch, old: head}, parent: head}
	if !exists || work.PullRequest != nil {
		base, ok := w.heads.branches[work.Base]
		if !ok {
			return nil, root, &Error{Repository: w.repo.URL(), Doing: "committing", Err: fmt.Errorf("%w: %s", ErrNoBranch, work.Base), Remedy: "correct git-branch or spec.source.targetRevision"}
		}
		u.parent = base
	}
	commit, err := stage.commit(u.parent)
	if err != nil {
		return nil, root, &Error{Repository: w.repo.URL(), Doing: "reading branch " + branch, Err: err, Remedy: "it is tried again in the next cycle"}
	}
	return u, commit.TreeHash, nil
}

// seal makes the commits of a branch as objects of the stage.
func (w *writing) seal(stage *stage, u *branchUpdate) error {
	u.new = u.parent
	if len(u.drafts) == 0 {
		u.new = plumbing.ZeroHash // to be deleted
	}
	for _, d := range u.drafts {
		hash, err := stage.seal(u.new, d.root, d.message, w.author, w.repo.options.Signer, w.repo.options.Now())
		if err != nil {
			return &Error{Repository: w.repo.URL(), Doing: "committing to " + u.branch, Err: err, Remedy: "see git.signing in config.yaml"}
		}
		u.new = hash
		for _, i := range d.works {
			w.outcomes[i].Commit = hash.String()
		}
	}
	return nil
}
