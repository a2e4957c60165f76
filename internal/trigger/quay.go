package trigger

import "fmt"

// readQuay reads the notification of a push, which names all tags of the push:
// https://docs.quay.io/guides/notifications.html.
func readQuay(m message) ([]Trigger, error) {
	var body struct {
		Repository  string   `json:"repository"`
		DockerURL   string   `json:"docker_url"`
		UpdatedTags []string `json:"updated_tags"`
	}
	if err := Decode(m.body, &body); err != nil {
		return nil, err
	}

	if len(body.UpdatedTags) == 0 {
		return nil, fmt.Errorf("%w: no tag was updated", ErrIgnored)
	}

	// One tag is enough: what is triggered is a look at the whole repository.
	registry := firstSet(registryOf(body.DockerURL), "quay.io")

	return pushedImage("", registry, body.Repository, body.UpdatedTags[0])
}
