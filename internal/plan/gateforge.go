package plan

import "github.com/liverty-music/image-writeback/internal/spec"

// forgeGate refuses pull requests where none can be opened.
func forgeGate(_ []*Decision, s Settings) answer {
	return func(d *Decision, _ *Image) verdict {
		if d.delivery != spec.DeliverPullRequest || d.Case.inApplication() || d.Case.Place.PullRequests {
			return goOn()
		}

		remedy := s.PullRequests.Remedy
		if d.enforcedBy == 0 {
			remedy += ", or annotate " + spec.Prefix + "write-back-delivery: commit"
		}

		return refuse("a pull request is asked for, but %s is not on GitHub or GitLab, or no credentials for it are "+
			"configured; %s", d.Case.Place.Repository, remedy)
	}
}
