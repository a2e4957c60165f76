package trigger

import (
	"errors"
	"fmt"
)

// readHarbor reads Harbor's default format:
// https://goharbor.io/docs/latest/working-with-projects/project-configuration/configure-webhooks/.
func readHarbor(m message) ([]Trigger, error) {
	var body struct {
		Type      string        `json:"type"`
		EventData harborContent `json:"event_data"`
	}
	if err := Decode(m.body, &body); err != nil {
		return nil, err
	}

	switch body.Type {
	case "PUSH_ARTIFACT":
		return body.EventData.pushed("")
	case "":
		return nil, errors.New("the message has no type")
	}

	return nil, fmt.Errorf("%w: %s", ErrIgnored, body.Type)
}

// harborContent is what Harbor says about a push, in its own format and in its
// CloudEvents.
type harborContent struct {
	Resources []struct {
		Tag         string `json:"tag"`
		ResourceURL string `json:"resource_url"`
	} `json:"resources"`
	Repository struct {
		FullName string `json:"repo_full_name"`
	} `json:"repository"`
}

func (c harborContent) pushed(id string) ([]Trigger, error) {
	if len(c.Resources) == 0 {
		return nil, errors.New("the message names no resources")
	}

	registry := registryOf(c.Resources[0].ResourceURL)
	if registry == "" {
		return nil, errors.New("resource_url names no host")
	}

	return pushedImage(id, registry, c.Repository.FullName, c.Resources[0].Tag)
}
