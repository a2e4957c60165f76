package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/liverty-music/image-writeback/internal/argo"
	"github.com/liverty-music/image-writeback/internal/config"
	"github.com/liverty-music/image-writeback/internal/gitwrite"
	"github.com/liverty-music/image-writeback/internal/kube"
	"github.com/liverty-music/image-writeback/internal/reconcile"
	"github.com/liverty-music/image-writeback/internal/registry"
	"github.com/liverty-music/image-writeback/internal/web"
)

// options are the flags that commands share.
type options struct {
	build           Build
	config          string
	applications    []string
	kubeconfig      string
	context         string
	argocdNamespace string
	logLevel        string
	logFormat       string
	noEvents        bool // of Kubernetes
	legacy          *legacy
}

const envPrefix = "IMAGE_WRITEBACK_"

// addFiles defines the flags that name files, each of which can come from the
// environment.
func (o *options) addFiles(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.StringVar(&o.config, "config", "", "configuration file (default ./config.yaml where it exists)")
	flags.StringSliceVar(&o.applications, "applications", nil, "read Applications from this file or folder instead of a cluster; may be repeated")
	cmd.PreRunE = func(cmd *cobra.Command, _ []string) error { return fromEnvironment(cmd.Flags()) }
}

// add defines all of the shared flags.
func (o *options) add(cmd *cobra.Command) {
	o.addFiles(cmd)
	flags := cmd.Flags()
	flags.StringVar(&o.kubeconfig, "kubeconfig", "", "kubeconfig file (default as kubectl finds it, else the pod's own credentials)")
	flags.StringVar(&o.context, "context", "", "context of the kubeconfig")
	flags.StringVar(&o.argocdNamespace, "argocd-namespace", "", "namespace that Argo CD runs in")
	flags.StringVar(&o.logLevel, "log-level", "info", "debug, info, warn or error")
	flags.StringVar(&o.logFormat, "log-format", "text", "text or json")
}

// addCycle defines the flags of commands that plan or run a cycle.
func (o *options) addCycle(cmd *cobra.Command) {
	o.add(cmd)
	o.legacy = addLegacy(cmd, runFlags)
}

// fromEnvironment sets each flag that was not given from IMAGE_WRITEBACK_NAME.
func fromEnvironment(flags *pflag.FlagSet) error {
	var failed error
	flags.VisitAll(func(f *pflag.Flag) {
		name := envPrefix + strings.ToUpper(strings.ReplaceAll(f.Name, "-", "_"))
		value, ok := os.LookupEnv(name)
		if !ok || f.Changed || value == "" {
			return
		}
		if err := flags.Set(f.Name, value); err != nil {
			failed = errors.Join(failed, fmt.Errorf("environment variable %s: %w", name, err))
		}
	})
	return failed
}

// logger writes to stderr in the chosen format.
func (o *options) logger(stderr io.Writer) (*slog.Logger, error) {
	var level slog.Level
	if err := level.UnmarshalText([]byte(o.logLevel)); err != nil {
		return nil, fmt.Errorf("--log-level %q: use debug, info, warn or error", o.logLevel)
	}
	handler := &slog.HandlerOptions{Level: level}
	switch o.logFormat {
	case "text":
		return slog.New(slog.NewTextHandler(stderr, handler)), nil
	case "json":
		return slog.New(slog.NewJSONHandler(stderr, handler)), nil
	}
	return nil, fmt.Errorf("--log-format %q: use text or json", o.logFormat)
}

// readConfig reads the configuration file, or the default one, or none.
func (o *options) readConfig() (config.Config, error) {
	file := o.config
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

// program is everything that a command needs, wired together.
type program struct {
	build   Build
	config  config.Config
	log     *slog.Logger
	engine  *reconcile.Engine
	cluster *kube.Cluster // nil if Applications come from files
	watch   watchFunc     // nil if Applications come from files
	web     *web.Server
	close   func()
}

func usage(err error) error { return &exitError{exitUsage, err} }

// wire builds the program from flags and configuration. Every error is one of
// usage: nothing has been touched yet.
func (o *options) wire(cmd *cobra.Command, change func(*config.Config)) (*program, error) {
	c, err := o.readConfig()
	if err == nil {
		err = o.legacy.apply(cmd, o, &c)
	}
	if err != nil {
		return nil, usage(err)
	}
	if change != nil {
		change(&c)
	}
	if c.Git.CommitVia == "github-api" && (c.Git.Author != config.Author{} || c.Git.Signing != config.Signing{}) {
		return nil, usage(errors.New("git.commitVia: github-api: GitHub makes and signs the commits itself; leave out --git-commit-user, --git-commit-email and --git-commit-signing-key, or use commitVia: push"))
	}
	log, err := o.logger(cmd.ErrOrStderr())
	if err != nil {
		return nil, usage(err)
	}
	o.legacy.say(log)
	metrics := web.NewMetrics()
	selection, err := argo.NewSelection(c.Applications.Namespaces, c.Applications.Selector, c.Applications.Names)
	if err != nil {
		return nil, usage(fmt.Errorf("applications: %w", err))
	}
	defaults := argo.Defaults{WriteBackMethod: c.Defaults.WriteBackMethod, WriteBackTarget: c.Defaults.WriteBackTarget, Namespace: o.namespace(c, "")}
	connect := sync.OnceValues(func() (*kube.Cluster, error) {
		return kube.New(o.kubeconfig, o.context, metrics.KubernetesRequests)
	})
	p := &program{build: o.build, config: c, log: log, web: &web.Server{Metrics: metrics}}
	var source reconcile.Source
	if len(o.applications) > 0 {
		source = &argo.Files{Paths: o.applications, Selection: selection, Defaults: defaults, Namespace: o.namespace(c, "")}
	} else {
		if p.cluster, err = connect(); err != nil {
			return nil, usage(err)
		}
		defaults.Namespace = o.namespace(c, p.cluster.Namespace())
		source, p.watch = fromCluster(p.cluster, selection, defaults)
	}
	secrets := secretsOf(connect)
	registries, err := o.newRegistries(c, secrets)
	if err != nil {
		return nil, usage(err)
	}
	if c.Git.CacheDir != "" {
		if err := registries.RememberIn(c.Git.CacheDir); err != nil {
			return nil, usage(fmt.Errorf("git.cacheDir: %w", err))
		}
	}
	forges, err := newForges(c, o.build.userAgent())
	if err != nil {
		return nil, usage(err)
	}
	git, err := o.newGit(c, forges, p.cluster, secrets)
	if err != nil {
		return nil, usage(err)
	}
	registries.OnRequest = metrics.RegistryRequest
	p.close = git.Close
	decisions, err := settings(c)
	if err != nil {
		return nil, usage(err)
	}
	p.engine = &reconcile.Engine{Source: source, Registries: registries, Git: git, Compare: forges.compare, Settings: decisions, Log: log, Silent: o.noEvents}
	if p.cluster != nil {
		p.engine.Applications = p.cluster
	}
	return p, nil
}

// namespace is where Argo CD runs: the flag, else config.yaml, else what the
// cluster's context says, else argocd.
func (o *options) namespace(c config.Config, context string) string {
	for _, n := range []string{o.argocdNamespace, c.ArgoCD.Namespace, context} {
		if n != "" && n != "default" {
			return n
		}
	}
	return "argocd"
}

func (o *options) newRegistries(c config.Config, secrets registry.SecretReader) (*registry.Client, error) {
	var registries []registry.Registry
	for _, r := range c.Registries {
		sorted := strings.ReplaceAll(r.TagSortMode, "_", "-")
		if sorted == "none" {
			sorted = ""
		}
		registries = append(registries, registry.Registry{Prefix: r.Prefix, APIURL: r.APIURL, Credentials: r.Credentials, Limit: r.Limit, CAFile: r.CAFile, Insecure: r.Insecure,
			CredentialsLife: time.Duration(r.CredsExpire), Sorted: sorted, Namespace: r.DefaultNS, Default: r.Default})
	}
	return registry.New(registries, secrets, o.build.userAgent())
}

func (o *options) newGit(c config.Config, forges forges, cluster *kube.Cluster, secrets registry.SecretReader) (*gitwrite.Service, error) {
	message, err := gitwrite.ParseMessage(c.Git.Message)
	if err != nil {
		return nil, fmt.Errorf("git.message: %w", err)
	}
	var signer *gitwrite.Signer
	if c.Git.Signing.Method != "" {
		if signer, err = gitwrite.NewSigner(c.Git.Signing.Method, c.Git.Signing.KeyFile); err != nil {
			return nil, fmt.Errorf("git.signing: %w", err)
		}
	}
	argoCD := ""
	if cluster != nil {
		argoCD = o.namespace(c, cluster.Namespace())
	}
	credentials := gitCredentials(cluster, argoCD, secrets)

	return gitwrite.New(gitwrite.Options{
		CacheDir:     c.Git.CacheDir,
		Author:       gitwrite.Signature{Name: c.Git.Author.Name, Email: c.Git.Author.Email},
		SignOff:      c.Git.SignOff,
		Signer:       signer,
		Combined:     c.Git.Commits == "combined",
		CommitViaAPI: c.Git.CommitVia == "github-api",
		Message:      message,
		Forge:        forges.repository,
		Credentials: func(ctx context.Context, access gitwrite.Access) (gitwrite.Credentials, error) {
			found, err := credentials.Find(ctx, access.URL, access.From, access.Project)
			return gitwrite.Credentials(found), err
		},
		Scoped: credentials.Scoped,
		Now:    time.Now,
	}), nil
}

func settings(c config.Config) (reconcile.Settings, error) {
	pulls, err := pullRequests(c.GitHub.PullRequest)
	s := reconcile.Settings{DefaultDelivery: c.Git.Delivery.Default, PullRequests: pulls}
	for _, r := range c.Git.Delivery.Rules {
		s.Rules = append(s.Rules, reconcile.DeliveryRule{Path: r.When.Path, Application: r.When.Application, Namespace: r.When.Namespace,
			Project: r.When.Project, Repository: r.When.Repository, Labels: r.When.Labels, Use: r.Use})
	}
	return s, err
}
