package forge

import (
	"context"
	"strings"

	"github.com/liverty-music/image-writeback/internal/giturl"
)

// Comparison is what lies between two commits.
type Comparison struct {
	URL     string // for people
	Commits []ComparedCommit
	Total   int // Commits may be fewer
}

// ComparedCommit is one commit between two others.
type ComparedCommit struct{ SHA, Subject, URL string }

// maxCompared bounds how many commits a Comparison tells of, the newest ones.
const maxCompared = 20

// CompareURL is where people see what lies between two commits of a repository
// at github.com or gitlab.com; empty anywhere else.
func CompareURL(source, from, to string) string {
	at := giturl.Parse(source)
	if at.Owner() == "" {
		return ""
	}
	between := "/compare/" + from + "..." + to
	switch {
	case strings.EqualFold(at.Host(), "gitlab.com"):
		between = "/-" + between
	case !strings.EqualFold(at.Host(), "github.com"):
		return ""
	}
	return "https://" + at.Host() + "/" + at.Path() + between
}

// Compare tells what lies between two commits. The error says that GitHub does
// not tell us, such as for a repository that the App is not installed on.
func (r *GitHubRepository) Compare(ctx context.Context, from, to string) (Comparison, error) {
	found, err := r.reach(ctx)
	if err != nil {
		return Comparison{}, err
	}
	answer, _, err := found.client.Repositories.CompareCommits(ctx, r.owner, r.name, from, to, nil)
	if err != nil {
		return Comparison{}, r.failed("comparing two commits", "Contents: read", err)
	}
	c := Comparison{URL: answer.GetHTMLURL(), Total: answer.GetTotalCommits()}
	for i := len(answer.Commits) - 1; i >= 0 && len(c.Commits) < maxCompared; i-- {
		one := answer.Commits[i]
		subject, _, _ := strings.Cut(one.GetCommit().GetMessage(), "\n")
		c.Commits = append(c.Commits, ComparedCommit{one.GetSHA(), subject, one.GetHTMLURL()})
	}
	return c, nil
}
