package manifest

import (
	"fmt"
	"slices"
	"strings"

	"github.com/liverty-music/image-writeback/internal/image"
	"github.com/liverty-music/image-writeback/internal/yamledit"
)

// HelmValues is the format of a Helm values file: one key has the whole
// reference of an image, or two keys have its name and its tag.
type HelmValues struct{}

// Key is the key that holds the version.
func (HelmValues) Key(e Entry) string { return e.helmKey() }

// Open parses a file of values.
func (HelmValues) Open(src []byte) (Images, error) {
	file, _, err := yamledit.ParseMap(src)
	return helmValues{file}, err
}

// helmValues are the values of a file.
type helmValues struct{ file *yamledit.File }

// Version returns the value of the key of an image. An empty value is not a
// version: charts use their own then.
func (values helmValues) Version(e Entry) (Version, error) {
	key := e.helmKey()
	got, found, err := values.file.Text(yamledit.KeyPath(key))
	if err != nil {
		return Version{}, fmt.Errorf("%w: %s: %w", yamledit.ErrShape, key, err)
	}

	v := version(got, key)
	if e.HelmSpec != "" && got != "" {
		if v, err = e.referenceVersion(got, key); err != nil {
			return Version{}, err
		}
		v.Found = !v.IsZero() // a name alone has no version
	}
	if !found {
		v.Missing = key
	}
	return v, nil
}

// Set sets the keys of all entries. Keys that are missing are added.
// Aliases elsewhere keep the old value; see [yamledit.SetKeys].
func (HelmValues) Set(src []byte, entries ...Entry) ([]byte, error) {
	file, _, err := yamledit.ParseMap(src)
	if err != nil {
		return nil, err
	}

	var settings []yamledit.Setting
	for _, e := range entries {
		wanted, err := e.settings(file)
		if err != nil {
			return nil, err
		}
		for _, want := range wanted {
			same := func(s yamledit.Setting) bool { return s.Key == want.Key && sameReference(s.Value, want.Value) }
			if !slices.ContainsFunc(settings, same) {
				settings = append(settings, want)
			}
		}
	}
	return yamledit.SetKeys(src, settings)
}

// sameReference reports whether two values are equal, or two spellings of one image.
func sameReference(a, b string) bool {
	x, errX := image.ParseRunning(a)
	y, errY := image.ParseRunning(b)
	return a == b || errX == nil && errY == nil && x.SameImage(y) && x.Version == y.Version
}

// settings are the keys that an entry sets. A name in the file stays as it is
// if it is the same image, with or without its registry: many charts have a
// key of its own for the registry.
func (e Entry) settings(file *yamledit.File) ([]yamledit.Setting, error) {
	key := yamledit.KeyPath(e.HelmName)
	if e.HelmSpec != "" {
		key = yamledit.KeyPath(e.HelmSpec)
	}
	old, _, err := file.Text(key)
	if err != nil {
		return nil, fmt.Errorf("%w: %s: %w", yamledit.ErrShape, key, err)
	}

	if e.HelmSpec != "" {
		return []yamledit.Setting{{Key: key, Value: e.reference(e.spelt(bareName(old)))}}, nil
	}
	return []yamledit.Setting{
		{Key: key, Value: e.spelt(old)},
		{Key: yamledit.KeyPath(e.HelmTag), Value: e.Version.String()},
	}, nil
}

// spelt is the name of the entry's image in the spelling of the old name:
// unchanged if it is the same image, and without registry if the old name has
// none.
func (e Entry) spelt(old string) string {
	want, err := image.ParseName(e.Image)
	if err != nil || old == "" {
		return e.Image
	}
	have, err := image.ParseName(old)

	short := want.Repository
	if want.Registry == image.DockerHub {
		short = strings.TrimPrefix(short, "library/")
	}

	switch {
	case err != nil:
		return e.Image
	case have.SameImage(want), old == want.Repository:
		return old
	case have.Registry == image.DockerHub && !strings.HasPrefix(old, image.DockerHub+"/"):
		return short
	}
	return e.Image
}
