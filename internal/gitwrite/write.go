package gitwrite

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/format/packfile"
	"github.com/go-git/go-git/v5/storage/memory"
)

// maxAttempts bounds how often a push is made anew after lost races.
const maxAttempts = 12

// writing is one Write under way.
type writing struct {
	repo     *Repository
	author   Signature
	works    []Work
	outcomes []Outcome
	pending  []bool // works that are not decided yet
	heads    *heads
	ours     func() bool
}

// Write commits works and pushes them, all branches at once, and sees to
// their pull requests. It begins at the heads of snapshot; where one has
// moved, the edits are made anew. There is an Outcome for each work, in order.
// ours is asked right before whatever changes the remote whether the repository
// is still ours to write to: the process may have been halted for long.
func (r *Repository) Write(ctx context.Context, snapshot *Snapshot, works []Work, ours func() bool) []Outcome {
	r.mu.Lock()
	defer r.mu.Unlock()
	w := &writing{repo: r, works: works, outcomes: make([]Outcome, len(works)), pending: make([]bool, len(works)), heads: snapshot.heads, ours: ours}
	for i := range works {
		w.outcomes[i].Application = works[i].Application
		w.pending[i] = !works[i].Proposed
	}
	w.author = r.signature(ctx)
	requests, err := w.openPullRequests(ctx)
	if err != nil {
		w.fail(err, func(work Work) bool { return work.PullRequest != nil })
	} else {
		w.heedClosed(ctx, requests)
	}
	for attempt := 1; slices.Contains(w.pending, true); attempt++ {
		if err := ctx.Err(); err != nil {
			w.failAll(r.remote.failed("pushing", err))
			break
		}
		if attempt > maxAttempts {
			w.failAll(&Error{Repository: r.URL(), Doing: "pushing", Err: fmt.Errorf("others pushed faster %d times in a row", maxAttempts), Remedy: "it is tried again in the next cycle"})
			break
		}
		if attempt > 1 {
			w.wait(ctx, attempt)
		}
		if attempt > 1 || !w.headsKnown() {
			if err := w.bringForward(ctx); err != nil {
				w.failAll(err)
				break
			}
		}
		w.attempt(ctx)
	}
	w.offer(ctx, requests)
	return w.outcomes
}

// wait lets competing writers out of step.
func (w *writing) wait(ctx context.Context, attempt int) {
	longest := min(25*time.Millisecond<<attempt, 2*time.Second)
	timer := time.NewTimer(rand.N(longest)) //nolint:gosec // a pause is no secret
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	}
}

func (w *writing) fail(err error, which func(Work) bool) {
	for i := range w.works {
		if which(w.works[i]) && (w.pending[i] || w.works[i].Proposed) && w.outcomes[i].Err == nil {
			w.outcomes[i].Err, w.pending[i] = err, false
		}
	}
}

// handOver notes that a work is another replica's by now.
func (w *writing) handOver(i int) {
	w.pending[i], w.outcomes[i].Commit, w.outcomes[i].Changes = false, "", nil
	w.outcomes[i].Note = "another replica has taken over its repository"
}

func (w *writing) failAll(err error) { w.fail(err, func(work Work) bool { return !work.Proposed }) }

// headsKnown tells whether the heads that works build on were all read.
func (w *writing) headsKnown() bool {
	for i, work := range w.works {
		for _, branch := range []string{work.Base, work.Write} {
			if head, ok := w.heads.branches[branch]; ok && w.pending[i] && !w.repo.mirror.has(head) {
				return false
			}
		}
	}
	return true
}

// bringForward asks for the heads again and fetches what is new, with the
// blobs that are to be edited.
func (w *writing) bringForward(ctx context.Context) error {
	h, err := w.repo.remote.advertise(ctx)
	if err != nil {
		return err
	}
	w.heads = h
	var wants []Want
	for i, work := range w.works {
		if w.pending[i] {
			folder, name := splitPath(work.File)
			for _, branch := range []string{work.Base, work.Write} {
				wants = append(wants, Want{Branch: branch, Folder: folder, Names: name})
			}
		}
	}
	_, err = w.repo.read(ctx, h, wants)
	return err
}

// branchUpdate is a push of one branch with the works in it.
type branchUpdate struct {
	refUpdate
	works []int
}

// attempt builds the commits on the heads as they are known and pushes them.
func (w *writing) attempt(ctx context.Context) {
	stage := newStage(w.repo.mirror)
	updates := map[string]*branchUpdate{}
	var order []string
	for i := range w.works {
		if !w.pending[i] {
			continue
		}
		branch, commit, err := w.build(stage, updates, i)
		if err != nil || commit.IsZero() {
			w.pending[i], w.outcomes[i].Err = false, err
			continue
		}
		u := updates[branch]
		if u == nil {
			u = &branchUpdate{refUpdate: refUpdate{branch: branch, old: w.heads.branches[branch]}}
			updates[branch] = u
			order = append(order, branch)
		}
		u.new = commit
		u.works = append(u.works, i)
		w.outcomes[i].Commit = commit.String()
	}
	if len(order) > 0 {
		w.push(ctx, stage, updates, order)
	}
}

// build makes the commit of one work. A zero commit means that there is
// nothing to do any more.
func (w *writing) build(stage *stage, updates map[string]*branchUpdate, i int) (branch string, _ plumbing.Hash, _ error) {
	work := w.works[i]
	branch, parent, err := w.start(stage, updates, work)
	if err != nil {
		return branch, plumbing.ZeroHash, err
	}
	fail := func(err error) (string, plumbing.Hash, error) {
		return branch, plumbing.ZeroHash, &Error{Repository: w.repo.URL(), Doing: fmt.Sprintf("editing %s on %s", work.File, branch), Err: err, Remedy: "correct the file; other files are not affected"}
	}
	commit, err := stage.commit(parent)
	if err != nil {
		return fail(err)
	}
	var old []byte
	entry, err := stage.find(commit.TreeHash, work.File)
	if err == nil {
		old, err = stage.blob(entry.Hash)
	} else if work.Create && errors.Is(err, ErrNoFile) {
		err = nil
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
		return branch, plumbing.ZeroHash, nil
	}
	var signOff *Signature
	if w.repo.options.SignOff {
		signOff = &w.author
	}
	message, err := commitMessage(w.repo.options.Message, work.Name, changes, signOff)
	if err != nil {
		return fail(err)
	}
	hash, err := stage.write(parent, work.File, data, message, w.author, w.repo.options.Signer, w.repo.options.Now())
	if err != nil {
		return fail(err)
	}
	return branch, hash, nil
}

// start finds the branch that a work is pushed to and the commit that it
// builds on: the head of that branch with what was built on it already, or the
// base for a branch that is new or is the head of a pull request.
func (w *writing) start(stage *stage, updates map[string]*branchUpdate, work Work) (branch string, parent plumbing.Hash, err error) {
	branch = work.Base
	if work.Write != "" {
		branch = work.Write
	}
	if u := updates[branch]; u != nil {
		return branch, u.new, nil
	}
	head, exists := w.heads.branches[branch]
	if exists && work.PullRequest == nil {
		return branch, head, nil
	}
	base, ok := w.heads.branches[work.Base]
	if !ok {
		return branch, plumbing.ZeroHash, &Error{Repository: w.repo.URL(), Doing: "committing", Err: fmt.Errorf("%w: %s", ErrNoBranch, work.Base), Remedy: "correct git-branch or spec.source.targetRevision"}
	}
	if exists {
		tip, err := stage.commit(head)
		if err != nil {
			return branch, plumbing.ZeroHash, err
		}
		if !ours(tip) {
			return branch, plumbing.ZeroHash, &Error{Repository: w.repo.URL(), Doing: "updating branch " + branch,
				Err: fmt.Errorf("its newest commit %.10s is by %s and not by us, so it is left alone", head, tip.Committer.Name), Remedy: "merge its pull request, or delete the branch to have it made anew"}
		}
	}
	return branch, base, nil
}

// push sends what was built and notes what became of it. What the server
// refused because a branch had moved stays pending.
func (w *writing) push(ctx context.Context, stage *stage, updates map[string]*branchUpdate, order []string) {
	refs := make([]refUpdate, len(order))
	for i, branch := range order {
		refs[i] = updates[branch].refUpdate
	}
	pack, err := stage.pack()
	if err != nil {
		w.failAll(&Error{Repository: w.repo.URL(), Doing: "packing the commits", Err: err})
		return
	}
	if !w.ours() {
		for _, u := range updates {
			for _, i := range u.works {
				w.handOver(i)
			}
		}
		return
	}
	refused, pushErr := w.repo.remote.push(ctx, refs, pack)
	if pushErr == nil && len(refused) == 0 {
		w.landed(pack, updates, order)
		return
	}
	// Ask the remote itself what holds now: a connection that broke may have
	// carried the push through, and a refusal is a lost race only where the
	// branch is elsewhere.
	h, err := w.repo.remote.advertise(ctx)
	if err != nil {
		if pushErr == nil {
			pushErr = err
		}
		w.failAll(pushErr)
		return
	}
	var landed []string
	for _, branch := range order {
		u := updates[branch]
		switch {
		case h.branches[branch] == u.new:
			landed = append(landed, branch)
		case h.branches[branch] != u.old: // a race: pending, on the new head
		case pushErr != nil:
			w.failWorks(u.works, pushErr)
		default:
			w.failWorks(u.works, &Error{Repository: w.repo.URL(), Doing: "pushing to " + branch, Err: errors.New("the server refused: " + refused[branch]),
				Remedy: "allow the App or user to push to this branch (branch protection, rulesets, hooks), or deliver by pull request"})
		}
	}
	if len(landed) > 0 {
		w.landed(pack, updates, landed)
	}
}

func (w *writing) failWorks(works []int, err error) {
	for _, i := range works {
		w.pending[i], w.outcomes[i].Err, w.outcomes[i].Commit = false, err, ""
	}
}

// landed notes pushed branches, and keeps what was pushed, so that the next
// cycle need not fetch it.
func (w *writing) landed(pack []byte, updates map[string]*branchUpdate, branches []string) {
	kept := w.repo.mirror.add(bytes.NewReader(pack)) == nil
	for _, branch := range branches {
		u := updates[branch]
		if kept {
			// Without it the next cycle fetches, no more.
			_ = w.repo.mirror.setHead(branch, u.new)
		}
		w.heads.branches[branch] = u.new
		for _, i := range u.works {
			w.pending[i] = false
		}
	}
}

// pack encodes exactly the objects that were made. Small texts that changed
// in one line: a search for deltas would cost more than it saves.
func (s *stage) pack() ([]byte, error) {
	objects := memory.NewStorage()
	for _, hash := range s.order {
		if _, err := objects.SetEncodedObject(s.made[hash]); err != nil {
			return nil, err
		}
	}
	var b bytes.Buffer
	_, err := packfile.NewEncoder(&b, objects, false).Encode(s.order, 0)
	return b.Bytes(), err
}
