package cli

import (
	"fmt"
	"log/slog"
	"time"

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
		Settings: decisions, Deadline: s.deadline(), Grace: time.Duration(s.config.ShutdownTimeout), Templates: texts,
		Log: log,
	}

	if p.cluster != nil && !s.noEvents { // a nil *kube.Cluster in an interface is not nil
		p.engine.Events = p.cluster
	}

	return p, nil
}

// followSetting is where it is set whether AppProjects are followed.
const followSetting = "projects.follow in config.yaml"

// applicationFiles reads Applications from files.
func (s *setup) applicationFiles(paths []string) (*argo.Files, error) {
	selection, err := s.selection()
	if err != nil {
		return nil, err
	}

	return &argo.Files{
		Paths: paths, Selection: selection, Defaults: s.defaults(), Namespace: s.namespace(""),
		Follow: s.config.Projects.Follow, Setting: followSetting,
	}, nil
}

// selection is which Applications are read.
func (s *setup) selection() (argo.Selection, error) {
	a := s.config.Applications
	selection, err := argo.NewSelection(a.Namespaces, a.Selector, a.Names)
	if err != nil {
		return selection, fmt.Errorf("applications: %w", err)
	}

	return selection, nil
}

// defaults apply where an Application has no annotation.
func (s *setup) defaults() argo.Defaults {
	c := s.config
	return argo.Defaults{
		WriteBackMethod: c.Defaults.WriteBackMethod, WriteBackTarget: c.Defaults.WriteBackTarget,
		Namespace: s.namespace(""), Images: limitOf(int64(c.Limits.Images), "images"),
	}
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
	if len(p.applications) > 0 {
		p.secrets = gitCredentials(nil, "", secretsOf(p.connect))
		return p.applicationFiles(p.applications)
	}

	selection, err := p.selection()
	if err != nil {
		return nil, err
	}
	if p.cluster, err = p.connect(); err != nil {
		return nil, err
	}

	defaults := p.defaults()
	defaults.Namespace = p.argoCD()
	p.secrets = gitCredentials(p.cluster, defaults.Namespace, secretsOf(p.connect))
	source, watch := fromCluster(p.cluster, selection, defaults)
	source.Projects = &argo.Projects{
		Lister: projectReader{p.cluster, defaults.Namespace, p.secrets},
		Follow: p.config.Projects.Follow, Setting: followSetting, Warn: func(text string) { p.log.Warn(text) },
	}
	p.watch = watch

	return source, nil
}
