package trigger

import (
	"encoding/json"
	"errors"
	"fmt"
	"mime"
	"strings"
)

// cloudEvent is a message as
// https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/spec.md has it.
type cloudEvent struct {
	SpecVersion string          `json:"specversion"`
	ID          string          `json:"id"`
	Type        string          `json:"type"`
	Source      string          `json:"source"`
	Subject     string          `json:"subject"`
	Data        json.RawMessage `json:"data"`
}

// readCloudEvents reads one CloudEvent, structured or binary, or a batch of
// them. One that is malformed makes the whole batch malformed.
func readCloudEvents(m message) ([]Trigger, error) {
	all, err := decodeCloudEvents(m)
	if err != nil {
		return nil, err
	}

	var triggers []Trigger
	ignored := ErrIgnored
	for _, one := range all {
		found, err := one.read()
		switch {
		case errors.Is(err, ErrIgnored):
			ignored = err
		case err != nil:
			return nil, err
		}
		triggers = append(triggers, found...)
	}
	if len(triggers) == 0 {
		return nil, ignored
	}

	return triggers, nil
}

// decodeCloudEvents decodes a message by the HTTP binding of CloudEvents:
// https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/bindings/http-protocol-binding.md.
func decodeCloudEvents(m message) (all []cloudEvent, err error) {
	if m.header.Get("Ce-Type") != "" { // binary: the attributes are in the header
		get := func(name string) string { return m.header.Get("Ce-" + name) }
		return []cloudEvent{{
			SpecVersion: get("Specversion"),
			ID:          get("Id"),
			Type:        get("Type"),
			Source:      get("Source"),
			Subject:     get("Subject"),
			Data:        m.body,
		}}, nil
	}

	mediaType, _, _ := mime.ParseMediaType(m.header.Get("Content-Type"))
	start := strings.TrimSpace(string(m.body[:min(len(m.body), 100)]))
	if mediaType == "application/cloudevents-batch+json" || strings.HasPrefix(start, "[") {
		err = Decode(m.body, &all)
		return all, err
	}

	var one cloudEvent
	err = Decode(m.body, &one)

	return []cloudEvent{one}, err
}

// read distinguishes the senders by the type of the CloudEvent.
func (e cloudEvent) read() ([]Trigger, error) {
	if e.SpecVersion == "" || e.Type == "" {
		return nil, errors.New("not a CloudEvent: specversion or type is missing")
	}

	id := strings.TrimSpace(e.Source + " " + e.ID)
	kind := strings.ToLower(e.Type)
	switch {
	case strings.HasPrefix(kind, "microsoft.containerregistry."): // Azure's Event Grid
		var data azureContent
		if err := Decode(e.Data, &data); err != nil {
			return nil, err
		}
		return data.pushed()

	case kind == "harbor.artifact.pushed":
		var data harborContent
		if err := Decode(e.Data, &data); err != nil {
			return nil, err
		}
		return data.pushed(id)

	case strings.HasPrefix(kind, "harbor."):
		return nil, fmt.Errorf("%w: %s", ErrIgnored, e.Type)

	case strings.HasPrefix(kind, "com.amazon.ecr."),
		strings.Contains(kind, "container"), strings.Contains(kind, "image"):
		return e.readImage(id)
	}

	return nil, fmt.Errorf("%w: CloudEvents of type %s are not about images", ErrIgnored, e.Type)
}

// readImage reads the format that Argo CD Image Updater asks its users to send
// for Amazon's registry and for others.
func (e cloudEvent) readImage(id string) ([]Trigger, error) {
	var data struct {
		RepositoryName string `json:"repositoryName"`
		Repository     string `json:"repository"`
		ImageTag       string `json:"imageTag"`
		Tag            string `json:"tag"`
		RegistryID     string `json:"registryId"`
		RegistryURL    string `json:"registryUrl"`
		Registry       string `json:"registry"`
	}
	if len(e.Data) > 0 {
		if err := Decode(e.Data, &data); err != nil {
			return nil, err
		}
	}

	repository, tag, _ := strings.Cut(e.Subject, ":")
	repository = firstSet(data.RepositoryName, data.Repository, repository)
	tag = firstSet(data.ImageTag, data.Tag, tag)

	// An Amazon source is arn:aws:ecr:REGION:ACCOUNT:….
	registry := firstSet(registryOf(data.RegistryURL), registryOf(data.Registry))
	if arn := strings.Split(e.Source, ":"); len(arn) >= 5 && arn[1] == "aws" && arn[2] == "ecr" {
		registry = firstSet(data.RegistryID, arn[4]) + ".dkr.ecr." + arn[3] + ".amazonaws.com"
	}

	registry = firstSet(registry, registryOf(e.Source))
	if registry == "" {
		return nil, errors.New("neither source nor data names a registry")
	}

	return pushedImage(id, registry, repository, tag)
}
