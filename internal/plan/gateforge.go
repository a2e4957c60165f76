package plan

import "github.com/liverty-music/image-writeback/internal/spec"

// forgeGate refuses pull requests where none can be opened.
func forgeGate(_ []*Decision, s Settings) answer {
	return func(d *Decision, _ *Image) verdict {
		if d.delivery != spec.DeliverPullRequest || d.Case.inApplication() || d.Case.Place.PullRequests {
			return goOn()
		}

		return refuse("a pull request is asked for, but %s is not on GitHub or GitLab, or no credentials for it are "+
			"configured; %s, or annotate %swrite-back-delivery: commit",
			d.Case.Place.Repository, s.PullRequests.Remedy, spec.Prefix)
	}
}
