package gitwrite

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/go-git/go-git/v5/plumbing"

	"github.com/liverty-music/image-writeback/internal/forge"
	"github.com/liverty-music/image-writeback/internal/image"
)

// request is the pull request of one head branch, and all works that it is for.
type request struct {
	*PullRequest
	head, base string
	works      []int
	// settled: the base holds all of it, so that nobody needs the pull request.
	settled bool
	// stale: the head is not as it is to be, and is made anew on the base.
	stale bool
	key   string
	asked bool               // the forge was asked about it
	open  *forge.PullRequest // nil: none is
	// closed are the closed ones of its head, newest first; nil: not asked for.
	closed []forge.PullRequest
}

// sighting is how a pull request was left. Where its head, and what is wanted
// of it, are the same again, nothing has to be asked.
type sighting struct {
	head plumbing.Hash // zero: there was no such branch
	key  string
	url  string
	note string // why nothing was done
}

// gather groups the works by the head of their pull request, and marks those
// as pending whose head is to be made.
func (w *writing) gather() {
	byHead := map[string]*request{}
	for i, work := range w.works {
		if work.PullRequest == nil {
			w.pending[i] = true
			continue
		}
		r := byHead[work.Write]
		if r == nil {
			r = &request{PullRequest: work.PullRequest, head: work.Write, base: work.Base, settled: true}
			byHead[work.Write] = r
			w.requests = append(w.requests, r)
		}
		if r.base != work.Base {
			w.outcomes[i].Err = &Error{Repository: w.repo.URL(), Doing: "proposing from branch " + r.head, Err: fmt.Errorf("another Application has its pull request into %s there, and this one into %s", r.base, work.Base),
				Remedy: "give them branches of their own, by github.pullRequest.branch or the annotation git-branch"}
			continue
		}
		r.works = append(r.works, i)
		r.settled = r.settled && work.Settled
		r.stale = r.stale || !work.Proposed
	}
	for _, r := range w.requests {
		r.stale = !r.settled && (r.stale || r.AutoMerge && w.behind(r))
		sum := sha256.New()
		_, _ = fmt.Fprintf(sum, "%s\n%s\n%v\n", r.Key, r.base, r.settled)
		for _, i := range r.works {
			w.pending[i] = r.stale && !w.works[i].Settled
			for _, c := range w.works[i].Planned {
				_, _ = fmt.Fprintf(sum, "%s %s\n", changeID(c), c.Old)
			}
		}
		r.key = hex.EncodeToString(sum.Sum(nil)[:8])
	}
}

// behind tells whether a head was made on another commit than the newest of
// its base.
func (w *writing) behind(r *request) bool {
	stage := newStage(w.repo.mirror)
	base := w.heads.branches[r.base]
	for at := w.heads.branches[r.head]; ; {
		commit, err := stage.commit(at)
		if err != nil || len(commit.ParentHashes) != 1 || !ours(signatureOf(commit.Author), signatureOf(commit.Committer), commit.Message) {
			return true
		}
		if at = commit.ParentHashes[0]; at == base {
			return false
		}
	}
}

// known tells whether nothing has changed since a pull request was last seen
// to, and repeats then what was said.
func (w *writing) known(r *request) bool {
	seen, ok := w.repo.seen[r.head]
	if !ok || seen.key != r.key || seen.head != w.heads.branches[r.head] || r.stale && seen.note == "" {
		return false
	}
	for _, i := range r.works {
		w.outcomes[i].PullRequestURL = seen.url
	}
	if seen.note != "" {
		w.leave(r, seen.note)
	}
	return true
}

// leave notes why nothing is done, and nothing is to be until something changes.
func (w *writing) leave(r *request, note string) {
	w.say(r, note)
	w.remember(r, "", note)
}

// say notes why nothing is committed.
func (w *writing) say(r *request, note string) {
	for _, i := range r.works {
		w.pending[i], w.outcomes[i].Note = false, note
	}
}

func (w *writing) remember(r *request, url, note string) {
	w.repo.seen[r.head] = sighting{w.heads.branches[r.head], r.key, url, note}
}

// consult asks the forge about the pull requests that something has changed
// for, with one listing for all, and decides what to do with each: nothing is
// asked where nothing has.
func (w *writing) consult(ctx context.Context) {
	var asking []*request
	for _, r := range w.requests {
		if r.asked = !w.known(r); r.asked {
			asking = append(asking, r)
		}
	}
	if len(asking) == 0 {
		return
	}
	var err error
	w.open, err = w.openPullRequests(ctx)
	for _, r := range asking {
		failed := err
		if err == nil {
			r.open = w.open[r.head]
			failed = w.judge(ctx, r)
		}
		if failed != nil {
			w.failWorks(r.works, failed)
		}
	}
}

// openPullRequests lists the open ones by their head.
func (w *writing) openPullRequests(ctx context.Context) (map[string]*forge.PullRequest, error) {
	if w.repo.forge == nil {
		return nil, &Error{Repository: w.repo.URL(), Doing: "opening a pull request", Err: errors.New("the repository is not at GitHub or GitLab, or nothing to sign in with is configured"),
			Remedy: "set github.app, github.tokenFile or gitlab.tokenFile in config.yaml, or annotate write-back-delivery: commit"}
	}
	listed, err := w.repo.forge.OpenPullRequests(ctx)
	if err != nil {
		return nil, err
	}
	open := map[string]*forge.PullRequest{}
	for i := range listed {
		open[listed[i].Head] = &listed[i]
	}
	return open, nil
}

// judge decides about one pull request from its head and its state.
func (w *writing) judge(ctx context.Context, r *request) error {
	head, exists := w.heads.branches[r.head]
	if exists && (r.settled || r.stale) {
		person, err := w.foreign(ctx, r, head)
		if err == nil && person != "" && r.open == nil {
			// Once it is merged nothing of theirs is at stake.
			if err = w.askForClosed(ctx, r); err == nil && len(r.closed) > 0 && r.closed[0].Merged && r.closed[0].HeadSHA == head.String() {
				person = ""
			}
		}
		if err != nil {
			return err
		}
		if person != "" {
			return w.leaveAlone(ctx, r, person)
		}
	}
	switch {
	case r.settled:
		return w.retire(ctx, r, exists)
	case r.open == nil:
		return w.heedClosed(ctx, r)
	}
	return nil
}

func (w *writing) askForClosed(ctx context.Context, r *request) (err error) {
	if r.closed == nil {
		r.closed, err = w.repo.forge.ClosedPullRequests(ctx, r.head)
	}
	return err
}

// foreign names who has a commit on a head that is not ours; empty: nobody.
// Below the newest commit of a branch of our naming there is nothing else: it
// is always made anew on the base. Of any other branch all commits are looked at.
func (w *writing) foreign(ctx context.Context, r *request, head plumbing.Hash) (person string, _ error) {
	tip, err := newStage(w.repo.mirror).commit(head)
	if err != nil {
		return "", err
	}
	if !ours(signatureOf(tip.Author), signatureOf(tip.Committer), tip.Message) {
		return tip.Committer.Name, nil
	}
	if r.Ours || len(tip.ParentHashes) == 1 && tip.ParentHashes[0] == w.heads.branches[r.base] {
		return "", nil
	}
	if r.open == nil {
		return "somebody (what lies below is not known, without an open pull request)", nil
	}
	commits, err := w.repo.forge.Commits(ctx, *r.open)
	if i := slices.IndexFunc(commits, foreignCommit); i >= 0 {
		return commits[i].CommitterName, nil
	}
	return "", err
}

// leaveAlone leaves a branch to the person who has pushed to it, and says so
// once where something newer is not proposed because of that.
func (w *writing) leaveAlone(ctx context.Context, r *request, person string) error {
	if r.settled {
		w.leave(r, fmt.Sprintf("branch %s is left alone: it has a commit by %s", r.head, person))
		return nil
	}
	note := fmt.Sprintf("branch %s has a commit by %s, so it is left alone; merge or close its pull request, or delete the branch to have it made anew", r.head, person)
	if r.open != nil {
		text := fmt.Sprintf("Somebody else has pushed to this branch, so I leave it alone from now on.\n\nNewer by now: %s.\n\nMerge this when it is ready. To have the branch made anew, delete it.\n\n%s\n", list(w.planned(r)), leftAloneMark)
		if err := w.repo.forge.CommentOnce(ctx, *r.open, leftAloneMark, text); err != nil {
			return err
		}
		note = r.open.URL + ": " + note
	}
	w.leave(r, note)
	return nil
}

// list names the new versions in words.
func list(changes []image.Change) string {
	var parts []string
	for _, c := range changes {
		parts = append(parts, fmt.Sprintf("%s `%s`", c.Alias, c.New))
	}
	return strings.Join(parts, ", ")
}

func (w *writing) planned(r *request) []image.Change {
	var all []image.Change
	for _, i := range r.works {
		all = append(all, w.works[i].Planned...)
	}
	return all
}

// heedClosed does not propose again what a person has closed without merging.
func (w *writing) heedClosed(ctx context.Context, r *request) error {
	if err := w.askForClosed(ctx, r); err != nil || len(r.closed) == 0 {
		return err
	}
	changes := w.planned(r)
	title := r.Title(changes)
	var last *forge.PullRequest
	for _, c := range changes {
		pr := declined(r.closed, c, title)
		if pr == nil {
			return nil // something is new
		}
		if last == nil || pr.Number > last.Number {
			last = pr
		}
	}
	if last != nil {
		w.leave(r, fmt.Sprintf("pull request %s was closed without merging; the next one comes with a newer version", last.URL))
	}
	return nil
}

// retire closes a pull request whose target the base has reached without it,
// and deletes the branch that nobody needs any more, merged or not.
func (w *writing) retire(ctx context.Context, r *request, exists bool) error {
	note := ""
	if r.open != nil {
		if !w.ours() {
			return nil // the replica that has taken over sees to it
		}
		if err := w.withdraw(ctx, *r.open, fmt.Sprintf("`%s` holds by now what is wanted there, so there is nothing left to merge. I close this.", r.base)); err != nil {
			return err
		}
		note = fmt.Sprintf("pull request %s was closed: %s holds what it was for", r.open.URL, r.base)
	}
	if exists && r.Ours {
		w.removals = append(w.removals, r.head)
		if note == "" {
			note = fmt.Sprintf("branch %s is deleted: %s holds what it was for", r.head, r.base)
		}
		w.say(r, note) // not remembered: where the deletion fails, the next cycle tries again
		return nil
	}
	w.leave(r, note)
	return nil
}

// notDeleted notes that a branch stays. It is not tried again: what refuses it
// is a rule of the repository.
func (w *writing) notDeleted(branch, why string) {
	for _, r := range w.requests {
		if r.head == branch {
			w.leave(r, fmt.Sprintf("branch %s could not be deleted, though %s holds what it was for: %s; delete it by hand, or allow the App or user to", branch, r.base, why))
		}
	}
}

// recheck leaves alone the heads that a person has pushed to since the works
// were planned.
func (w *writing) recheck(ctx context.Context) error {
	for _, r := range w.requests {
		head, exists := w.heads.branches[r.head]
		if !exists || !r.stale || len(r.works) == 0 || !slices.ContainsFunc(r.works, func(i int) bool { return w.pending[i] }) {
			continue
		}
		person, err := w.foreign(ctx, r, head)
		if err == nil && person != "" {
			err = w.leaveAlone(ctx, r, person)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// offer opens the pull requests of all works that landed or were proposed
// before, or brings their texts up to date.
func (w *writing) offer(ctx context.Context) {
	for _, r := range w.requests {
		if !r.asked || r.settled {
			continue
		}
		var changes []image.Change
		for _, i := range r.works {
			o := &w.outcomes[i]
			if o.Err != nil || o.Note != "" || w.works[i].Settled {
				continue
			}
			if len(o.Changes) == 0 {
				o.Changes = w.works[i].Planned
			}
			changes = append(changes, o.Changes...)
		}
		if len(changes) == 0 {
			continue
		}
		if !w.ours() {
			for _, i := range r.works {
				w.handOver(i)
			}
			continue
		}
		url, opened, err := w.propose(ctx, r, changes)
		if err == nil {
			err = w.supersede(ctx, r, changes, url)
		}
		for _, i := range r.works {
			o := &w.outcomes[i]
			if o.Err == nil && o.Note == "" && !w.works[i].Settled {
				o.PullRequestURL, o.Opened, o.Err = url, opened, err
			}
		}
		if err == nil {
			w.remember(r, url, "")
		}
	}
}

// supersede closes open pull requests of ours from other branches that propose
// something else for the same places: a template of git-branch makes another
// branch for each version. One that anybody else has worked on stays.
func (w *writing) supersede(ctx context.Context, r *request, changes []image.Change, url string) error {
	for head, old := range w.open {
		m, ok := markOf(old.Body)
		if !ok || old.Base != r.base || !m.within(changes) || slices.ContainsFunc(w.requests, func(other *request) bool { return other.head == head }) {
			continue
		}
		commits, err := w.repo.forge.Commits(ctx, *old)
		if err != nil {
			return err
		}
		if !slices.ContainsFunc(commits, foreignCommit) {
			if err := w.withdraw(ctx, *old, "Superseded by "+url+". I close this."); err != nil {
				return err
			}
			w.removals = append(w.removals, head)
		}
	}
	return nil
}

func foreignCommit(c forge.Commit) bool {
	return !ours(Signature{c.AuthorName, c.AuthorEmail}, Signature{c.CommitterName, c.CommitterEmail}, c.Message)
}

// withdraw closes a pull request with a word why.
func (w *writing) withdraw(ctx context.Context, pr forge.PullRequest, why string) error {
	if err := w.repo.forge.CommentOnce(ctx, pr, closedMark, why+"\n\n"+closedMark+"\n"); err != nil {
		return err
	}
	m, _ := markOf(pr.Body)
	m.Withdrawn = true
	return w.repo.forge.Close(ctx, pr, withMark(pr.Body, m))
}

// propose opens a pull request, or gives an open one the text of what it
// proposes now. A text that says that already is left as people have edited it.
func (w *writing) propose(ctx context.Context, r *request, changes []image.Change) (url string, opened bool, err error) {
	m := mark{Key: r.key}
	for _, c := range changes {
		m.Changes = append(m.Changes, changeID(c))
	}
	if r.open != nil {
		before, _ := markOf(r.open.Body)
		if before.Key != r.key || r.open.Base != r.base {
			if err := w.repo.forge.Edit(ctx, *r.open, r.Title(changes), withMark(r.Body(ctx, changes), m), r.base); err != nil {
				return r.open.URL, false, err
			}
		}
		if r.open.Untouched { // we may have ended right after we opened it
			err = w.repo.forge.Complete(ctx, *r.open, w.proposal(r, "", ""))
		}
		return r.open.URL, false, err
	}
	p := w.proposal(r, r.Title(changes), withMark(r.Body(ctx, changes), m))
	pr, err := w.repo.forge.Create(ctx, p)
	if err != nil {
		return "", false, err
	}
	return pr.URL, true, w.repo.forge.Complete(ctx, pr, p)
}

func (w *writing) proposal(r *request, title, body string) forge.Proposal {
	return forge.Proposal{Title: title, Body: body, Head: r.head, Base: r.base, Labels: r.Labels, Reviewers: r.Reviewers, Assignees: r.Assignees, Draft: r.Draft, AutoMerge: r.AutoMerge}
}
