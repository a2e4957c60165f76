package forge

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"sync"

	gitlab "gitlab.com/gitlab-org/api/client-go"
	"golang.org/x/time/rate"

	"github.com/liverty-music/image-writeback/internal/giturl"
)

// GitLab is a personal, group or project access token at one GitLab.
type GitLab struct {
	url    *url.URL
	token  string
	client *gitlab.Client

	mu           sync.Mutex
	repositories map[string]*GitLabRepository // by path
	users        map[string]int64             // by username
	self         *author
}

// NewGitLab returns GitLab with an access token from a file, which needs the
// scopes api and write_repository. The error is for a URL or file that cannot be read.
func NewGitLab(address, tokenFile, userAgent string) (*GitLab, error) {
	at, err := url.Parse(address)
	if err != nil || at.Host == "" || at.Scheme != "https" && at.Scheme != "http" {
		return nil, fmt.Errorf("gitlab.url: %q is no http or https URL", address)
	}
	g := &GitLab{url: at, repositories: map[string]*GitLabRepository{}, users: map[string]int64{}}
	if g.token, err = readToken("gitlab.tokenFile", tokenFile); err != nil {
		return nil, err
	}
	// The patience is ours, for all forges alike.
	g.client, err = gitlab.NewClient(g.token, gitlab.WithBaseURL(address), gitlab.WithUserAgent(userAgent), gitlab.WithoutRetries(),
		gitlab.WithCustomLimiter(rate.NewLimiter(rate.Inf, 1)), gitlab.WithHTTPClient(&http.Client{Transport: &patient{base: httpTransport()}}))
	if err != nil {
		return nil, fmt.Errorf("gitlab.url: %w", err)
	}
	return g, nil
}

// Repository returns the project of an address at this GitLab, ports aside;
// nil for any other.
func (g *GitLab) Repository(repository string) *GitLabRepository {
	at := giturl.Parse(repository)
	if at.Owner() == "" || !strings.EqualFold(at.Host(), g.url.Hostname()) {
		return nil
	}
	// GitLab itself may be below a path.
	path := strings.TrimPrefix(at.Path(), strings.Trim(g.url.Path+"/", "/")+"/")
	g.mu.Lock()
	defer g.mu.Unlock()
	if known, ok := g.repositories[path]; ok {
		return known
	}
	r := &GitLabRepository{lab: g, path: path}
	g.repositories[path] = r
	return r
}

// GitLabRepository is one project at GitLab.
type GitLabRepository struct {
	lab  *GitLab
	path string // with its groups
}

// Login is how git itself signs in.
func (r *GitLabRepository) Login(context.Context) (user, password string, err error) {
	return "oauth2", r.lab.token, nil
}

// Author is the user whose token it is; empty where GitLab does not tell.
func (r *GitLabRepository) Author(ctx context.Context) (name, email string) {
	g := r.lab
	g.mu.Lock()
	self := g.self
	g.mu.Unlock()
	if self == nil {
		user, _, err := g.client.Users.CurrentUser(gitlab.WithContext(ctx))
		if err != nil {
			return "", ""
		}
		self = &author{user.Name, user.Email}
		g.mu.Lock()
		g.self = self
		g.mu.Unlock()
	}
	return self.name, self.email
}

// draftPrefix begins the title of a draft.
const draftPrefix = "Draft: "

func mergeRequest(mr *gitlab.BasicMergeRequest) PullRequest {
	pr := PullRequest{Number: int(mr.IID), URL: mr.WebURL, Title: strings.TrimPrefix(mr.Title, draftPrefix), Body: mr.Description,
		Head: mr.SourceBranch, Base: mr.TargetBranch, HeadSHA: mr.SHA, Merged: mr.State == "merged", draft: mr.Draft}
	pr.Untouched = mr.CreatedAt != nil && mr.UpdatedAt != nil && mr.CreatedAt.Equal(*mr.UpdatedAt)
	return pr
}

func (r *GitLabRepository) list(ctx context.Context, options *gitlab.ListProjectMergeRequestsOptions) ([]PullRequest, *gitlab.Response, error) {
	page, response, err := r.lab.client.MergeRequests.ListProjectMergeRequests(r.path, options, gitlab.WithContext(ctx))
	var all []PullRequest
	for _, mr := range page {
		if mr.SourceProjectID == mr.TargetProjectID && (options.State != nil || mr.State != "opened") {
			all = append(all, mergeRequest(mr))
		}
	}
	return all, response, err
}

// OpenPullRequests lists the open merge requests whose source is a branch of
// this project, with one request for each hundred.
func (r *GitLabRepository) OpenPullRequests(ctx context.Context) ([]PullRequest, error) {
	options := &gitlab.ListProjectMergeRequestsOptions{State: gitlab.Ptr("opened"), ListOptions: gitlab.ListOptions{PerPage: 100}}
	var all []PullRequest
	for {
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
}

// ClosedPullRequests lists the newest of a head, at most a hundred, newest first.
func (r *GitLabRepository) ClosedPullRequests(ctx context.Context, head string) ([]PullRequest, error) {
	all, _, err := r.list(ctx, &gitlab.ListProjectMergeRequestsOptions{SourceBranch: &head, OrderBy: gitlab.Ptr("created_at"), ListOptions: gitlab.ListOptions{PerPage: 100}})
	if err != nil {
		return nil, r.failed("looking for closed merge requests", err)
	}
	return all, nil
}

// Create opens a merge request; Complete is to follow.
func (r *GitLabRepository) Create(ctx context.Context, p Proposal) (PullRequest, error) {
	options := &gitlab.CreateMergeRequestOptions{Title: title(p.Title, p.Draft), Description: &p.Body, SourceBranch: &p.Head, TargetBranch: &p.Base}
	if len(p.Labels) > 0 {
		options.Labels = (*gitlab.LabelOptions)(&p.Labels)
	}
	var err error
	if options.AssigneeIDs, err = r.ids(ctx, "assignees", p.Assignees); err != nil {
		return PullRequest{}, err
	}
	if options.ReviewerIDs, err = r.ids(ctx, "reviewers", p.Reviewers); err != nil {
		return PullRequest{}, err
	}
	mr, _, err := r.lab.client.MergeRequests.CreateMergeRequest(r.path, options, gitlab.WithContext(ctx))
	if err != nil {
		return PullRequest{}, r.failed("opening the merge request", err)
	}
	return mergeRequest(&mr.BasicMergeRequest), nil
}

func title(text string, draft bool) *string {
	if draft {
		text = draftPrefix + text
	}
	return &text
}

// ids are the numbers by which GitLab takes users.
func (r *GitLabRepository) ids(ctx context.Context, key string, names []string) (*[]int64, error) {
	if len(names) == 0 {
		return nil, nil //nolint:nilnil // none is said by leaving it out
	}
	g := r.lab
	var ids []int64
	for _, name := range names {
		g.mu.Lock()
		id, known := g.users[name]
		g.mu.Unlock()
		if !known {
			found, _, err := g.client.Users.ListUsers(&gitlab.ListUsersOptions{Username: &name}, gitlab.WithContext(ctx))
			if err != nil {
				return nil, r.failed("looking for user "+name, err)
			}
			if len(found) == 0 {
				return nil, &Error{Repository: r.path + " at GitLab", Doing: "looking for user " + name, Err: errors.New("there is no such user"), Remedy: "correct github.pullRequest." + key}
			}
			id = found[0].ID
			g.mu.Lock()
			g.users[name] = id
			g.mu.Unlock()
		}
		ids = append(ids, id)
	}
	return &ids, nil
}

// Complete has a new merge request merged by itself, where that is wanted.
func (r *GitLabRepository) Complete(ctx context.Context, pr PullRequest, p Proposal) error {
	if !p.AutoMerge {
		return nil
	}
	yes := true
	if _, _, err := r.lab.client.MergeRequests.AcceptMergeRequest(r.path, int64(pr.Number), &gitlab.AcceptMergeRequestOptions{AutoMerge: &yes}, gitlab.WithContext(ctx)); err != nil {
		return r.failed("having the merge request merged by itself", err)
	}
	return nil
}

// Edit gives a merge request a title, a text and a target; a draft stays one.
func (r *GitLabRepository) Edit(ctx context.Context, pr PullRequest, to, body, base string) error {
	return r.update(ctx, pr, "updating the merge request", &gitlab.UpdateMergeRequestOptions{Title: title(to, pr.draft), Description: &body, TargetBranch: &base})
}

// Close closes a merge request without merging it, with a text to be found by.
func (r *GitLabRepository) Close(ctx context.Context, pr PullRequest, body string) error {
	return r.update(ctx, pr, "closing the merge request", &gitlab.UpdateMergeRequestOptions{Description: &body, StateEvent: gitlab.Ptr("close")})
}

func (r *GitLabRepository) update(ctx context.Context, pr PullRequest, doing string, options *gitlab.UpdateMergeRequestOptions) error {
	if _, _, err := r.lab.client.MergeRequests.UpdateMergeRequest(r.path, int64(pr.Number), options, gitlab.WithContext(ctx)); err != nil {
		return r.failed(doing, err)
	}
	return nil
}

// CommentOnce says something on a merge request, unless a note there has the
// mark already. The mark is a part of the text.
func (r *GitLabRepository) CommentOnce(ctx context.Context, pr PullRequest, mark, text string) error {
	options := &gitlab.ListMergeRequestNotesOptions{ListOptions: gitlab.ListOptions{PerPage: 100}}
	for {
		notes, response, err := r.lab.client.Notes.ListMergeRequestNotes(r.path, int64(pr.Number), options, gitlab.WithContext(ctx))
		if err != nil {
			return r.failed("reading the notes of the merge request", err)
		}
		for _, n := range notes {
			if strings.Contains(n.Body, mark) {
				return nil
			}
		}
		if response.NextPage == 0 {
			break
		}
		options.Page = response.NextPage
	}
	if _, _, err := r.lab.client.Notes.CreateMergeRequestNote(r.path, int64(pr.Number), &gitlab.CreateMergeRequestNoteOptions{Body: &text}, gitlab.WithContext(ctx)); err != nil {
		return r.failed("commenting on the merge request", err)
	}
	return nil
}

// Commits lists those of a merge request.
func (r *GitLabRepository) Commits(ctx context.Context, pr PullRequest) ([]Commit, error) {
	options := &gitlab.GetMergeRequestCommitsOptions{ListOptions: gitlab.ListOptions{PerPage: 100}}
	var all []Commit
	for {
		page, response, err := r.lab.client.MergeRequests.GetMergeRequestCommits(r.path, int64(pr.Number), options, gitlab.WithContext(ctx))
		if err != nil {
			return nil, r.failed("reading the commits of the merge request", err)
		}
		for _, c := range page {
			all = append(all, Commit{c.AuthorName, c.AuthorEmail, c.CommitterName, c.CommitterEmail, c.Message})
		}
		if response.NextPage == 0 {
			return all, nil
		}
		options.Page = response.NextPage
	}
}

// Compare tells what lies between two commits. The error says that GitLab does
// not tell us.
func (r *GitLabRepository) Compare(ctx context.Context, from, to string) (Comparison, error) {
	answer, _, err := r.lab.client.Repositories.Compare(r.path, &gitlab.CompareOptions{From: &from, To: &to}, gitlab.WithContext(ctx))
	if err != nil {
		return Comparison{}, r.failed("comparing two commits", err)
	}
	c := Comparison{URL: answer.WebURL, Total: len(answer.Commits)}
	for i := len(answer.Commits) - 1; i >= 0 && len(c.Commits) < maxCompared; i-- {
		one := answer.Commits[i]
		c.Commits = append(c.Commits, ComparedCommit{one.ID, one.Title, one.WebURL})
	}
	return c, nil
}

// failed puts an answer of GitLab's in words, with what to do.
func (r *GitLabRepository) failed(doing string, err error) error {
	e := &Error{Repository: r.path + " at GitLab", Doing: doing, Err: err, Remedy: "check gitlab.url and that it can be reached from here"}
	var limited *LimitedError
	var answer *gitlab.ErrorResponse
	var transport *url.Error
	switch {
	case errors.As(err, &limited):
		e.Err, e.Remedy = limited, "the first cycle after that goes on"
	case errors.As(err, &answer) && answer.Response != nil:
		status := answer.Response.StatusCode
		e.Err = fmt.Errorf("GitLab answered %d %s", status, answer.Message)
		e.Remedy = gitLabRemedy(status, answer.Message)
	case errors.Is(err, gitlab.ErrNotFound):
		e.Err, e.Remedy = errors.New("GitLab answered 404 Not Found"), gitLabRemedy(http.StatusNotFound, "")
	case errors.As(err, &transport):
		e.Err = transport.Err
	}
	return e
}

func gitLabRemedy(status int, message string) string {
	switch {
	case status == http.StatusUnauthorized:
		return "make a new token and put it into gitlab.tokenFile: this one is wrong, expired or revoked"
	case status == http.StatusForbidden:
		return "give the token the scope api, and its user the role Developer in the project (Maintainer for protected branches)"
	case status == http.StatusNotFound:
		return "make the token's user a member of the project, and check the project's path"
	case status == http.StatusMethodNotAllowed:
		return "it cannot be merged by itself; set github.pullRequest.autoMerge: false, or see what the project requires"
	case status == http.StatusConflict && strings.Contains(message, "already exists"):
		return "the next cycle takes that one on"
	case status == http.StatusConflict:
		return "something has changed meanwhile; the next cycle decides anew"
	case status >= http.StatusInternalServerError:
		return "GitLab has trouble; it is tried again in the next cycle"
	}
	return "see GitLab's message"
}
