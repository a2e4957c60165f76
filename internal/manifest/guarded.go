package manifest

import "github.com/liverty-music/image-writeback/internal/panics"

// guarded is a format whose panics are errors: no file stops the process.
type guarded struct{ Format }

// Open parses a file.
func (g guarded) Open(src []byte) (Images, error) {
	images, err := panics.Try(func() (Images, error) { return g.Format.Open(src) })
	if err != nil {
		return nil, err
	}

	return guardedImages{images}, nil
}

// Set returns a file with entries set.
func (g guarded) Set(src []byte, entries ...Entry) ([]byte, error) {
	return panics.Try(func() ([]byte, error) { return g.Format.Set(src, entries...) })
}

type guardedImages struct{ Images }

// Version returns the version of an entry.
func (g guardedImages) Version(e Entry) (Version, error) {
	return panics.Try(func() (Version, error) { return g.Images.Version(e) })
}
