package trigger

import (
	"errors"
	"fmt"
	"strings"
)

// ReadArtifactRegistry reads a message of Artifact Registry's Pub/Sub topic gcr:
// https://cloud.google.com/artifact-registry/docs/configure-notifications. id is
// the message's ID in Pub/Sub. The error wraps [ErrIgnored] if no tag was pushed.
func ReadArtifactRegistry(id string, data []byte) ([]Trigger, error) {
	var body struct {
		Action string `json:"action"`
		Digest string `json:"digest"`
		Tag    string `json:"tag"`
	}
	if err := Decode(data, &body); err != nil {
		return nil, err
	}

	switch {
	case body.Action == "":
		return nil, errors.New("the message has no action")
	case body.Action != "INSERT":
		return nil, fmt.Errorf("%w: %s", ErrIgnored, body.Action)
	case body.Tag == "" && body.Digest == "":
		return nil, errors.New("the message has neither tag nor digest")
	case body.Tag == "": // the tag is in another message
		return nil, fmt.Errorf("%w under a tag", ErrIgnored)
	}

	// The tag is HOST/PATH:TAG; a host may have a colon too.
	colon := strings.LastIndex(body.Tag, ":")
	registry, repository, _ := strings.Cut(body.Tag[:max(colon, 0)], "/")
	if colon < 0 || repository == "" {
		return nil, errors.New("tag is not of the form HOST/PATH:TAG")
	}

	return pushedImage(id, registry, repository, body.Tag[colon+1:])
}
