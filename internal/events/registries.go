package events

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
)

func lower(s string) string { return strings.ToLower(s) }

// decode reads JSON; what is wrong with it is said without its content.
func decode(data []byte, into any) error {
	if err := json.Unmarshal(data, into); err != nil {
		return fmt.Errorf("it is not the JSON that was expected: %w", err)
	}
	return nil
}

// host is the registry of an address such as harbor.example.com/p/app:v1, with
// or without a scheme; empty where it has none.
func host(address string) string {
	if _, rest, ok := strings.Cut(address, "://"); ok {
		address = rest
	}
	name, _, _ := strings.Cut(address, "/")
	if !strings.ContainsAny(name, ".:") && name != "localhost" {
		return ""
	}
	return name
}

// readDockerHub reads https://docs.docker.com/docker-hub/webhooks/.
func readDockerHub(m message) ([]Event, error) {
	var body struct {
		PushData struct {
			Tag string `json:"tag"`
		} `json:"push_data"`
		Repository struct {
			RepoName  string `json:"repo_name"`
			Namespace string `json:"namespace"`
			Name      string `json:"name"`
		} `json:"repository"`
	}
	if err := decode(m.body, &body); err != nil {
		return nil, err
	}
	name := body.Repository.RepoName
	if name == "" && body.Repository.Name != "" {
		name = strings.TrimPrefix(body.Repository.Namespace+"/"+body.Repository.Name, "/")
	}
	return pushed("", "docker.io", name, body.PushData.Tag)
}

// readQuay reads the notification of a push, which Quay sends for all tags of
// it: https://docs.quay.io/guides/notifications.html.
func readQuay(m message) ([]Event, error) {
	var body struct {
		Repository  string   `json:"repository"`
		DockerURL   string   `json:"docker_url"`
		UpdatedTags []string `json:"updated_tags"`
	}
	if err := decode(m.body, &body); err != nil {
		return nil, err
	}
	if len(body.UpdatedTags) == 0 {
		return nil, fmt.Errorf("%w: no tag was updated", errIgnored)
	}
	registry := host(body.DockerURL)
	if registry == "" {
		registry = "quay.io"
	}
	return pushed("", registry, body.Repository, body.UpdatedTags[0])
}

// readHarbor reads Harbor's default format:
// https://goharbor.io/docs/latest/working-with-projects/project-configuration/configure-webhooks/.
func readHarbor(m message) ([]Event, error) {
	var body struct {
		Type      string        `json:"type"`
		EventData harborContent `json:"event_data"`
	}
	if err := decode(m.body, &body); err != nil {
		return nil, err
	}
	if body.Type == "" {
		return nil, errors.New("it has no type")
	}
	if body.Type != "PUSH_ARTIFACT" {
		return nil, fmt.Errorf("%w: %s", errIgnored, body.Type)
	}
	return body.EventData.pushed("")
}

type harborContent struct {
	Resources []struct {
		Tag         string `json:"tag"`
		ResourceURL string `json:"resource_url"`
	} `json:"resources"`
	Repository struct {
		FullName string `json:"repo_full_name"`
	} `json:"repository"`
}

func (c harborContent) pushed(id string) ([]Event, error) {
	if len(c.Resources) == 0 {
		return nil, errors.New("it names no resources")
	}
	registry := host(c.Resources[0].ResourceURL)
	if registry == "" {
		return nil, errors.New("its resource_url names no host")
	}
	return pushed(id, registry, c.Repository.FullName, c.Resources[0].Tag)
}

// azureContent is what Azure says of a push in its webhooks, and in the events
// of its Event Grid.
type azureContent struct {
	ID     string `json:"id"`
	Action string `json:"action"`
	Target struct {
		Repository string `json:"repository"`
		Tag        string `json:"tag"`
	} `json:"target"`
	Request struct {
		Host string `json:"host"`
	} `json:"request"`
}

func (c azureContent) pushed() ([]Event, error) {
	switch {
	case c.Action == "":
		return nil, errors.New("it has no action")
	case c.Action != "push" && c.Action != "chart_push":
		return nil, fmt.Errorf("%w: %s", errIgnored, c.Action)
	case c.Request.Host == "":
		return nil, errors.New("its request names no host")
	}
	return pushed(c.ID, c.Request.Host, c.Target.Repository, c.Target.Tag)
}

// readAzure reads https://learn.microsoft.com/azure/container-registry/container-registry-webhook-reference.
func readAzure(m message) ([]Event, error) {
	var body azureContent
	if err := decode(m.body, &body); err != nil {
		return nil, err
	}
	return body.pushed()
}

// readAliyun reads https://www.alibabacloud.com/help/en/acr/user-guide/manage-webhooks.
// An instance of one's own is not in the message: registry_url in the webhook's
// address names it, as in Argo CD Image Updater.
func readAliyun(m message) ([]Event, error) {
	var body struct {
		PushData struct {
			Tag string `json:"tag"`
		} `json:"push_data"`
		Repository struct {
			FullName string `json:"repo_full_name"`
			Region   string `json:"region"`
		} `json:"repository"`
	}
	if err := decode(m.body, &body); err != nil {
		return nil, err
	}
	registry := ""
	if given := m.query["registry_url"]; len(given) > 0 {
		registry = host(given[0])
	} else if body.Repository.Region != "" {
		registry = "registry." + body.Repository.Region + ".aliyuncs.com"
	}
	if registry == "" {
		return nil, errors.New("it names no region, and the webhook's address has no registry_url")
	}
	return pushed("", registry, body.Repository.FullName, body.PushData.Tag)
}

// readGoogle reads a message of Artifact Registry's topic gcr:
// https://cloud.google.com/artifact-registry/docs/configure-notifications.
func readGoogle(id string, data []byte) ([]Event, error) {
	var body struct {
		Action string `json:"action"`
		Digest string `json:"digest"`
		Tag    string `json:"tag"`
	}
	if err := decode(data, &body); err != nil {
		return nil, err
	}
	switch {
	case body.Action == "":
		return nil, errors.New("it has no action")
	case body.Action != "INSERT":
		return nil, fmt.Errorf("%w: %s", errIgnored, body.Action)
	case body.Tag == "" && body.Digest == "":
		return nil, errors.New("it has neither tag nor digest")
	case body.Tag == "": // the tag comes with a message of its own
		return nil, fmt.Errorf("%w under a tag", errIgnored)
	}
	at := strings.LastIndex(body.Tag, ":")
	registry, repository, _ := strings.Cut(body.Tag[:max(at, 0)], "/")
	if at < 0 || repository == "" {
		return nil, errors.New("its tag is no HOST/PATH:TAG")
	}
	return pushed(id, registry, repository, body.Tag[at+1:])
}
