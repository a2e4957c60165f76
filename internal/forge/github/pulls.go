package github

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/google/go-github/v88/github"

	"github.com/liverty-music/image-writeback/internal/forge"
)

// The permissions that requests need, as the App's settings name them.
const (
	readContents  = "Contents: read"
	writeContents = "Contents: read and write"
	readPulls     = "Pull requests: read"
	writePulls    = "Pull requests: read and write"
)

// openPage is one page of the open pull requests, with the ETag by which GitHub
// says whether it has changed.
type openPage struct {
	etag  string
	pulls []forge.PullRequest
	next  int
}

// OpenPullRequests sends one request for each hundred. A page that has not
// changed since the last time costs nothing of the rate limit.
func (r *repository) OpenPullRequests(ctx context.Context) ([]forge.PullRequest, error) {
	in, err := r.reach(ctx, toPropose)
	if err != nil {
		return nil, err
	}
	r.mu.Lock()
	before := r.open
	r.mu.Unlock()

	var all []forge.PullRequest
	var pages []openPage
	for number, i := 1, 0; number != 0; i++ {
		last := openPage{}
		if i < len(before) {
			last = before[i]
		}
		page, err := r.openPage(ctx, in.client, number, last)
		if err != nil {
			return nil, r.failed("listing its pull requests", readPulls, err)
		}
		pages = append(pages, page)
		all = append(all, page.pulls...)
		if number = page.next; number != 0 && len(pages) == forge.MostPages {
			return nil, r.failed("listing its pull requests", readPulls, forge.TooManyPages("the list"))
		}
	}

	if textOf(all) > mostText { // it is read again each time
		pages = nil
	}
	r.mu.Lock()
	r.open = pages
	r.mu.Unlock()
	return all, nil
}

// mostText is how many bytes of the texts of open pull requests are remembered for one
// repository.
const mostText = 1 << 20

func textOf(pulls []forge.PullRequest) int {
	size := 0
	for _, pr := range pulls {
		size += len(pr.Title) + len(pr.Body)
	}

	return size
}

// openPage reads one page, or returns the last one where it has not changed.
func (r *repository) openPage(
	ctx context.Context, client *github.Client, number int, last openPage,
) (openPage, error) {
	path := fmt.Sprintf("repos/%s/%s/pulls?state=open&per_page=100&page=%d", r.owner, r.name, number)
	request, err := client.NewRequest(ctx, http.MethodGet, path, nil)
	if err != nil {
		return openPage{}, err
	}
	if last.etag != "" {
		request.Header.Set("If-None-Match", last.etag)
	}

	var listed []*github.PullRequest
	response, err := client.Do(request, &listed)
	if response != nil && response.StatusCode == http.StatusNotModified {
		return last, nil
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

func pullRequest(pr *github.PullRequest) forge.PullRequest {
	return forge.PullRequest{
		Number:    pr.GetNumber(),
		ID:        pr.GetNodeID(),
		URL:       pr.GetHTMLURL(),
		Title:     pr.GetTitle(),
		Body:      pr.GetBody(),
		Head:      pr.GetHead().GetRef(),
		Base:      pr.GetBase().GetRef(),
		HeadSHA:   pr.GetHead().GetSHA(),
		Draft:     pr.GetDraft(),
		Merged:    pr.MergedAt != nil,
		Untouched: pr.GetUpdatedAt().Equal(pr.GetCreatedAt()),
	}
}

// ClosedPullRequests sends one request.
func (r *repository) ClosedPullRequests(ctx context.Context, head string) ([]forge.PullRequest, error) {
	in, err := r.reach(ctx, toPropose)
	if err != nil {
		return nil, err
	}
	list, _, err := in.client.PullRequests.List(ctx, r.owner, r.name, &github.PullRequestListOptions{
		State: "closed", Head: r.owner + ":" + head,
		Sort: "created", Direction: "desc", ListOptions: github.ListOptions{PerPage: 100},
	})
	if err != nil {
		return nil, r.failed("looking for closed pull requests", readPulls, err)
	}

	all := make([]forge.PullRequest, len(list))
	for i, pr := range list {
		all[i] = pullRequest(pr)
	}
	return all, nil
}

// Create opens a pull request; labels, assignees, reviewers and the automatic
// merge follow with Complete.
func (r *repository) Create(ctx context.Context, p forge.Proposal) (forge.PullRequest, error) {
	in, err := r.reach(ctx, toPropose)
	if err != nil {
		return forge.PullRequest{}, err
	}
	pr, _, err := in.client.PullRequests.Create(ctx, r.owner, r.name,
		&github.NewPullRequest{Title: &p.Title, Body: &p.Body, Head: &p.Head, Base: &p.Base, Draft: &p.Draft})
	if err != nil {
		return forge.PullRequest{}, r.failed("opening the pull request", writePulls, err)
	}
	if pr.GetNumber() == 0 {
		return forge.PullRequest{}, r.newError("opening the pull request",
			errors.New("GitHub has answered without a pull request"), "the next cycle looks whether it is there")
	}
	return pullRequest(pr), nil
}

// Complete adds labels, assignees, reviewers and the automatic merge.
func (r *repository) Complete(ctx context.Context, pr forge.PullRequest, p forge.Proposal) error {
	in, err := r.reach(ctx, toPropose)
	if err != nil {
		return err
	}
	client := in.client

	if len(p.Labels) > 0 {
		if err := r.addLabels(ctx, client, pr.Number, p.Labels); err != nil {
			return r.failed("labelling the pull request", writePulls, err)
		}
	}
	if len(p.Assignees) > 0 {
		if _, _, err := client.Issues.AddAssignees(ctx, r.owner, r.name, pr.Number, p.Assignees); err != nil {
			return r.failed("assigning the pull request", writePulls, err)
		}
	}
	if len(p.Reviewers) > 0 {
		if err := r.askForReviews(ctx, client, pr.Number, reviewers(p.Reviewers)); err != nil {
			return r.failed("asking for reviews of the pull request", writePulls, err)
		}
	}
	if p.AutoMerge {
		return r.autoMerge(ctx, client, pr)
	}
	return nil
}

// askForReviews asks people and teams. For teams, the token may also read the members
// of the organization; an App without that permission is left to GitHub's answer.
func (r *repository) askForReviews(
	ctx context.Context, client *github.Client, number int, request github.ReviewersRequest,
) error {
	if len(request.TeamReviewers) > 0 {
		in, err := r.reach(ctx, toAskTeams)
		if err != nil {
			return err
		}
		_, _, err = in.client.PullRequests.RequestReviewers(ctx, r.owner, r.name, number, request)
		if !notGranted(err) {
			return err
		}
	}

	_, _, err := client.PullRequests.RequestReviewers(ctx, r.owner, r.name, number, request)

	return err
}

// addLabels sends the form that GitHub recommends, which the library does not.
func (r *repository) addLabels(ctx context.Context, client *github.Client, number int, labels []string) error {
	path := fmt.Sprintf("repos/%s/%s/issues/%d/labels", r.owner, r.name, number)
	request, err := client.NewRequest(ctx, http.MethodPost, path, map[string][]string{"labels": labels})
	if err != nil {
		return err
	}
	_, err = client.Do(request, nil)
	return err
}

// reviewers sorts logins from teams.
func reviewers(names []string) (request github.ReviewersRequest) {
	for _, name := range names {
		if _, team, ok := strings.Cut(name, "/"); ok {
			request.TeamReviewers = append(request.TeamReviewers, team)
		} else {
			request.Reviewers = append(request.Reviewers, name)
		}
	}
	return request
}

const enableAutoMerge = `mutation($pullRequest: ID!) {
  enablePullRequestAutoMerge(input: {pullRequestId: $pullRequest}) { pullRequest { number } }
}`

// autoMerge has GitHub merge once everything that the repository requires is
// there. Where nothing is missing GitHub refuses to wait, and it is merged now.
func (r *repository) autoMerge(ctx context.Context, client *github.Client, pr forge.PullRequest) error {
	const doing = "enabling auto-merge for the pull request"
	err := r.client.graphQL(ctx, client, enableAutoMerge, map[string]any{"pullRequest": pr.ID}, &struct{}{})

	var refused *graphQLError
	switch {
	case err == nil:
		return nil
	case !errors.As(err, &refused):
		return r.failed(doing, writeContents, err)
	case refused.says("clean status"):
		if _, _, err := client.PullRequests.Merge(ctx, r.owner, r.name, pr.Number, "", nil); err != nil {
			return r.failed("merging the pull request", writeContents, err)
		}
		return nil
	}
	return r.newError(doing, refused,
		"allow auto-merge in the repository's settings, or set github.pullRequest.autoMerge: false")
}

// Edit names the base only where it changes: naming it counts as changing it.
func (r *repository) Edit(ctx context.Context, pr forge.PullRequest, title, body, base string) error {
	edit := &github.PullRequest{Title: &title, Body: &body}
	if base != pr.Base {
		edit.Base = &github.PullRequestBranch{Ref: &base}
	}
	return r.edit(ctx, pr, "updating the pull request", edit)
}

// Close sets the state and the body.
func (r *repository) Close(ctx context.Context, pr forge.PullRequest, body string) error {
	closed := "closed"
	return r.edit(ctx, pr, "closing the pull request", &github.PullRequest{State: &closed, Body: &body})
}

func (r *repository) edit(ctx context.Context, pr forge.PullRequest, doing string, edit *github.PullRequest) error {
	in, err := r.reach(ctx, toPropose)
	if err != nil {
		return err
	}
	if _, _, err := in.client.PullRequests.Edit(ctx, r.owner, r.name, pr.Number, edit); err != nil {
		return r.failed(doing, writePulls, err)
	}
	return nil
}

// CommentOnce reads all comments first.
func (r *repository) CommentOnce(ctx context.Context, pr forge.PullRequest, mark, text string) error {
	in, err := r.reach(ctx, toPropose)
	if err != nil {
		return err
	}

	options := &github.IssueListCommentsOptions{ListOptions: github.ListOptions{PerPage: 100}}
	for range forge.MostPages { // in one of the others, nobody would see it
		comments, response, err := in.client.Issues.ListComments(ctx, r.owner, r.name, pr.Number, options)
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

	comment := &github.IssueComment{Body: &text}
	if _, _, err := in.client.Issues.CreateComment(ctx, r.owner, r.name, pr.Number, comment); err != nil {
		return r.failed("commenting on the pull request", writePulls, err)
	}
	return nil
}

// Commits sends one request for each hundred.
func (r *repository) Commits(ctx context.Context, pr forge.PullRequest) ([]forge.Commit, error) {
	in, err := r.reach(ctx, toPropose)
	if err != nil {
		return nil, err
	}

	var all []forge.Commit
	options := &github.ListOptions{PerPage: 100}
	for range forge.MostPages {
		page, response, err := in.client.PullRequests.ListCommits(ctx, r.owner, r.name, pr.Number, options)
		if err != nil {
			return nil, r.failed("reading the commits of the pull request", readPulls, err)
		}
		for _, c := range page {
			commit := c.GetCommit()
			all = append(all, forge.Commit{
				AuthorName: commit.GetAuthor().GetName(), AuthorEmail: commit.GetAuthor().GetEmail(),
				CommitterName: commit.GetCommitter().GetName(), CommitterEmail: commit.GetCommitter().GetEmail(),
				Message: commit.GetMessage(),
			})
		}
		if response.NextPage == 0 {
			return all, nil
		}
		options.Page = response.NextPage
	}

	return nil, r.failed("reading the commits of the pull request", readPulls, forge.TooManyPages("the list"))
}
