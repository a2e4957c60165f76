package manifest

import (
	"fmt"
	"strings"

	"github.com/liverty-music/image-writeback/internal/image"
	"github.com/liverty-music/image-writeback/internal/yamledit"
)

// Entry is one image as a file shall have it, in the terms of every format.
// A format has the methods
//
//	Read(src []byte, e Entry) (Version, error)
//	Set(src []byte, entries ...Entry) ([]byte, error)
//	Place(e Entry) string
//
// Set makes all entries in one step; src may be empty, and comes back as it
// was where everything is in place. Errors wrap ErrUnreadable or ErrShape.
// Place is the same for entries that stand in one place of a file.
type Entry struct {
	Image string // with registry, as image-list writes it, without tag and digest
	// Version is what to write. Without a digest none is written, and one that
	// is there is removed.
	image.Version
	// KustomizeName is what manifests call the image; empty: Image.
	KustomizeName string
	// HelmSpec is the key of a whole reference; where it is empty, HelmName
	// and HelmTag are those of the image and of its tag. See KeyPath.
	HelmName, HelmTag, HelmSpec string
}

// Version is what a file says of an image.
type Version struct {
	image.Version
	// Found tells that the file says anything at all.
	Found bool
	// Missing names a key that the file does not have and that an edit adds.
	Missing string
}

// name is what the entry is found by in lists of kustomize.
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

// version reads "tag", "tag@digest" or "digest".
func version(s string) Version {
	return Version{Version: image.ParseVersion(s), Found: s != ""}
}

// referenceVersion is the version of a whole reference, which stands at where.
func referenceVersion(reference, where string) (Version, error) {
	ref, err := image.ParseRunning(reference)
	if err != nil {
		return Version{}, fmt.Errorf("%w: %s is %q, which is not an image reference", yamledit.ErrShape, where, reference)
	}
	return Version{Version: ref.Version, Found: true}, nil
}

// bareName is a reference without tag and digest, whatever it refers to.
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
