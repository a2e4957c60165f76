package cli

import (
	"context"
	"fmt"

	"github.com/liverty-music/image-writeback/internal/config"
	"github.com/liverty-music/image-writeback/internal/engine"
	"github.com/liverty-music/image-writeback/internal/forge"
	"github.com/liverty-music/image-writeback/internal/forge/github"
	"github.com/liverty-music/image-writeback/internal/forge/gitlab"
	"github.com/liverty-music/image-writeback/internal/giturl"
	"github.com/liverty-music/image-writeback/internal/plan"
	"github.com/liverty-music/image-writeback/internal/report"
	"github.com/liverty-music/image-writeback/internal/spec"
)

// forgeKinds lists the forges. A new one is a folder in internal/forge and a line
// here.
var forgeKinds = []struct {
	// open signs in; nil where config.yaml does not have this forge.
	open func(s *setup) (forge.Client, error)
	// compareURL shows people what lies between two commits; empty for a
	// repository that is elsewhere.
	compareURL func(source giturl.Address, from, to string) string
}{
	{openGitHub, github.CompareURL},
	{openGitLab, gitlab.CompareURL},
}

func openGitHub(s *setup) (forge.Client, error) {
	g := s.config.GitHub
	if g.App.ID == 0 && g.TokenFile == "" {
		return nil, nil //nolint:nilnil // config.yaml does not have it
	}

	return github.New(github.Options{
		APIURL: g.APIURL, AppID: g.App.ID, InstallationID: g.App.InstallationID,
		PrivateKeyFile: g.App.PrivateKeyFile, TokenFile: g.TokenFile, UserAgent: s.build.userAgent(),
		Guard: s.guard,
	})
}

func openGitLab(s *setup) (forge.Client, error) {
	g := s.config.GitLab
	if g.TokenFile == "" {
		return nil, nil //nolint:nilnil // config.yaml does not have it
	}
	return gitlab.New(gitlab.Options{
		URL: g.URL, TokenFile: g.TokenFile, UserAgent: s.build.userAgent(), Guard: s.guard,
	})
}

// forges are the forges that config.yaml signs in to.
type forges []forge.Client

// forges signs in to the forges of config.yaml.
func (s *setup) forges() (forges, error) {
	var all forges
	for _, kind := range forgeKinds {
		client, err := kind.open(s)
		if err != nil {
			return nil, err
		}
		if client != nil {
			all = append(all, client)
		}
	}

	return all, nil
}

// repository returns where the pull requests of a repository live; nil where none
// of the forges has it.
func (f forges) repository(address giturl.Address) forge.Repository {
	for _, client := range f {
		if r := client.Repository(address); r != nil {
			return r
		}
	}
	return nil
}

// comparisons are those that the forges of config.yaml can make. may decides for which
// repositories an Application gets more than the page for people.
func (f forges) comparisons(may func(spec.Application, giturl.Address) bool) engine.Comparisons {
	return engine.Comparisons{Ask: f.compare, Page: comparePage, May: may}
}

// compare returns what lies between two commits of a repository; where the forge
// does not say it, only the page for people.
func (f forges) compare(ctx context.Context, source, from, to string) forge.Comparison {
	if at := f.repository(giturl.Parse(source)); at != nil {
		if found, err := at.Compare(ctx, from, to); err == nil {
			return found
		}
	}

	return comparePage(source, from, to)
}

// comparePage returns only the page for people; nothing for a repository elsewhere.
func comparePage(source, from, to string) forge.Comparison {
	address := giturl.Parse(source)
	for _, kind := range forgeKinds {
		if page := kind.compareURL(address, from, to); page != "" {
			return forge.Comparison{URL: page}
		}
	}

	return forge.Comparison{}
}

// pullRequests reads the settings of pull requests, and parses their templates.
func pullRequests(c config.PullRequest) (plan.PullRequests, error) {
	p := plan.PullRequests{
		Labels: c.Labels, Reviewers: c.Reviewers, Assignees: c.Assignees, Draft: c.Draft, AutoMerge: c.AutoMerge,
		Remedy: "set github.app, github.tokenFile or gitlab.tokenFile in config.yaml",
	}

	var err error
	if c.Branch != "" {
		if p.Branch, err = plan.ParseBranchTemplate(c.Branch); err != nil {
			return p, fmt.Errorf("github.pullRequest.branch: %w", err)
		}
	}

	return p, nil
}

func templates(c config.PullRequest) (t report.Templates, err error) {
	if t.Title, err = report.ParseTemplate("github.pullRequest.title", c.Title); err != nil {
		return t, err
	}
	t.Body, err = report.ParseTemplate("github.pullRequest.body", c.Body)

	return t, err
}
