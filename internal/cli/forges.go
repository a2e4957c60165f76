package cli

import (
	"context"
	"fmt"

	"github.com/liverty-music/image-writeback/internal/config"
	"github.com/liverty-music/image-writeback/internal/forge"
	"github.com/liverty-music/image-writeback/internal/gitwrite"
	"github.com/liverty-music/image-writeback/internal/reconcile"
)

// forges are those that config.yaml signs in to; nil for one that it does not.
type forges struct {
	gitHub *forge.GitHub
	gitLab *forge.GitLab
}

func newForges(c config.Config, userAgent string) (f forges, err error) {
	switch {
	case c.GitHub.App.ID != 0:
		f.gitHub, err = forge.NewGitHubApp(c.GitHub.APIURL, c.GitHub.App.ID, c.GitHub.App.InstallationID, c.GitHub.App.PrivateKeyFile, userAgent)
	case c.GitHub.TokenFile != "":
		f.gitHub, err = forge.NewGitHubToken(c.GitHub.APIURL, c.GitHub.TokenFile, userAgent)
	}
	if err == nil && c.GitLab.TokenFile != "" {
		f.gitLab, err = forge.NewGitLab(c.GitLab.URL, c.GitLab.TokenFile, userAgent)
	}
	return f, err
}

// repository is where pull requests of a repository live; nil where that is
// none of the forges.
func (f forges) repository(url string) gitwrite.Forge {
	if f.gitHub != nil {
		if r := f.gitHub.Repository(url); r != nil {
			return r
		}
	}
	if f.gitLab != nil {
		if r := f.gitLab.Repository(url); r != nil {
			return r
		}
	}
	return nil
}

// compare tells what lies between two commits. Where the forge does not tell
// us, there is still the page for people.
func (f forges) compare(ctx context.Context, source, from, to string) forge.Comparison {
	if at, ok := f.repository(source).(interface {
		Compare(ctx context.Context, from, to string) (forge.Comparison, error)
	}); ok {
		if found, err := at.Compare(ctx, from, to); err == nil {
			return found
		}
	}
	return forge.Comparison{URL: forge.CompareURL(source, from, to)}
}

func pullRequests(c config.PullRequest) (reconcile.PullRequests, error) {
	p := reconcile.PullRequests{Labels: c.Labels, Reviewers: c.Reviewers, Assignees: c.Assignees, Draft: c.Draft, AutoMerge: c.AutoMerge}
	var err error
	if p.Title, err = reconcile.ParseTemplate("github.pullRequest.title", c.Title); err != nil {
		return p, err
	}
	if p.Body, err = reconcile.ParseTemplate("github.pullRequest.body", c.Body); err != nil {
		return p, err
	}
	if c.Branch != "" {
		if p.Branch, err = reconcile.ParseBranchTemplate(c.Branch); err != nil {
			return p, fmt.Errorf("github.pullRequest.branch: %w", err)
		}
	}
	return p, nil
}
