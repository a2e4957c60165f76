package image

import "strings"

// Version is what follows the name of an image: a tag, a digest, or both. The
// zero value is none.
type Version struct {
	Tag    string // empty: none
	Digest string // "sha256:…"; empty: none

	// Hidden is set instead of the other two where a file has a text that may not
	// be shown, since it may be something else than a version.
	Hidden bool
}

// NotShown is what people see instead of a hidden version. No tag can have
// parentheses.
const NotShown = "(not shown)"

// ParseVersion reads "tag", "tag@digest" or "digest", the forms of
// [Version.String]. It does not check the grammar of its parts.
func ParseVersion(s string) Version {
	tag, digest, _ := strings.Cut(s, "@")
	if strings.HasPrefix(tag, "sha256:") && digest == "" {
		tag, digest = "", tag
	}

	return Version{Tag: tag, Digest: digest}
}

// Valid reports whether the parts have the grammar of a tag, which may have build
// metadata, and of a digest. A version without either is not valid.
func (v Version) Valid() bool {
	return !v.IsZero() && (v.Tag == "" || buildTag.MatchString(v.Tag)) &&
		(v.Digest == "" || digestPattern.MatchString(v.Digest))
}

// String is the tag, tag@digest, the digest alone, or empty; [NotShown] for a
// version that is hidden.
func (v Version) String() string {
	switch {
	case v.Hidden:
		return NotShown
	case v.Digest == "":
		return v.Tag
	case v.Tag == "":
		return v.Digest
	}

	return v.Tag + "@" + v.Digest
}

// IsZero reports whether there is neither a tag nor a digest, not even a hidden one.
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
