package plan

import (
	"fmt"
	"slices"

	"github.com/liverty-music/image-writeback/internal/spec"
)

// spot is one setting of one file: an entry, or a key.
type spot struct{ repository, branch, file, key string }

// claim is an image that wants a version in a spot.
type claim struct {
	decision *Decision
	image    *Image
}

// conflictGate refuses images that want different versions in one spot, of one
// Application or of several: each would undo the other in every cycle. The
// Application whose source path holds the file owns the spot, and goes on.
func conflictGate(decisions []*Decision, _ Settings) answer {
	reasons := map[*Image]string{}
	for _, claims := range claimsBySpot(decisions) {
		reason := conflict(claims)
		if reason == "" {
			continue
		}

		if owner := ownerOf(claims); owner != nil {
			claims = refuseOthers(claims, owner, reasons)
			reason = conflict(claims)
		}
		if reason != "" {
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
			if img.wanted == nil || img.decided() {
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

// ownerOf returns the decision of the Application that a spot belongs to; nil if
// it belongs to none of them.
func ownerOf(claims []claim) *Decision {
	apps := make([]spec.Application, len(claims))
	for i, c := range claims {
		apps[i] = c.decision.Case.Application
	}

	first := claims[0]
	if first.decision.Case.inApplication() {
		return nil
	}
	i := first.decision.Case.Territory.Owner(apps, first.decision.Case.Application.Target.Repository, first.image.File)
	if i < 0 {
		return nil
	}

	return claims[i].decision
}

// refuseOthers notes a reason for the images of other Applications than the owner
// that want another version, and returns the claims of the owner.
func refuseOthers(claims []claim, owner *Decision, reasons map[*Image]string) []claim {
	others := func(c claim) bool { return c.decision != owner }
	own := slices.DeleteFunc(slices.Clone(claims), others)

	for _, c := range claims {
		wanted := c.image.wanted
		if others(c) && wanted.entry.Version != own[0].image.wanted.entry.Version {
			reasons[c.image] = fmt.Sprintf("it would set %s in %s to %s, but the entry belongs to Application %s, "+
				"whose source path holds the file, and which wants %s; use the same policy for both, or "+
				"separate entries",
				wanted.format.Key(wanted.entry), c.image.File, wanted.entry.Version, owner.Application,
				own[0].image.wanted.entry.Version)
		}
	}

	return own
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
