package events

import (
	"errors"
	"fmt"
	"strings"
)

// Of GitHub's webhooks the header tells what they are about, and which delivery
// it is; https://docs.github.com/en/webhooks/webhook-events-and-payloads.
const (
	githubEvent    = "X-Github-Event"
	githubDelivery = "X-Github-Delivery"
)

// readGHCR reads the events package and registry_package of a container.
func readGHCR(m message) ([]Event, error) {
	type content struct {
		Name        string `json:"name"`
		Namespace   string `json:"namespace"`
		PackageType string `json:"package_type"`
		Ecosystem   string `json:"ecosystem"`
		Owner       struct {
			Login string `json:"login"`
		} `json:"owner"`
		Version struct {
			ContainerMetadata struct {
				Tag struct {
					Name string `json:"name"`
				} `json:"tag"`
			} `json:"container_metadata"`
		} `json:"package_version"`
	}
	var body struct {
		Action          string   `json:"action"`
		Package         *content `json:"package"`
		RegistryPackage *content `json:"registry_package"`
	}
	if err := decode(m.body, &body); err != nil {
		return nil, err
	}
	switch event := m.header.Get(githubEvent); event {
	case "package", "registry_package":
	case "":
		return nil, errors.New("it has no " + githubEvent)
	default: // such as ping
		return nil, fmt.Errorf("%w: it is of the event %s", errIgnored, event)
	}
	p := body.Package
	if p == nil {
		p = body.RegistryPackage
	}
	switch {
	case p == nil:
		return nil, errors.New("it names no package")
	case body.Action != "published" && body.Action != "updated":
		return nil, fmt.Errorf("%w: %s", errIgnored, body.Action)
	case !strings.EqualFold(p.PackageType, "container") && !strings.EqualFold(p.Ecosystem, "container"):
		return nil, fmt.Errorf("%w: a package of type %s", errIgnored, p.PackageType)
	}
	owner := p.Owner.Login
	if owner == "" {
		owner = p.Namespace
	}
	if owner == "" || p.Name == "" {
		return nil, errors.New("it names no owner or no package")
	}
	tag := p.Version.ContainerMetadata.Tag.Name
	if tag == "" {
		return nil, fmt.Errorf("%w under a tag", errIgnored)
	}
	return pushed(m.header.Get(githubDelivery), "ghcr.io", owner+"/"+p.Name, tag)
}

// readGitHubPush reads the event push, of a branch.
func readGitHubPush(m message) ([]Event, error) {
	switch event := m.header.Get(githubEvent); event {
	case "push":
	case "":
		return nil, errors.New("it has no " + githubEvent)
	default:
		return nil, fmt.Errorf("%w: it is of the event %s", errIgnored, event)
	}
	var body struct {
		Ref        string `json:"ref"`
		After      string `json:"after"`
		Deleted    bool   `json:"deleted"`
		Repository struct {
			CloneURL string `json:"clone_url"`
		} `json:"repository"`
	}
	if err := decode(m.body, &body); err != nil {
		return nil, err
	}
	if body.Ref == "" || body.After == "" || body.Repository.CloneURL == "" {
		return nil, errors.New("it lacks ref, after or repository.clone_url")
	}
	branch, ok := strings.CutPrefix(body.Ref, "refs/heads/")
	if !ok {
		return nil, fmt.Errorf("%w to a branch: %s", errIgnored, body.Ref)
	}
	push := &Push{Repository: body.Repository.CloneURL, Branch: branch, Head: body.After}
	if body.Deleted {
		push.Head = ""
	}
	return []Event{{ID: m.header.Get(githubDelivery), Push: push}}, nil
}
