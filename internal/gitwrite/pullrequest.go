package gitwrite

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/google/go-github/v60/github"
)

// confirmed tells whether the pull request of a work was seen to be open, at
// the commit that its head is at.
func (w *writing) confirmed(work Work) bool {
	seen, ok := w.repo.confirmed[work.Write]
	return ok && work.Proposed && seen == w.heads.branches[work.Write]
}

// openPullRequests lists the open pull requests of the repository by their
// head, with one request for each hundred; none where no work needs them.
func (w *writing) openPullRequests(ctx context.Context) (map[string]*github.PullRequest, error) {
	if !slices.ContainsFunc(w.works, func(work Work) bool { return work.PullRequest != nil && !w.confirmed(work) }) {
		return nil, nil
	}
	r := w.repo
	if r.github == nil {
		return nil, &Error{Repository: r.URL(), Doing: "opening a pull request", Err: errors.New("the repository is not GitHub's, or no GitHub App or token is configured"),
			Remedy: "set github.app or github.tokenFile in config.yaml, or annotate write-back-delivery: commit"}
	}
	client, err := r.github.clientFor(ctx)
	if err != nil {
		return nil, err
	}
	open := map[string]*github.PullRequest{}
	options := &github.PullRequestListOptions{State: "open", ListOptions: github.ListOptions{PerPage: 100}}
	for {
		page, response, err := client.PullRequests.List(ctx, r.github.owner, r.github.name, options)
		if err != nil {
			return nil, r.github.failed("listing its pull requests", err)
		}
		for _, pr := range page {
			if pr.GetHead().GetRepo().GetFullName() == r.github.owner+"/"+r.github.name {
				open[pr.GetHead().GetRef()] = pr
			}
		}
		if response.NextPage == 0 {
			return open, nil
		}
		options.Page = response.NextPage
	}
}

func (r *hubRepository) clientFor(ctx context.Context) (*github.Client, error) {
	t, err := r.transportFor(ctx)
	if err != nil {
		return nil, err
	}
	return r.hub.client(t), nil
}

// heedClosed leaves alone what a person closed without merging: the newest
// closed pull request of a head, where it had the same title and so the same
// versions.
func (w *writing) heedClosed(ctx context.Context, open map[string]*github.PullRequest) {
	if open == nil {
		return
	}
	hub := w.repo.github
	for i, work := range w.works {
		if work.PullRequest == nil || open[work.Write] != nil || w.confirmed(work) {
			continue
		}
		closed, err := hub.lastClosed(ctx, work.Write)
		switch {
		case err != nil:
			w.outcomes[i].Err, w.pending[i] = err, false
		case closed != nil && closed.MergedAt == nil && closed.GetTitle() == work.PullRequest.Title(work.Planned):
			w.pending[i] = false
			w.outcomes[i].Note = fmt.Sprintf("pull request %s was closed without merging; the next one comes with a newer version", closed.GetHTMLURL())
		}
	}
}

func (r *hubRepository) lastClosed(ctx context.Context, head string) (*github.PullRequest, error) {
	client, err := r.clientFor(ctx)
	if err != nil {
		return nil, err
	}
	list, _, err := client.PullRequests.List(ctx, r.owner, r.name, &github.PullRequestListOptions{State: "closed", Head: r.owner + ":" + head, Sort: "updated", Direction: "desc", ListOptions: github.ListOptions{PerPage: 1}})
	if err != nil {
		return nil, r.failed("looking for a closed pull request", err)
	}
	if len(list) == 0 {
		return nil, nil
	}
	return list[0], nil
}

// offer opens the pull requests of all works that landed or were proposed
// before, or brings their texts up to date.
func (w *writing) offer(ctx context.Context, open map[string]*github.PullRequest) {
	for i, work := range w.works {
		o := &w.outcomes[i]
		if work.PullRequest == nil || o.Err != nil || o.Note != "" {
			continue
		}
		if w.confirmed(work) || open == nil {
			continue
		}
		if !w.ours() {
			w.handOver(i)
			continue
		}
		if len(o.Changes) == 0 {
			o.Changes = work.Planned
		}
		pr, opened, err := w.repo.github.ensure(ctx, open[work.Write], work, o.Changes)
		if err != nil {
			o.Err = err
			continue
		}
		o.PullRequestURL, o.Opened = pr.GetHTMLURL(), opened
		w.repo.confirmed[work.Write] = w.heads.branches[work.Write]
	}
}

// ensure opens a pull request, or gives an open one the title and body of the
// newest change.
func (r *hubRepository) ensure(ctx context.Context, pr *github.PullRequest, work Work, changes []Change) (_ *github.PullRequest, opened bool, _ error) {
	client, err := r.clientFor(ctx)
	if err != nil {
		return nil, false, err
	}
	title, body := work.PullRequest.Title(changes), work.PullRequest.Body(changes)
	if pr != nil {
		if pr.GetTitle() == title && pr.GetBody() == body && pr.GetBase().GetRef() == work.Base {
			return pr, false, nil
		}
		pr, _, err = client.PullRequests.Edit(ctx, r.owner, r.name, pr.GetNumber(), &github.PullRequest{Title: &title, Body: &body, Base: &github.PullRequestBranch{Ref: &work.Base}})
		if err != nil {
			return nil, false, r.failed("updating the pull request", err)
		}
		return pr, false, nil
	}
	pr, _, err = client.PullRequests.Create(ctx, r.owner, r.name, &github.NewPullRequest{Title: &title, Body: &body, Head: &work.Write, Base: &work.Base, Draft: &work.PullRequest.Draft})
	if err != nil {
		return nil, false, r.failed("opening the pull request", err)
	}
	if len(work.PullRequest.Labels) > 0 {
		if _, _, err := client.Issues.AddLabelsToIssue(ctx, r.owner, r.name, pr.GetNumber(), work.PullRequest.Labels); err != nil {
			return nil, true, r.failed("labelling the pull request", err)
		}
	}
	return pr, true, nil
}
