package trigger

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/liverty-music/image-writeback/internal/image"
)

// message is one message as it was received.
type message struct {
	header http.Header
	query  map[string][]string
	body   []byte
}

// Decode reads the JSON of a message. Its error does not quote the message.
func Decode(data []byte, into any) error {
	if err := json.Unmarshal(data, into); err != nil {
		return fmt.Errorf("decoding the message as JSON: %w", err)
	}

	return nil
}

// pushedImage returns the trigger of an image. Names are converted to lower case,
// as registries have them, however the sender writes them.
func pushedImage(id, registry, repository, tag string) ([]Trigger, error) {
	if repository == "" {
		return nil, errors.New("the message names no repository")
	}

	ref, err := image.ParseName(strings.ToLower(registry + "/" + repository))
	if err != nil {
		return nil, err
	}

	if tag != "" && !image.ValidTag(tag) {
		return nil, fmt.Errorf("%q is not a valid tag", tag)
	}
	ref.Tag = tag

	return []Trigger{{ID: id, Images: []image.Ref{ref}}}, nil
}

// registryOf returns the registry of an address such as
// harbor.example.com/p/app:v1, with or without a scheme. It is empty if the
// address has none.
func registryOf(address string) string {
	if _, rest, ok := strings.Cut(address, "://"); ok {
		address = rest
	}

	name, _, _ := strings.Cut(address, "/")
	if !strings.ContainsAny(name, ".:") && name != "localhost" {
		return ""
	}

	return name
}

// firstSet returns the first string that is not empty.
func firstSet(all ...string) string {
	for _, s := range all {
		if s != "" {
			return s
		}
	}

	return ""
}
