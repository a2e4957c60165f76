package policy

import (
	"fmt"

	"github.com/Masterminds/semver/v3"

	"github.com/liverty-music/image-writeback/internal/image"
)

// validateSemVer returns an error if the constraint is not a range of versions.
func validateSemVer(p Policy) error {
	if p.Constraint == "" {
		return nil
	}
	if _, err := semver.NewConstraint(p.Constraint); err != nil {
		return fmt.Errorf("%q is not a version range such as ^1.2, 1.x or >=1.0 <2: %w", p.Constraint, err)
	}
	return nil
}

// chooseSemVer takes the highest version within the constraint. Without a
// constraint every version counts, also pre-releases; with one, pre-releases
// count only if the constraint names one. Of equal versions, the tag that sorts
// last wins.
func chooseSemVer(p Policy, standing []image.Tag) Choice {
	var constraint *semver.Constraints
	if p.Constraint != "" {
		constraint, _ = semver.NewConstraint(p.Constraint) // valid by Validate
	}

	versions := make(map[string]*semver.Version, len(standing))
	var candidates, outsiders []image.Tag
	var dropped []Dropped
	for _, tag := range standing {
		version, err := semver.NewVersion(tag.Name)
		if err != nil {
			dropped = append(dropped, Dropped{tag, string(SemVer), "not a semantic version"})
			continue
		}
		versions[tag.Name] = version

		if constraint != nil && !constraint.Check(version) {
			dropped = append(dropped, Dropped{tag, string(SemVer), outside(version, p.Constraint)})
			outsiders = append(outsiders, tag)
			continue
		}
		candidates = append(candidates, tag)
	}

	less := func(a, b image.Tag) bool {
		if c := versions[a.Name].Compare(versions[b.Name]); c != 0 {
			return c < 0
		}
		return a.Name < b.Name
	}

	switch {
	case len(candidates) == 0 && len(outsiders) == 0:
		return Choice{Dropped: dropped, Reason: "none is a semantic version"}
	case len(candidates) == 0:
		highest := best(SemVer, outsiders, less, "").Tag.Name
		return Choice{Dropped: dropped, Reason: fmt.Sprintf("none within %s (highest: %s)", p.Constraint, highest)}
	}

	choice := best(SemVer, candidates, less, "lower than")
	choice.Dropped = append(dropped, choice.Dropped...)
	allowed := count(len(candidates), "allowed tag")
	choice.Reason = "highest version of " + allowed
	if constraint != nil {
		choice.Reason = fmt.Sprintf("highest version within %s, of %s", p.Constraint, allowed)
	}

	return choice
}

func outside(version *semver.Version, constraint string) string {
	if version.Prerelease() != "" {
		return "a pre-release, or not within " + constraint
	}
	return "not within " + constraint
}
