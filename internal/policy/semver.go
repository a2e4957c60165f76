package policy

import (
	"fmt"

	"github.com/Masterminds/semver/v3"

	"github.com/liverty-music/image-writeback/internal/image"
)

// validateSemVer reports a constraint that is no range of versions.
func validateSemVer(p Policy) error {
	if p.Constraint == "" {
		return nil
	}
	if _, err := semver.NewConstraint(p.Constraint); err != nil {
		return fmt.Errorf("%q is no range of versions such as ^1.2, 1.x or >=1.0 <2: %w", p.Constraint, err)
	}
	return nil
}

// chooseSemVer takes the highest version within the constraint. Without a
// constraint every version counts, pre-releases too; with one, they count only
// where it names one. Equal versions go by the text of the tag.
func chooseSemVer(p Policy, standing []image.Tag) Choice {
	var constraint *semver.Constraints
	if p.Constraint != "" {
		// Validate has seen to it that this parses.
		constraint, _ = semver.NewConstraint(p.Constraint)
	}
	versions := make(map[string]*semver.Version, len(standing))
	var candidates []image.Tag
	var dropped []Dropped
	for _, tag := range standing {
		version, err := semver.NewVersion(tag.Name)
		switch {
		case err != nil:
			dropped = append(dropped, Dropped{tag, string(SemVer), "not a semantic version"})
		case constraint != nil && !constraint.Check(version):
			dropped = append(dropped, Dropped{tag, string(SemVer), outside(version, p.Constraint)})
		default:
			versions[tag.Name] = version
			candidates = append(candidates, tag)
		}
	}
	if len(candidates) == 0 {
		return Choice{Dropped: dropped}
	}
	less := func(a, b image.Tag) bool {
		if c := versions[a.Name].Compare(versions[b.Name]); c != 0 {
			return c < 0
		}
		return a.Name < b.Name
	}
	choice := best(SemVer, candidates, less, func(w image.Tag) string { return "lower than " + w.Name })
	choice.Dropped = append(dropped, choice.Dropped...)
	choice.Reason = fmt.Sprintf("highest version of %s", count(len(candidates), "allowed tag"))
	if constraint != nil {
		choice.Reason = fmt.Sprintf("highest version within %s, of %s", p.Constraint, count(len(candidates), "allowed tag"))
	}
	return choice
}

func outside(version *semver.Version, constraint string) string {
	if version.Prerelease() != "" {
		return "a pre-release, or not within " + constraint
	}
	return "not within " + constraint
}
