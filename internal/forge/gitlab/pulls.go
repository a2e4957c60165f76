package gitlab

import (
	"context"
	"errors"
	"strings"

	gitlab "gitlab.com/gitlab-org/api/client-go"

	"github.com/liverty-music/image-writeback/internal/forge"
)

// draftPrefix begins the title of a draft.
const draftPrefix = "Draft: "

func pullRequest(mr *gitlab.BasicMergeRequest) forge.PullRequest {
	return forge.PullRequest{
		Number:    int(mr.IID),
		URL:       mr.WebURL,
		Title:     strings.TrimPrefix(mr.Title, draftPrefix),
		Body:      mr.Description,
		Head:      mr.SourceBranch,
		Base:      mr.TargetBranch,
		HeadSHA:   mr.SHA,
		Draft:     mr.Draft,
		Merged:    mr.State == "merged",
		Untouched: mr.CreatedAt != nil && mr.UpdatedAt != nil && mr.CreatedAt.Equal(*mr.UpdatedAt),
	}
}

// list returns one page, without merge requests from other projects. Where the
// options do not name a state, it leaves out the open ones.
func (r *repository) list(
	ctx context.Context, options *gitlab.ListProjectMergeRequestsOptions,
) ([]forge.PullRequest, *gitlab.Response, error) {
	requests := r.client.api.MergeRequests
	page, response, err := requests.ListProjectMergeRequests(r.path, options, gitlab.WithContext(ctx))
	var all []forge.PullRequest
	for _, mr := range page {
		if mr.SourceProjectID == mr.TargetProjectID && (options.State != nil || mr.State != "opened") {
			all = append(all, pullRequest(mr))
		}
	}
	return all, response, err
}

// OpenPullRequests sends one request for each hundred.
func (r *repository) OpenPullRequests(ctx context.Context) ([]forge.PullRequest, error) {
	options := &gitlab.ListProjectMergeRequestsOptions{
		State: gitlab.Ptr("opened"), ListOptions: gitlab.ListOptions{PerPage: 100},
	}
	var all []forge.PullRequest
	for range forge.MostPages {
		page, response, err := r.list(ctx, options)
		if err != nil {
			return nil, r.failed("listing its merge requests", err)
		}
		all = append(all, page...)
		if response.NextPage == 0 {
			return all, nil
		}
		options.Page = response.NextPage
	}

	return nil, r.failed("listing its merge requests", forge.TooManyPages("the list"))
}

// ClosedPullRequests sends one request.
func (r *repository) ClosedPullRequests(ctx context.Context, head string) ([]forge.PullRequest, error) {
	all, _, err := r.list(ctx, &gitlab.ListProjectMergeRequestsOptions{
		SourceBranch: &head, OrderBy: gitlab.Ptr("created_at"), ListOptions: gitlab.ListOptions{PerPage: 100},
	})
	if err != nil {
		return nil, r.failed("looking for closed merge requests", err)
	}
	return all, nil
}

// Create opens a merge request with labels, assignees and reviewers; the automatic
// merge follows with Complete.
func (r *repository) Create(ctx context.Context, p forge.Proposal) (forge.PullRequest, error) {
	options := &gitlab.CreateMergeRequestOptions{
		Title: title(p.Title, p.Draft), Description: &p.Body, SourceBranch: &p.Head, TargetBranch: &p.Base,
	}
	if len(p.Labels) > 0 {
		options.Labels = (*gitlab.LabelOptions)(&p.Labels)
	}
	var err error
	if options.AssigneeIDs, err = r.ids(ctx, "assignees", p.Assignees); err != nil {
		return forge.PullRequest{}, err
	}
	if options.ReviewerIDs, err = r.ids(ctx, "reviewers", p.Reviewers); err != nil {
		return forge.PullRequest{}, err
	}

	mr, _, err := r.client.api.MergeRequests.CreateMergeRequest(r.path, options, gitlab.WithContext(ctx))
	if err != nil {
		return forge.PullRequest{}, r.failed("opening the merge request", err)
	}
	if mr.IID == 0 {
		return forge.PullRequest{}, r.newError("opening the merge request",
			errors.New("GitLab has answered without a merge request"), "the next cycle looks whether it is there")
	}
	return pullRequest(&mr.BasicMergeRequest), nil
}

func title(text string, draft bool) *string {
	if draft {
		text = draftPrefix + text
	}
	return &text
}

// ids returns the numbers by which GitLab takes users; nil where none is named.
// setting is the one of github.pullRequest that names them.
func (r *repository) ids(ctx context.Context, setting string, names []string) (*[]int64, error) {
	if len(names) == 0 {
		return nil, nil //nolint:nilnil // the field is left out then
	}
	ids := make([]int64, len(names))
	for i, name := range names {
		id, err := r.id(ctx, setting, name)
		if err != nil {
			return nil, err
		}
		ids[i] = id
	}
	return &ids, nil
}

func (r *repository) id(ctx context.Context, setting, name string) (int64, error) {
	c := r.client
	id, ok := c.users.Get(name)
	if ok {
		return id, nil
	}

	doing := "looking for user " + name
	found, _, err := c.api.Users.ListUsers(&gitlab.ListUsersOptions{Username: &name}, gitlab.WithContext(ctx))
	if err != nil {
		return 0, r.failed(doing, err)
	}
	if len(found) == 0 {
		return 0, r.newError(doing, errors.New("there is no such user"), "correct github.pullRequest."+setting)
	}

	id = found[0].ID
	c.users.Add(name, id)
	return id, nil
}

// Complete enables the automatic merge; all else is said by Create.
func (r *repository) Complete(ctx context.Context, pr forge.PullRequest, p forge.Proposal) error {
	if !p.AutoMerge {
		return nil
	}
	requests, number := r.client.api.MergeRequests, int64(pr.Number)
	options := &gitlab.AcceptMergeRequestOptions{AutoMerge: gitlab.Ptr(true)}
	if _, _, err := requests.AcceptMergeRequest(r.path, number, options, gitlab.WithContext(ctx)); err != nil {
		return r.failed("enabling auto-merge for the merge request", err)
	}
	return nil
}

// Edit keeps the mark of a draft in the title.
func (r *repository) Edit(ctx context.Context, pr forge.PullRequest, text, body, base string) error {
	return r.update(ctx, pr, "updating the merge request", &gitlab.UpdateMergeRequestOptions{
		Title: title(text, pr.Draft), Description: &body, TargetBranch: &base,
	})
}

// Close sets the state and the description.
func (r *repository) Close(ctx context.Context, pr forge.PullRequest, body string) error {
	return r.update(ctx, pr, "closing the merge request", &gitlab.UpdateMergeRequestOptions{
		Description: &body, StateEvent: gitlab.Ptr("close"),
	})
}

func (r *repository) update(
	ctx context.Context, pr forge.PullRequest, doing string, options *gitlab.UpdateMergeRequestOptions,
) error {
	requests, number := r.client.api.MergeRequests, int64(pr.Number)
	if _, _, err := requests.UpdateMergeRequest(r.path, number, options, gitlab.WithContext(ctx)); err != nil {
		return r.failed(doing, err)
	}
	return nil
}

// CommentOnce reads all notes first.
func (r *repository) CommentOnce(ctx context.Context, pr forge.PullRequest, mark, text string) error {
	notes, number := r.client.api.Notes, int64(pr.Number)
	options := &gitlab.ListMergeRequestNotesOptions{ListOptions: gitlab.ListOptions{PerPage: 100}}
	for range forge.MostPages { // in one of the others, nobody would see it
		page, response, err := notes.ListMergeRequestNotes(r.path, number, options, gitlab.WithContext(ctx))
		if err != nil {
			return r.failed("reading the notes of the merge request", err)
		}
		for _, n := range page {
			if strings.Contains(n.Body, mark) {
				return nil
			}
		}
		if response.NextPage == 0 {
			break
		}
		options.Page = response.NextPage
	}

	note := &gitlab.CreateMergeRequestNoteOptions{Body: &text}
	if _, _, err := notes.CreateMergeRequestNote(r.path, number, note, gitlab.WithContext(ctx)); err != nil {
		return r.failed("commenting on the merge request", err)
	}
	return nil
}

// Commits sends one request for each hundred.
func (r *repository) Commits(ctx context.Context, pr forge.PullRequest) ([]forge.Commit, error) {
	requests, number := r.client.api.MergeRequests, int64(pr.Number)
	options := &gitlab.GetMergeRequestCommitsOptions{ListOptions: gitlab.ListOptions{PerPage: 100}}
	var all []forge.Commit
	for range forge.MostPages {
		page, response, err := requests.GetMergeRequestCommits(r.path, number, options, gitlab.WithContext(ctx))
		if err != nil {
			return nil, r.failed("reading the commits of the merge request", err)
		}
		for _, c := range page {
			all = append(all, forge.Commit{
				AuthorName: c.AuthorName, AuthorEmail: c.AuthorEmail,
				CommitterName: c.CommitterName, CommitterEmail: c.CommitterEmail,
				Message: c.Message,
			})
		}
		if response.NextPage == 0 {
			return all, nil
		}
		options.Page = response.NextPage
	}

	return nil, r.failed("reading the commits of the merge request", forge.TooManyPages("the list"))
}
