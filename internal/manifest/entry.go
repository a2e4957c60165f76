package manifest

import (
	"fmt"
	"slices"
	"strings"

	"github.com/liverty-music/image-writeback/internal/image"
	"github.com/liverty-music/image-writeback/internal/yamledit"
)

// Entry is one image as a file is to have it, in the terms of every format.
type Entry struct {
	Image string // with registry, as image-list writes it, without tag and digest

	// Version is what to write. Without a digest none is written, and one that
	// is there is removed.
	Version image.Version

	// KustomizeName is what manifests call the image; empty: Image.
	KustomizeName string

	// HelmSpec is the key of a whole reference. If it is empty, HelmName and
	// HelmTag are the keys of the image's name and of its tag. All three are
	// a [yamledit.KeyPath] or the name of a parameter.
	HelmName, HelmTag, HelmSpec string
}

// Version is what a file has for an image.
type Version struct {
	image.Version

	// Shown is what may be shown of it. The key of a version can be any key of a
	// file, and the old version travels to messages, commits and Events. So a text
	// that may be something else, such as a password, is hidden.
	Shown image.Version

	// Found is set where the file has a version.
	Found bool

	// Missing is a key that the file does not have and that an edit adds.
	Missing string
}

// name is what the entry is found by in the lists of kustomize.
func (e Entry) name() string {
	if e.KustomizeName != "" {
		return e.KustomizeName
	}
	return e.Image
}

// helmKey is the key that holds the version.
func (e Entry) helmKey() string {
	if e.HelmSpec != "" {
		return e.HelmSpec
	}
	return e.HelmTag
}

// reference is the image as it would be pulled, under the name given.
func (e Entry) reference(name string) string {
	return image.Ref{Name: name, Version: e.Version}.String()
}

// version reads "tag", "tag@digest" or "digest", which a file has under a key.
func version(text, key string) Version {
	v := image.ParseVersion(text)
	return Version{Version: v, Shown: shown(v, namesVersion(key)), Found: text != ""}
}

// referenceVersion is the version of a whole reference. where is the key or the
// list that has it, for the error. The version is shown if the reference is of the
// image of e.
func (e Entry) referenceVersion(reference, where string) (Version, error) {
	ref, err := image.ParseRunning(reference)
	if err != nil {
		return Version{}, fmt.Errorf("%w: %s holds text that is not an image reference", yamledit.ErrShape, where)
	}
	return Version{Version: ref.Version, Shown: shown(ref.Version, e.spelt(ref.Name) == ref.Name), Found: true}, nil
}

// shown returns a version as it may be shown: where it is one, and stands where
// nothing else is kept.
func shown(v image.Version, trusted bool) image.Version {
	if v.IsZero() || trusted && v.Valid() {
		return v
	}
	return image.Version{Hidden: true}
}

// namesVersion reports whether a key has the name of a version, as "image.tag"
// and "appVersion" have. Nobody keeps a password under such a name.
func namesVersion(key string) bool {
	name := strings.ToLower(key[strings.LastIndex(key, ".")+1:])
	if i := strings.IndexByte(name, '['); i > 0 {
		name = name[:i]
	}
	return slices.ContainsFunc([]string{"tag", "tags", "version", "versions", "digest", "digests", "image", "images"},
		func(end string) bool { return strings.HasSuffix(name, end) })
}

// bareName is a reference without tag and digest; it does not check the rest.
func bareName(reference string) string {
	name, _, _ := strings.Cut(reference, "@")
	name, _, _ = image.CutTag(name)
	return name
}

// sameName reports whether two names are of one image.
func sameName(a, b string) bool {
	x, errX := image.ParseName(a)
	y, errY := image.ParseName(b)
	return errX == nil && errY == nil && x.SameImage(y)
}

// comparableName is the same for all spellings of an image's name. A text that is
// not a name stays as it is.
func comparableName(name string) string {
	ref, err := image.ParseName(name)
	if err != nil {
		return name
	}
	return ref.Registry + "/" + ref.Repository
}
