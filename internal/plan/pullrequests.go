package plan

import (
	"fmt"
	"slices"
	"text/template"

	"github.com/liverty-music/image-writeback/internal/image"
	"github.com/liverty-music/image-writeback/internal/permission"
	"github.com/liverty-music/image-writeback/internal/spec"
)

// PullRequests are what the operator configures about pull requests.
type PullRequests struct {
	Branch    *BranchTemplate // nil: one branch for each Application
	Labels    []string
	Reviewers []string
	Assignees []string
	Draft     bool
	AutoMerge bool

	// Remedy is what the operator can configure if no pull request can be opened
	// in a repository.
	Remedy string
}

// Head returns the branch to write to if it is not the base itself. It is empty
// if a template of git-branch makes the name from the changes, which are not
// known yet. The error is for a template that fails.
func (p PullRequests) Head(app spec.Application) (string, error) {
	switch {
	case app.Target.WriteBranch != "":
		return app.Target.WriteBranch, nil
	case app.Target.BranchTemplate != nil:
		return "", nil
	case p.Branch != nil:
		return p.Branch.Branch(app)
	}

	return permission.HeadPrefix + app.Namespace + "/" + app.Name, nil
}

// request returns the pull request of an Application, without its text.
func (p PullRequests) request(app spec.Application) *PullRequest {
	return &PullRequest{
		Labels:    slices.Concat(p.Labels, missing(app.Target.Labels, p.Labels)),
		Reviewers: p.Reviewers,
		Assignees: p.Assignees,
		Draft:     p.Draft,
		AutoMerge: p.AutoMerge,
		OwnBranch: app.Target.WriteBranch == "",
	}
}

// missing returns the items of all that have lacks.
func missing(all, have []string) []string {
	var rest []string

	for _, a := range all {
		if !slices.Contains(have, a) {
			rest = append(rest, a)
		}
	}

	return rest
}

// BranchTemplate is github.pullRequest.branch: Applications for which it makes
// the same name share one pull request.
type BranchTemplate struct{ template *template.Template }

// ParseBranchTemplate reads a template over .Namespace, .Name, .Project and
// .Labels of an Application. The error is for a template that cannot be read,
// that fails, or that makes a name which git does not allow.
func ParseBranchTemplate(text string) (*BranchTemplate, error) {
	parsed, err := template.New("branch").Option("missingkey=zero").Parse(text)
	if err != nil {
		return nil, err
	}

	t := &BranchTemplate{parsed}
	_, err = t.Branch(spec.Application{Namespace: "argocd", Name: "app", Project: "default"})

	return t, err
}

// Branch returns the head of an Application's pull request.
func (t *BranchTemplate) Branch(app spec.Application) (string, error) {
	data := struct {
		Namespace, Name, Project string
		Labels                   map[string]string
	}{app.Namespace, app.Name, app.Project, app.Labels}

	name, err := spec.Execute(t.template, data, spec.LongestBranch)
	if err != nil {
		return "", fmt.Errorf("the branch template fails: %w", err)
	}
	if !spec.ValidBranch(name) {
		return "", fmt.Errorf("the branch template produces %q, which is not a valid branch name", name)
	}

	return name, nil
}

// Proposal is one pull request and what it proposes.
type Proposal struct {
	Request      *PullRequest
	Applications []*Application
	Changes      []image.Change
	Files        []FileDiff
}

// propose gives the works their pull requests: one for each head branch of a
// repository.
func propose(decisions []*Decision) []*Proposal {
	type head struct {
		remote       int
		base, branch string
	}

	byHead := map[head]*Proposal{}
	var proposals []*Proposal

	for _, d := range decisions {
		if d.Work == nil || d.Work.PullRequest == nil {
			continue
		}

		at := head{d.Case.Place.Remote, d.Work.Base, d.Work.Write}
		p := byHead[at]
		if p == nil {
			p = &Proposal{Request: d.Work.PullRequest}
			byHead[at] = p
			proposals = append(proposals, p)
		}

		p.Request.Labels = append(p.Request.Labels, missing(d.Case.Application.Target.Labels, p.Request.Labels)...)
		d.Work.PullRequest = p.Request
		if !d.Work.Settled {
			p.Applications = append(p.Applications, d.Application)
			p.Changes = append(p.Changes, d.Work.Planned...)
			p.Files = append(p.Files, d.Diffs...)
		}
	}

	return proposals
}
