package cli

import (
	"fmt"
	"log/slog"

	"github.com/spf13/cobra"

	"github.com/liverty-music/image-writeback/internal/argo"
	"github.com/liverty-music/image-writeback/internal/engine"
	"github.com/liverty-music/image-writeback/internal/gitwrite"
	"github.com/liverty-music/image-writeback/internal/kube"
)

// program is what the commands that plan or run cycles consist of.
type program struct {
	*setup
	log     *slog.Logger
	engine  *engine.Engine
	cluster *kube.Cluster // nil if Applications come from files
	watch   watchFunc     // nil if Applications come from files
	secrets *gitwrite.ArgoSecrets
	close   func()
}

// wire makes the program of a command that needs nothing else.
func (o *options) wire(cmd *cobra.Command) (*program, error) {
	s, err := o.configure(cmd, nil)
	if err != nil {
		return nil, usage(err)
	}

	p, err := s.program(cmd)
	if err != nil {
		return nil, usage(err)
	}

	return p, nil
}

// program makes the parts of a cycle.
func (s *setup) program(cmd *cobra.Command) (*program, error) {
	log, err := s.logger(cmd.ErrOrStderr())
	if err != nil {
		return nil, err
	}

	s.legacy.logNotes(log)

	p := &program{setup: s, log: log}
	source, err := p.source()
	if err != nil {
		return nil, err
	}

	registries, err := s.cachedRegistries(log)
	if err != nil {
		return nil, err
	}

	forges, err := s.forges()
	if err != nil {
		return nil, err
	}

	signer, err := s.signer()
	if err != nil {
		return nil, err
	}

	decisions, err := settings(s.config)
	if err != nil {
		return nil, err
	}

	decisions.Permission = s.permission(registries, p.argoCD())
	decisions.Permission.Signing = s.signing(forges, signer)

	texts, err := templates(s.config.GitHub.PullRequest)
	if err != nil {
		return nil, err
	}

	delivery, err := s.delivery(forges, signer, p.cluster)
	if err != nil {
		return nil, err
	}

	git := p.git(forges, p.secrets)
	p.close = git.Close

	p.engine = &engine.Engine{
		Source: source, Registries: registries, Git: git, Delivery: delivery,
		Compare:  forges.comparisons(decisions.Permission.MayShow),
		Settings: decisions, Deadline: s.deadline(), Templates: texts, Log: log,
	}

	if p.cluster != nil && !s.noEvents { // a nil *kube.Cluster in an interface is not nil
		p.engine.Events = p.cluster
	}

	return p, nil
}

// argoCD is the namespace of Argo CD.
func (p *program) argoCD() string {
	if p.cluster == nil {
		return p.namespace("")
	}

	return p.namespace(p.cluster.Namespace())
}

// source returns the Applications of files or of the cluster, to which it then
// connects.
func (p *program) source() (engine.Source, error) {
	c := p.config
	selection, err := argo.NewSelection(c.Applications.Namespaces, c.Applications.Selector, c.Applications.Names)
	if err != nil {
		return nil, fmt.Errorf("applications: %w", err)
	}

	defaults := argo.Defaults{
		WriteBackMethod: c.Defaults.WriteBackMethod, WriteBackTarget: c.Defaults.WriteBackTarget,
		Namespace: p.namespace(""), Images: limitOf(int64(c.Limits.Images), "images"),
	}

	const setting = "projects.follow in config.yaml"
	if len(p.applications) > 0 {
		p.secrets = gitCredentials(nil, "", secretsOf(p.connect))
		return &argo.Files{
			Paths: p.applications, Selection: selection, Defaults: defaults, Namespace: p.namespace(""),
			Follow: c.Projects.Follow, Setting: setting,
		}, nil
	}

	if p.cluster, err = p.connect(); err != nil {
		return nil, err
	}

	defaults.Namespace = p.argoCD()
	p.secrets = gitCredentials(p.cluster, defaults.Namespace, secretsOf(p.connect))
	source, watch := fromCluster(p.cluster, selection, defaults)
	source.Projects = &argo.Projects{
		Lister: projectReader{p.cluster, defaults.Namespace, p.secrets},
		Follow: c.Projects.Follow, Setting: setting, Warn: func(text string) { p.log.Warn(text) },
	}
	p.watch = watch

	return source, nil
}
