package image

import "strings"

// Version is what follows the name of an image: a tag, a digest, or both. The
// zero value is none.
type Version struct {
	Tag    string // empty: none
	Digest string // "sha256:…"; empty: none
}

// ParseVersion reads "tag", "tag@digest" or "digest", the forms of
// [Version.String]. It does not check the grammar of its parts.
func ParseVersion(s string) Version {
	tag, digest, _ := strings.Cut(s, "@")
	if strings.HasPrefix(tag, "sha256:") && digest == "" {
		tag, digest = "", tag
	}

	return Version{Tag: tag, Digest: digest}
}

// String is the tag, tag@digest, the digest alone, or empty.
func (v Version) String() string {
	switch {
	case v.Digest == "":
		return v.Tag
	case v.Tag == "":
		return v.Digest
	}

	return v.Tag + "@" + v.Digest
}

// IsZero reports whether there is neither a tag nor a digest.
func (v Version) IsZero() bool { return v == Version{} }

// Change is one image that goes from one version to another in one file.
// Commit messages, trailers, pull requests, Events and logs all show this value.
type Change struct {
	File  string
	Image string // the name as the manifest has it
	Alias string // what people call the image
	Old   Version
	New   Version
}

// Before is the old version for people: "(none)" where the file did not set
// the image. No tag can have parentheses.
func (c Change) Before() string {
	if c.Old.IsZero() {
		return "(none)"
	}

	return c.Old.String()
}
