package plan

import (
	"fmt"
)

// spot is one setting of one file: an entry, or a key.
type spot struct{ repository, branch, file, key string }

// claim is an image that wants a version in a spot.
type claim struct {
	decision *Decision
	image    *Image
}

// conflictGate refuses images that want different versions in one spot, of one
// Application or of several: each would undo the other in every cycle.
func conflictGate(decisions []*Decision, _ Settings) answer {
	reasons := map[*Image]string{}
	for _, claims := range claimsBySpot(decisions) {
		if reason := conflict(claims); reason != "" {
			for _, c := range claims {
				reasons[c.image] = reason
			}
		}
	}

	return func(_ *Decision, i *Image) verdict {
		if reason, ok := reasons[i]; ok {
			return refuse("%s", reason)
		}

		return goOn()
	}
}

func claimsBySpot(decisions []*Decision) map[spot][]claim {
	claims := map[spot][]claim{}

	for _, d := range decisions {
		for i := range d.Application.Images {
			img := &d.Application.Images[i]
			if img.wanted == nil {
				continue
			}

			at := spot{img.Repository, img.Branch, img.File, img.wanted.format.Key(img.wanted.entry)}
			if d.Case.inApplication() {
				at.repository = d.Application.String()
			}
			claims[at] = append(claims[at], claim{d, img})
		}
	}

	return claims
}

// conflict names the first two claims that differ; it is empty if none do.
func conflict(claims []claim) string {
	first := claims[0]
	for _, other := range claims[1:] {
		if other.image.wanted.entry.Version != first.image.wanted.entry.Version {
			return conflictReason(first, other)
		}
	}

	return ""
}

func conflictReason(a, b claim) string {
	name := func(c claim) string {
		if a.decision == b.decision {
			return c.image.Label()
		}

		return c.image.Label() + " of " + c.decision.Application.String()
	}
	wanted := a.image.wanted

	return fmt.Sprintf("%s and %s both set %s in %s, but to different versions (%s and %s); use the same policy for "+
		"both, or separate entries (annotation kustomize.image-name or helm.image-tag)",
		name(a), name(b), wanted.format.Key(wanted.entry), a.image.File,
		wanted.entry.Version, b.image.wanted.entry.Version)
}
