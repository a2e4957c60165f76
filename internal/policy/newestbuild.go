package policy

import (
	"fmt"
	"slices"
	"time"

	"github.com/liverty-music/image-writeback/internal/image"
)

// plausible is the earliest build time that is believed. Reproducible builds
// carry 1970 or 1980 instead of a time.
var plausible = time.Date(1981, 1, 1, 0, 0, 0, 0, time.UTC)

// chooseNewestBuild takes the tag that was built last; of equal ones, the one that
// sorts last. If any tag has no believable build time and the registry has the
// upload times of all, these count instead: a mix of both would compare unlike
// things.
func chooseNewestBuild(_ Policy, standing []image.Tag) Choice {
	allowed := count(len(standing), "allowed tag")
	if !slices.ContainsFunc(standing, func(t image.Tag) bool { return t.Rank == 0 }) {
		less := func(a, b image.Tag) bool { return a.Rank < b.Rank }
		choice := best(NewestBuild, standing, less, "older than")
		choice.Reason = fmt.Sprintf("newest of %s, in the order of the registry's list", allowed)
		return choice
	}

	unbuilt, uploaded := 0, 0
	for _, tag := range standing {
		if tag.Created.Before(plausible) {
			unbuilt++
		}
		if !tag.Uploaded.IsZero() {
			uploaded++
		}
	}

	when, verb := func(t image.Tag) time.Time { return t.Created }, "built"
	if unbuilt > 0 && uploaded == len(standing) {
		when, verb = func(t image.Tag) time.Time { return t.Uploaded }, "uploaded"
	}
	less := func(a, b image.Tag) bool {
		if at, bt := when(a), when(b); !at.Equal(bt) {
			return at.Before(bt)
		}
		return a.Name < b.Name
	}

	choice := best(NewestBuild, standing, less, "older than")
	newest := when(choice.Tag)
	choice.Reason = fmt.Sprintf("newest of %s, %s %s", allowed, verb, newest.UTC().Format(time.RFC3339))
	switch {
	case verb == "uploaded":
		choice.Reason += fmt.Sprintf(" (upload times count, since %s no build time after 1980)", have(unbuilt))
	case newest.Before(plausible):
		choice.Reason = fmt.Sprintf("last by name of %s: none has a build time after 1980", allowed)
	case unbuilt > 0:
		choice.Reason += fmt.Sprintf(" (%s no build time after 1980)", have(unbuilt))
	}

	return choice
}

func have(n int) string {
	if n == 1 {
		return "1 has"
	}
	return fmt.Sprintf("%d have", n)
}
