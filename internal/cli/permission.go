package cli

import (
	"strings"

	"github.com/liverty-music/image-writeback/internal/giturl"
	"github.com/liverty-music/image-writeback/internal/image"
	"github.com/liverty-music/image-writeback/internal/permission"
	"github.com/liverty-music/image-writeback/internal/registry"
)

// permission decides what Applications may do. argoCD is Argo CD's namespace.
func (s *setup) permission(registries *registry.Client, argoCD string) permission.Rules {
	rules := permission.Rules{
		Namespace: argoCD, Images: s.config.Images.Allow, Projects: &permission.Projects{},
		Secrets: s.secrets(registries, argoCD),
	}
	for _, a := range s.config.Git.Allow {
		rules.Writes = append(rules.Writes, permission.WriteRule(a))
	}

	return rules
}

// secrets decides which credentials Applications may name. argoCD is Argo CD's
// namespace.
func (s *setup) secrets(registries *registry.Client, argoCD string) permission.Secrets {
	rules := permission.Secrets{
		ArgoCD: argoCD,
		Kinds:  s.config.Annotations.Credentials,
		RegistryOf: func(ref image.Ref) permission.Registry {
			host, credentials := registries.Configured(ref)
			return permission.Registry{Host: host, Credentials: credentials}
		},
	}
	for _, listed := range s.config.Annotations.Secrets {
		rules.Listed = append(rules.Listed, permission.ListedSecret(listed))
	}
	for _, r := range s.config.Registries {
		if r.Credentials != "" {
			host, _, _ := strings.Cut(r.Prefix, "/")
			rules.Registries = append(rules.Registries, permission.Registry{Host: host, Credentials: r.Credentials})
		}
	}

	return rules
}

// gitServers are the git servers of config.yaml: those of its forges.
func (s *setup) gitServers() []giturl.Address {
	return []giturl.Address{giturl.ParseAPI(s.config.GitHub.APIURL), giturl.Parse(s.config.GitLab.URL)}
}
