package github

import (
	"context"
	"strings"

	"github.com/liverty-music/image-writeback/internal/forge"
	"github.com/liverty-music/image-writeback/internal/giturl"
)

// CompareURL returns the page that shows people what lies between two commits of
// a repository at github.com; empty for a repository elsewhere.
func CompareURL(source giturl.Address, from, to string) string {
	if !strings.EqualFold(source.Host(), "github.com") || source.Owner() == "" {
		return ""
	}
	return "https://github.com/" + source.Path() + "/compare/" + from + "..." + to
}

// Compare needs the App to be installed on the repository. Its token can only read
// the contents of this one.
func (r *repository) Compare(ctx context.Context, from, to string) (forge.Comparison, error) {
	in, err := r.reach(ctx, toCompare)
	if err != nil {
		return forge.Comparison{}, err
	}
	answer, _, err := in.client.Repositories.CompareCommits(ctx, r.owner, r.name, from, to, nil)
	if err != nil {
		return forge.Comparison{}, r.failed("comparing two commits", readContents, err)
	}

	c := forge.Comparison{URL: answer.GetHTMLURL(), Total: answer.GetTotalCommits()}
	for i := len(answer.Commits) - 1; i >= 0 && len(c.Commits) < forge.MostCompared; i-- {
		one := answer.Commits[i]
		subject, _, _ := strings.Cut(one.GetCommit().GetMessage(), "\n")
		c.Commits = append(c.Commits, forge.ComparedCommit{
			SHA: one.GetSHA(), Subject: subject, URL: one.GetHTMLURL(),
		})
	}
	return c, nil
}
