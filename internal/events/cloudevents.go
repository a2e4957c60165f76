package events

import (
	"encoding/json"
	"errors"
	"fmt"
	"mime"
	"strings"
)

// cloudEvent is an event of https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/spec.md.
type cloudEvent struct {
	SpecVersion string          `json:"specversion"`
	ID          string          `json:"id"`
	Type        string          `json:"type"`
	Source      string          `json:"source"`
	Subject     string          `json:"subject"`
	Data        json.RawMessage `json:"data"`
}

// readCloudEvents reads one event, structured or binary, or a batch of them, by
// the HTTP binding of CloudEvents.
func readCloudEvents(m message) ([]Event, error) {
	kind, _, _ := mime.ParseMediaType(m.header.Get("Content-Type"))
	var all []cloudEvent
	switch {
	case m.header.Get("Ce-Type") != "": // binary: the attributes are in the header
		get := func(name string) string { return m.header.Get("Ce-" + name) }
		all = []cloudEvent{{get("Specversion"), get("Id"), get("Type"), get("Source"), get("Subject"), m.body}}
	case kind == "application/cloudevents-batch+json" || strings.HasPrefix(strings.TrimSpace(string(m.body[:min(len(m.body), 100)])), "["):
		if err := decode(m.body, &all); err != nil {
			return nil, err
		}
	default:
		var one cloudEvent
		if err := decode(m.body, &one); err != nil {
			return nil, err
		}
		all = []cloudEvent{one}
	}
	var found []Event
	var ignored error
	for _, one := range all {
		events, err := one.read()
		switch {
		case errors.Is(err, errIgnored):
			ignored = err
		case err != nil:
			return nil, err
		}
		found = append(found, events...)
	}
	if len(found) == 0 {
		if ignored == nil {
			ignored = errIgnored
		}
		return nil, ignored
	}
	return found, nil
}

// read tells apart who sent an event by its type.
func (e cloudEvent) read() ([]Event, error) {
	if e.SpecVersion == "" || e.Type == "" {
		return nil, errors.New("it is no CloudEvent: specversion or type is missing")
	}
	id := strings.TrimSpace(e.Source + " " + e.ID)
	kind := strings.ToLower(e.Type)
	switch {
	case strings.HasPrefix(kind, "microsoft.containerregistry."): // Azure's Event Grid
		var data azureContent
		if err := decode(e.Data, &data); err != nil {
			return nil, err
		}
		return data.pushed()
	case strings.HasPrefix(kind, "harbor."):
		if kind != "harbor.artifact.pushed" {
			return nil, fmt.Errorf("%w: %s", errIgnored, e.Type)
		}
		var data harborContent
		if err := decode(e.Data, &data); err != nil {
			return nil, err
		}
		return data.pushed(id)
	case strings.HasPrefix(kind, "com.amazon.ecr."), strings.Contains(kind, "container"), strings.Contains(kind, "image"):
		return e.readImage(id)
	}
	return nil, fmt.Errorf("%w: events of type %s tell of no images", errIgnored, e.Type)
}

// readImage reads the form that Argo CD Image Updater has its users make of
// Amazon's events, and of others.
func (e cloudEvent) readImage(id string) ([]Event, error) {
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
		if err := decode(e.Data, &data); err != nil {
			return nil, err
		}
	}
	repository, tag, _ := strings.Cut(e.Subject, ":")
	repository, tag = first(data.RepositoryName, data.Repository, repository), first(data.ImageTag, data.Tag, tag)
	registry := first(host(data.RegistryURL), host(data.Registry))
	if at := strings.Split(e.Source, ":"); len(at) >= 5 && at[1] == "aws" && at[2] == "ecr" { // arn:aws:ecr:REGION:ACCOUNT:…
		registry = first(data.RegistryID, at[4]) + ".dkr.ecr." + at[3] + ".amazonaws.com"
	}
	registry = first(registry, host(e.Source))
	if registry == "" {
		return nil, errors.New("neither its source nor its data names a registry")
	}
	return pushed(id, registry, repository, tag)
}

// first is the first that is not empty.
func first(all ...string) string {
	for _, s := range all {
		if s != "" {
			return s
		}
	}
	return ""
}
