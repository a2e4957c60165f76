package trigger

import (
	"errors"
	"fmt"
	"strings"
)

// ghcrPackage is a package in GitHub's webhooks package and registry_package:
// https://docs.github.com/en/webhooks/webhook-events-and-payloads#package.
type ghcrPackage struct {
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

// readGHCR reads the webhooks package and registry_package of a container.
func readGHCR(m message) ([]Trigger, error) {
	var body struct {
		Action          string       `json:"action"`
		Package         *ghcrPackage `json:"package"`
		RegistryPackage *ghcrPackage `json:"registry_package"`
	}
	if err := Decode(m.body, &body); err != nil {
		return nil, err
	}

	if err := checkGitHubHeader(m, "package", "registry_package"); err != nil {
		return nil, err
	}

	p := body.Package
	if p == nil {
		p = body.RegistryPackage
	}
	switch {
	case p == nil:
		return nil, errors.New("the message names no package")
	case body.Action != "published" && body.Action != "updated":
		return nil, fmt.Errorf("%w: %s", ErrIgnored, body.Action)
	}

	return p.pushed(m.header.Get(githubDeliveryHeader))
}

func (p *ghcrPackage) pushed(id string) ([]Trigger, error) {
	if !strings.EqualFold(p.PackageType, "container") && !strings.EqualFold(p.Ecosystem, "container") {
		return nil, fmt.Errorf("%w: a package of type %s", ErrIgnored, p.PackageType)
	}

	owner := firstSet(p.Owner.Login, p.Namespace)
	if owner == "" || p.Name == "" {
		return nil, errors.New("the package has no owner or no name")
	}

	tag := p.Version.ContainerMetadata.Tag.Name
	if tag == "" {
		return nil, fmt.Errorf("%w under a tag", ErrIgnored)
	}

	return pushedImage(id, "ghcr.io", owner+"/"+p.Name, tag)
}
