package policy

import (
	"testing"

	"github.com/liverty-music/image-writeback/internal/image"
)

func TestVersions(t *testing.T) {
	tag := image.Tag{Name: "v2", Digest: "sha256:2"}
	for _, c := range []struct {
		strategy        Strategy
		have            string
		satisfied, runs bool
		want            string
	}{
		{SemVer, "v2", true, true, "v2"},
		{SemVer, "v2@sha256:1", true, true, "v2"},
		{SemVer, "v1", false, false, "v2"},
		{SemVer, "sha256:2", false, false, "v2"},
		{Digest, "v2@sha256:2", true, true, "v2@sha256:2"},
		{Digest, "v2@sha256:1", false, false, "v2@sha256:2"},
		{Digest, "v1@sha256:2", false, true, "v2@sha256:2"},
		{Digest, "sha256:2", false, true, "v2@sha256:2"},
		{Digest, "v2", false, false, "v2@sha256:2"},
	} {
		p := Policy{Strategy: c.strategy}
		have, want := image.ParseVersion(c.have), p.Version(tag)
		satisfied, runs := p.Satisfied(have, want), p.Runs(have, want)
		if want.String() != c.want || satisfied != c.satisfied || runs != c.runs {
			t.Errorf("%s, %s: wants %s, satisfied %t, runs %t", c.strategy, have, want, satisfied, runs)
		}
	}

	// A strategy that reads tags takes a digest where both sides have one.
	p, want := Policy{Strategy: SemVer}, image.Version{Tag: "v2", Digest: "sha256:2"}
	if !p.Runs(image.ParseVersion("v1@sha256:2"), want) || p.Runs(image.ParseVersion("v2@sha256:1"), want) {
		t.Error("digests do not decide where both are known")
	}
}
