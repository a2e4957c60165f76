package reconcile

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
	"text/template"

	"github.com/liverty-music/image-writeback/internal/gitwrite"
	"github.com/liverty-music/image-writeback/internal/image"
	"github.com/liverty-music/image-writeback/internal/policy"
	"github.com/liverty-music/image-writeback/internal/spec"
)

// PullRequests are what config.yaml says of them.
type PullRequests struct {
	Title, Body *template.Template // nil: ours
	Branch      *BranchTemplate    // nil: one branch for each Application
	Labels      []string
	Reviewers   []string
	Assignees   []string
	Draft       bool
	AutoMerge   bool
}

// headPrefix begins the heads of our pull requests. They are found again by
// this name, so it must not change between versions.
const headPrefix = "image-writeback/"

// head is the branch to write to where it is not the base itself; empty where
// a template of git-branch makes it of the changes, which are not known yet.
func (p PullRequests) head(app spec.Application) (string, error) {
	switch {
	case app.Target.WriteBranch != "":
		return app.Target.WriteBranch, nil
	case app.Target.BranchTemplate != nil:
		return "", nil
	case p.Branch != nil:
		return p.Branch.Branch(app)
	}
	return headPrefix + app.Namespace + "/" + app.Name, nil
}

// BranchTemplate is github.pullRequest.branch: Applications for which it makes
// the same name have one pull request together.
type BranchTemplate struct{ template *template.Template }

// ParseBranchTemplate reads a template over .Namespace, .Name, .Project and
// .Labels of an Application. The error is for one that cannot be read, fails,
// or makes a name that git does not allow.
func ParseBranchTemplate(text string) (*BranchTemplate, error) {
	parsed, err := template.New("branch").Option("missingkey=zero").Parse(text)
	if err != nil {
		return nil, err
	}
	t := &BranchTemplate{parsed}
	_, err = t.Branch(spec.Application{Namespace: "argocd", Name: "app", Project: "default"})
	return t, err
}

// Branch is the head of an Application's pull request.
func (t *BranchTemplate) Branch(app spec.Application) (string, error) {
	var b strings.Builder
	data := struct {
		Namespace, Name, Project string
		Labels                   map[string]string
	}{app.Namespace, app.Name, app.Project, app.Labels}
	if err := t.template.Execute(&b, data); err != nil {
		return "", fmt.Errorf("github.pullRequest.branch: %w", err)
	}
	if !spec.ValidBranch(b.String()) {
		return "", fmt.Errorf("github.pullRequest.branch: %q is no name that git allows for a branch", b.String())
	}
	return b.String(), nil
}

// proposal is what one pull request proposes.
type proposal struct {
	applications []*Application
	files        []FileDiff
}

// hold leaves alone the pull requests that several Applications share while one
// of them, which has something proposed there, cannot be decided: made anew
// without it, they would take that back.
func hold(plan *Plan, readings []*reading, places []place, works []*gitwrite.Work) {
	for _, r := range readings {
		undecided := map[string]string{} // by head
		for _, i := range r.apps {
			at := places[i]
			if works[i] == nil && at.head != nil && !bytes.Equal(at.head.Data, at.base.Data) && slices.ContainsFunc(plan.Applications[i].Images, func(img Image) bool { return img.Action == ActionError }) {
				undecided[at.headBranch] = plan.Applications[i].String()
			}
		}
		for _, i := range r.apps {
			if works[i] == nil || works[i].PullRequest == nil || undecided[works[i].Write] == "" {
				continue
			}
			for j := range plan.Applications[i].Images {
				if img := &plan.Applications[i].Images[j]; img.Action == ActionUpdate {
					img.Action, img.Reason = ActionSkip, fmt.Sprintf("%s waits: %s has an error, and something proposed in the same pull request (%s)", img.Candidate, undecided[works[i].Write], img.Reason)
				}
			}
			works[i] = nil
		}
	}
}

// pullRequests gives the works their pull requests: one for each head branch
// of a repository. seen are all Applications, those of other replicas as well.
func (e *Engine) pullRequests(plan *Plan, readings []*reading, works []*gitwrite.Work, diffs [][]FileDiff, apps, seen []spec.Application) {
	type place struct {
		reading *reading
		head    string
	}
	settings := e.Settings.PullRequests
	proposals := map[place]*proposal{}
	requests := map[place]*gitwrite.PullRequest{}
	var order []place
	for _, r := range readings {
		for _, i := range r.apps {
			if works[i] == nil || works[i].PullRequest == nil {
				continue
			}
			at := place{r, works[i].Write}
			if requests[at] == nil {
				requests[at] = works[i].PullRequest
				proposals[at] = &proposal{}
				order = append(order, at)
			}
			request, p := requests[at], proposals[at]
			request.Labels = append(request.Labels, missing(apps[i].Target.Labels, request.Labels)...)
			works[i].PullRequest = request
			if !works[i].Settled {
				p.applications = append(p.applications, &plan.Applications[i])
				p.files = append(p.files, diffs[i]...)
			}
		}
	}
	if len(order) == 0 {
		return
	}
	runs := runningIn(seen)
	for _, at := range order {
		text := &pullText{settings: settings, proposal: *proposals[at], runs: runs, facts: e.facts}
		request := requests[at]
		request.Title, request.Body, request.Key = text.title, text.body, text.key()
	}
}

func missing(all, have []string) (rest []string) {
	known := map[string]bool{}
	for _, h := range have {
		known[h] = true
	}
	for _, a := range all {
		if !known[a] {
			rest = append(rest, a)
		}
	}
	return rest
}

// running tells which Applications run an image, by registry and repository.
type running map[string][]sighting

// sighting is one image as it runs.
type sighting struct {
	application string // namespace/name
	ref         image.Ref
	health      spec.Health
}

// runningIn notes what runs.
func runningIn(apps []spec.Application) running {
	found := running{}
	for _, app := range apps {
		for _, one := range app.Running {
			if ref, err := image.ParseRunning(one); err == nil {
				key := ref.Registry + "/" + ref.Repository
				found[key] = append(found[key], sighting{app.String(), ref, app.Health})
			}
		}
	}
	return found
}

// key changes whenever the text says something else of the same changes: what
// runs where and how it fares, the exact changes of files, and the templates.
func (t *pullText) key() string {
	sum := sha256.New()
	for _, template := range []*template.Template{t.settings.Title, t.settings.Body} {
		if template != nil {
			_, _ = fmt.Fprintln(sum, template.Root.String())
		}
	}
	for _, app := range t.applications {
		for _, img := range app.Images {
			for _, s := range t.where(img, app.String()) {
				_, _ = fmt.Fprintln(sum, app.String(), img.Image, s.application, s.health.Status)
			}
		}
	}
	for _, f := range t.files {
		_, _ = fmt.Fprintln(sum, f.File, f.Diff)
	}
	return hex.EncodeToString(sum.Sum(nil)[:8])
}

// isAt tells whether an image that runs is that of a tag. Where digests are
// followed, a tag without one says nothing.
func isAt(runs image.Ref, tag image.Tag, byDigest bool) bool {
	if runs.Digest != "" && tag.Digest != "" || byDigest {
		return runs.Digest == tag.Digest
	}
	return runs.Tag == tag.Name
}

// where are the other Applications that run what an image is to be.
func (t *pullText) where(img Image, application string) []sighting {
	ref, err := image.ParseName(img.Image)
	if err != nil || img.Candidate == "" {
		return nil
	}
	var found []sighting
	for _, s := range t.runs[ref.Registry+"/"+ref.Repository] {
		if s.application != application && isAt(s.ref, img.choice.Tag, img.Strategy == string(policy.Digest)) {
			found = append(found, s)
		}
	}
	return found
}
