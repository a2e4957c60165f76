package policy

import (
	"errors"
	"fmt"

	"github.com/liverty-music/image-writeback/internal/image"
)

// validateDigest returns an error if there is no constraint: it is the tag to
// follow.
func validateDigest(p Policy) error {
	if p.Constraint == "" {
		return errors.New("the digest strategy needs the tag to follow, as in image-list: app=registry/app:latest")
	}
	return nil
}

// chooseDigest takes the tag that the constraint names, with the digest that it
// points to now.
func chooseDigest(_ Policy, standing []image.Tag) Choice {
	tag := standing[0] // Standing drops every other tag
	return Choice{Found: true, Tag: tag, Reason: fmt.Sprintf("%s points to %s", tag.Name, tag.Digest)}
}
