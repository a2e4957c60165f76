package policy

import "github.com/liverty-music/image-writeback/internal/image"

// Version returns the version to write where a tag won: the tag and, for a
// strategy that follows digests, the digest that the tag points to.
func (p Policy) Version(tag image.Tag) image.Version {
	v := image.Version{Tag: tag.Name}
	if p.followsDigest() {
		v.Digest = tag.Digest
	}

	return v
}

// Satisfied reports whether a file that sets have needs no change to set want,
// which [Policy.Version] returned. A digest in the file counts only for a strategy
// that follows digests.
func (p Policy) Satisfied(have, want image.Version) bool {
	if p.followsDigest() {
		return have == want
	}

	return have.Tag == want.Tag
}

// Runs reports whether running, the version of a running image, is the image of
// want. Digests decide where both are known, whatever the tags are, since a
// cluster may name only one of the two. For a strategy that follows digests, a
// running image without a digest is never the image of want.
func (p Policy) Runs(running, want image.Version) bool {
	if p.followsDigest() || running.Digest != "" && want.Digest != "" {
		return running.Digest == want.Digest
	}

	return running.Tag == want.Tag
}

func (p Policy) followsDigest() bool { return strategies[p.Strategy].metadata.Digest }
