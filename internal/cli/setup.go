package cli

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"github.com/liverty-music/image-writeback/internal/config"
	"github.com/liverty-music/image-writeback/internal/httpclient"
	"github.com/liverty-music/image-writeback/internal/kube"
	"github.com/liverty-music/image-writeback/internal/registry"
	"github.com/liverty-music/image-writeback/internal/web"
)

// setup is the configuration of a command, from flags, environment and file. Its
// methods make the parts of the program, so that each command makes only the
// parts that it needs. Their errors are about flags and configuration.
type setup struct {
	*options
	config  config.Config
	metrics *web.Metrics // nil: requests are not counted
	guard   *httpclient.Guard

	// connect returns the cluster, to which it connects at the first call.
	connect func() (*kube.Cluster, error)
}

// configure reads the configuration. change, if not nil, adapts it before
// anything uses it.
func (o *options) configure(cmd *cobra.Command, change func(*config.Config)) (*setup, error) {
	c, err := o.readConfig()
	if err == nil {
		err = o.legacy.apply(cmd, o, &c)
	}

	if err != nil {
		return nil, err
	}

	if change != nil {
		change(&c)
	}

	guard, err := newGuard(c, o.hosts)
	if err != nil {
		return nil, err
	}

	s := &setup{options: o, config: c, guard: guard}
	s.connect = sync.OnceValues(func() (*kube.Cluster, error) {
		if s.metrics == nil {
			return kube.New(o.kubeconfig, o.context, nil)
		}
		return kube.New(o.kubeconfig, o.context, s.metrics.KubernetesRequests)
	})

	return s, nil
}

// readConfig reads the configuration file, or the default one, or none.
func (o *options) readConfig() (config.Config, error) {
	file := o.configFile
	if file == "" {
		file = "config.yaml"
		if _, err := os.Stat(file); errors.Is(err, os.ErrNotExist) {
			return config.Default(), nil
		}
	}

	c, problems, err := config.ReadFile(file)
	if err != nil {
		return c, err
	}

	var failed error
	for _, p := range problems {
		failed = errors.Join(failed, p)
	}

	return c, failed
}

// namespace is where Argo CD runs: the flag, else config.yaml, else what the
// cluster's context says, else argocd.
func (s *setup) namespace(context string) string {
	for _, n := range []string{s.argocdNamespace, s.config.ArgoCD.Namespace, context} {
		if n != "" && n != "default" {
			return n
		}
	}

	return "argocd"
}

// registryTable are the registries of config.yaml.
func (s *setup) registryTable() []registry.Registry {
	var registries []registry.Registry
	for _, r := range s.config.Registries {
		sorted := strings.ReplaceAll(r.TagSortMode, "_", "-")
		if sorted == "none" {
			sorted = ""
		}
		registries = append(registries, registry.Registry{
			Prefix: r.Prefix, APIURL: r.APIURL, Credentials: r.Credentials, Limit: r.Limit, CAFile: r.CAFile,
			Insecure: r.Insecure, CredentialsLife: time.Duration(r.CredsExpire), Sorted: sorted,
			Namespace: r.DefaultNS, Default: r.Default,
		})
	}

	return registries
}

// registries makes the client of registries.
func (s *setup) registries() (*registry.Client, error) {
	client, err := registry.New(s.registryTable(), secretsOf(s.connect), s.guard, s.build.userAgent())
	if err != nil {
		return nil, err
	}
	client.SetLimits(s.registryLimits())
	client.Settings = "registries: in config.yaml"
	if s.metrics != nil {
		client.OnRequest = s.metrics.RegistryRequest
	}

	return client, nil
}

// cachedRegistries are the registries with what git.cacheDir remembers of them. It is only
// a cache: without it, they are asked again.
func (s *setup) cachedRegistries(log *slog.Logger) (*registry.Client, error) {
	client, err := s.registries()
	if err != nil || s.config.Git.CacheDir == "" {
		return client, err
	}
	if err := client.CacheIn(s.config.Git.CacheDir); err != nil {
		s.noteCacheError(log, fmt.Sprintf("git.cacheDir: what is known about images cannot be kept there: %v; "+
			"it is in memory until the next start; check the folder", err))
	}

	return client, nil
}

// noteCacheError tells of a cache that cannot be used.
func (s *setup) noteCacheError(log *slog.Logger, text string) {
	if s.metrics != nil {
		s.metrics.CacheError()
	}
	log.Warn(text)
}
