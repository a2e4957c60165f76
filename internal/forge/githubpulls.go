package forge

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/google/go-github/v88/github"
)

// The permissions that requests take.
const (
	readPulls  = "Pull requests: read"
	writePulls = "Pull requests: read and write"
)

// openPage is one page of the open pull requests, with the tag by which GitHub
// tells whether it has changed.
type openPage struct {
	etag  string
	pulls []PullRequest
	next  int
}

// OpenPullRequests lists those whose head is a branch of this repository, with
// one request for each hundred. A page that has not changed since it was last
// asked for costs nothing of the rate limit.
func (r *GitHubRepository) OpenPullRequests(ctx context.Context) ([]PullRequest, error) {
	found, err := r.reach(ctx)
	if err != nil {
		return nil, err
	}
	r.mu.Lock()
	before := r.open
	r.mu.Unlock()
	var all []PullRequest
	var pages []openPage
	for number, i := 1, 0; number != 0; i++ {
		known := openPage{}
		if i < len(before) {
			known = before[i]
		}
		page, err := r.openPage(ctx, found.client, number, known)
		if err != nil {
			return nil, r.failed("listing its pull requests", readPulls, err)
		}
		pages = append(pages, page)
		all = append(all, page.pulls...)
		number = page.next
	}
	r.mu.Lock()
	r.open = pages
	r.mu.Unlock()
	return all, nil
}

func (r *GitHubRepository) openPage(ctx context.Context, client *github.Client, number int, known openPage) (openPage, error) {
	request, err := client.NewRequest(ctx, http.MethodGet, fmt.Sprintf("repos/%s/%s/pulls?state=open&per_page=100&page=%d", r.owner, r.name, number), nil)
	if err != nil {
		return openPage{}, err
	}
	if known.etag != "" {
		request.Header.Set("If-None-Match", known.etag)
	}
	var listed []*github.PullRequest
	response, err := client.Do(request, &listed)
	if response != nil && response.StatusCode == http.StatusNotModified {
		return known, nil
	}
	if err != nil {
		return openPage{}, err
	}
	page := openPage{etag: response.Header.Get("ETag"), next: response.NextPage}
	for _, pr := range listed {
		if strings.EqualFold(pr.GetHead().GetRepo().GetFullName(), r.fullName()) {
			page.pulls = append(page.pulls, pullRequest(pr))
		}
	}
	return page, nil
}

func pullRequest(pr *github.PullRequest) PullRequest {
	return PullRequest{Number: pr.GetNumber(), URL: pr.GetHTMLURL(), Title: pr.GetTitle(), Body: pr.GetBody(),
		Head: pr.GetHead().GetRef(), Base: pr.GetBase().GetRef(), HeadSHA: pr.GetHead().GetSHA(), Merged: pr.MergedAt != nil,
		Untouched: pr.GetUpdatedAt().Equal(pr.GetCreatedAt()), node: pr.GetNodeID(), draft: pr.GetDraft()}
}

// ClosedPullRequests lists the newest of a head, at most a hundred, newest first.
func (r *GitHubRepository) ClosedPullRequests(ctx context.Context, head string) ([]PullRequest, error) {
	found, err := r.reach(ctx)
	if err != nil {
		return nil, err
	}
	list, _, err := found.client.PullRequests.List(ctx, r.owner, r.name, &github.PullRequestListOptions{State: "closed", Head: r.owner + ":" + head,
		Sort: "created", Direction: "desc", ListOptions: github.ListOptions{PerPage: 100}})
	if err != nil {
		return nil, r.failed("looking for closed pull requests", readPulls, err)
	}
	all := make([]PullRequest, len(list))
	for i, pr := range list {
		all[i] = pullRequest(pr)
	}
	return all, nil
}

// Create opens a pull request; Complete is to follow.
func (r *GitHubRepository) Create(ctx context.Context, p Proposal) (PullRequest, error) {
	found, err := r.reach(ctx)
	if err != nil {
		return PullRequest{}, err
	}
	pr, _, err := found.client.PullRequests.Create(ctx, r.owner, r.name, &github.NewPullRequest{Title: &p.Title, Body: &p.Body, Head: &p.Head, Base: &p.Base, Draft: &p.Draft})
	if err != nil {
		return PullRequest{}, r.failed("opening the pull request", writePulls, err)
	}
	return pullRequest(pr), nil
}

// Complete gives a new pull request all that cannot be said when it is opened:
// labels, assignees, reviewers, and to be merged by itself.
func (r *GitHubRepository) Complete(ctx context.Context, pr PullRequest, p Proposal) error {
	found, err := r.reach(ctx)
	if err != nil {
		return err
	}
	client := found.client
	if len(p.Labels) > 0 {
		// The form that GitHub recommends, which the library does not send.
		request, err := client.NewRequest(ctx, http.MethodPost, fmt.Sprintf("repos/%s/%s/issues/%d/labels", r.owner, r.name, pr.Number), map[string][]string{"labels": p.Labels})
		if err == nil {
			_, err = client.Do(request, nil)
		}
		if err != nil {
			return r.failed("labelling the pull request", writePulls, err)
		}
	}
	if len(p.Assignees) > 0 {
		if _, _, err := client.Issues.AddAssignees(ctx, r.owner, r.name, pr.Number, p.Assignees); err != nil {
			return r.failed("assigning the pull request", writePulls, err)
		}
	}
	if len(p.Reviewers) > 0 {
		var request github.ReviewersRequest
		for _, reviewer := range p.Reviewers {
			if _, team, ok := strings.Cut(reviewer, "/"); ok {
				request.TeamReviewers = append(request.TeamReviewers, team)
			} else {
				request.Reviewers = append(request.Reviewers, reviewer)
			}
		}
		if _, _, err := client.PullRequests.RequestReviewers(ctx, r.owner, r.name, pr.Number, request); err != nil {
			return r.failed("asking for reviews of the pull request", writePulls, err)
		}
	}
	if p.AutoMerge {
		return r.autoMerge(ctx, client, pr)
	}
	return nil
}

// autoMerge has GitHub merge once everything that the repository requires is
// there. Where nothing is missing GitHub refuses to wait, and it is merged now.
func (r *GitHubRepository) autoMerge(ctx context.Context, client *github.Client, pr PullRequest) error {
	const doing = "having the pull request merged by itself"
	err := r.hub.graphQL(ctx, client, `mutation($pullRequest: ID!) {
  enablePullRequestAutoMerge(input: {pullRequestId: $pullRequest}) { pullRequest { number } }
}`, map[string]any{"pullRequest": pr.node}, &struct{}{})
	var refused *graphQLError
	switch {
	case err == nil:
		return nil
	case !errors.As(err, &refused):
		return r.failed(doing, "Contents: read and write", err)
	case refused.says("clean status"):
		if _, _, err := client.PullRequests.Merge(ctx, r.owner, r.name, pr.Number, "", nil); err != nil {
			return r.failed("merging the pull request", "Contents: read and write", err)
		}
		return nil
	}
	return &Error{Repository: r.fullName() + " at GitHub", Doing: doing, Err: refused,
		Remedy: "allow auto-merge in the repository's settings, or set github.pullRequest.autoMerge: false"}
}

// Edit gives a pull request a title, a body and a base.
func (r *GitHubRepository) Edit(ctx context.Context, pr PullRequest, title, body, base string) error {
	found, err := r.reach(ctx)
	if err != nil {
		return err
	}
	edit := &github.PullRequest{Title: &title, Body: &body}
	if base != pr.Base { // naming it counts as changing it
		edit.Base = &github.PullRequestBranch{Ref: &base}
	}
	if _, _, err := found.client.PullRequests.Edit(ctx, r.owner, r.name, pr.Number, edit); err != nil {
		return r.failed("updating the pull request", writePulls, err)
	}
	return nil
}

// Close closes a pull request without merging it, with a body to be found by.
func (r *GitHubRepository) Close(ctx context.Context, pr PullRequest, body string) error {
	found, err := r.reach(ctx)
	if err != nil {
		return err
	}
	closed := "closed"
	if _, _, err := found.client.PullRequests.Edit(ctx, r.owner, r.name, pr.Number, &github.PullRequest{State: &closed, Body: &body}); err != nil {
		return r.failed("closing the pull request", writePulls, err)
	}
	return nil
}

// CommentOnce says something on a pull request, unless a comment there has the
// mark already. The mark is a part of the text.
func (r *GitHubRepository) CommentOnce(ctx context.Context, pr PullRequest, mark, text string) error {
	found, err := r.reach(ctx)
	if err != nil {
		return err
	}
	options := &github.IssueListCommentsOptions{ListOptions: github.ListOptions{PerPage: 100}}
	for {
		comments, response, err := found.client.Issues.ListComments(ctx, r.owner, r.name, pr.Number, options)
		if err != nil {
			return r.failed("reading the comments of the pull request", readPulls, err)
		}
		for _, c := range comments {
			if strings.Contains(c.GetBody(), mark) {
				return nil
			}
		}
		if response.NextPage == 0 {
			break
		}
		options.Page = response.NextPage
	}
	if _, _, err := found.client.Issues.CreateComment(ctx, r.owner, r.name, pr.Number, &github.IssueComment{Body: &text}); err != nil {
		return r.failed("commenting on the pull request", writePulls, err)
	}
	return nil
}

// Commits lists those of a pull request, oldest first, at most 250.
func (r *GitHubRepository) Commits(ctx context.Context, pr PullRequest) ([]Commit, error) {
	found, err := r.reach(ctx)
	if err != nil {
		return nil, err
	}
	var all []Commit
	options := &github.ListOptions{PerPage: 100}
	for {
		page, response, err := found.client.PullRequests.ListCommits(ctx, r.owner, r.name, pr.Number, options)
		if err != nil {
			return nil, r.failed("reading the commits of the pull request", readPulls, err)
		}
		for _, c := range page {
			author, committer := c.GetCommit().GetAuthor(), c.GetCommit().GetCommitter()
			all = append(all, Commit{author.GetName(), author.GetEmail(), committer.GetName(), committer.GetEmail(), c.GetCommit().GetMessage()})
		}
		if response.NextPage == 0 {
			return all, nil
		}
		options.Page = response.NextPage
	}
}
