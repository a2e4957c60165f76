package registry

import (
	"net/url"
	"slices"
	"strings"

	"github.com/google/go-containerregistry/pkg/name"

	"github.com/liverty-music/image-writeback/internal/image"
)

// registryOf returns the configuration with the longest prefix of an image.
func (c *Client) registryOf(ref image.Ref) Registry {
	full := ref.Registry + "/" + ref.Repository
	best, found := Registry{Prefix: ref.Registry}, false
	for _, r := range c.registries {
		matches := full == r.Prefix || strings.HasPrefix(full, r.Prefix+"/")
		if matches && (!found || len(r.Prefix) > len(best.Prefix)) {
			best, found = r, true
		}
	}

	return best
}

// locate returns the registry of an image, and the reference under which the
// registry has it.
func (c *Client) locate(ref image.Ref) (image.Ref, Registry) {
	byDefault := slices.IndexFunc(c.registries, func(r Registry) bool { return r.Default })
	namesNone := ref.Registry == image.DockerHub && !strings.Contains(ref.Name, image.DockerHub+"/")
	if byDefault >= 0 && namesNone {
		ref.Registry, _, _ = strings.Cut(c.registries[byDefault].Prefix, "/")
		ref.Repository = ref.Name
	}

	r := c.registryOf(ref)
	if r.Namespace != "" && !strings.Contains(ref.Repository, "/") {
		ref.Repository = r.Namespace + "/" + ref.Repository
	}

	return ref, r
}

// Configured returns the host of an image's registry, as images name it, and the
// credentials that the configuration gives the registry for this image.
func (c *Client) Configured(ref image.Ref) (host, credentials string) {
	located, registry := c.locate(ref)

	return located.Registry, registry.Credentials
}

// Names returns the names, each as registry/repository, by which a registry may
// call an image in its webhooks: the image's own, the one that is asked for, and
// the one under the API's host.
func (c *Client) Names(ref image.Ref) []string {
	names := []string{ref.Registry + "/" + ref.Repository}

	located, registry := c.locate(ref)
	if name := located.Registry + "/" + located.Repository; name != names[0] {
		names = append(names, name)
	}
	if u, err := url.Parse(registry.APIURL); err == nil && u.Host != "" && u.Host != located.Registry {
		names = append(names, u.Host+"/"+located.Repository)
	}

	return names
}

// apiName returns the name of a repository at its registry's API. The error
// means that the registry protocol does not allow the name.
func apiName(ref image.Ref, r Registry) (name.Repository, error) {
	host, options := ref.Registry, []name.Option{name.WeakValidation}
	if ref.Registry == image.DockerHub {
		host = name.DefaultRegistry
	}

	if r.APIURL != "" {
		u, err := url.Parse(r.APIURL)
		if err != nil {
			return name.Repository{}, err
		}
		host = u.Host
		if u.Scheme == "http" {
			options = append(options, name.Insecure)
		}
	}

	return name.NewRepository(host+"/"+ref.Repository, options...)
}
