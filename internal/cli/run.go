package cli

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/spf13/cobra"
	"k8s.io/klog/v2"

	"github.com/liverty-music/image-writeback/internal/config"
	"github.com/liverty-music/image-writeback/internal/engine"
	"github.com/liverty-music/image-writeback/internal/lease"
	"github.com/liverty-music/image-writeback/internal/web"
)

// runOptions are the flags of "updater run".
type runOptions struct {
	options
	once, dryRun bool
	interval     time.Duration
}

func newRun(build Build) *cobra.Command {
	o := runOptions{options: options{build: build}}
	cmd := &cobra.Command{
		Use:   "run",
		Short: "Run the update loop",
		Long: `Run update cycles. In a cycle, the updater reads the annotated Applications, lists
tags in the registries and writes newer versions to git. It runs until it is
stopped (SIGTERM or Ctrl-C) and finishes a push that has started. With --once, it
runs one cycle and exits.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return o.run(cmd) },
	}

	o.addCycle(cmd)
	flags := cmd.Flags()
	flags.BoolVar(&o.once, "once", false, "run one cycle, then exit")
	flags.BoolVar(&o.dryRun, "dry-run", false, "write nothing; log what would be written")
	flags.DurationVar(&o.interval, "interval", 0, "time between cycles (default: interval in config.yaml, else 2m)")

	return cmd
}

func (o *runOptions) run(cmd *cobra.Command) error {
	given := cmd.Flags().Changed("interval")
	if fromEnv, ok, err := legacyInterval(); err != nil {
		return usage(err)
	} else if ok && !given {
		o.interval, given = fromEnv, true
	}

	if given && o.interval < 0 {
		return usage(errors.New("--interval must not be negative"))
	}

	s, err := o.configure(cmd, func(c *config.Config) {
		if given && o.interval > 0 {
			c.Interval = config.Duration(o.interval)
		}
	})

	if err != nil {
		return usage(err)
	}

	s.metrics = web.NewMetrics()
	program, err := s.program(cmd)
	if err != nil {
		return usage(err)
	}
	defer program.close()

	if o.once || given && o.interval == 0 { // an interval of 0 is one cycle, as in Argo CD Image Updater
		return program.once(cmd, o.dryRun)
	}

	return program.serve(cmd.Context(), o.dryRun)
}

// once runs one cycle and shows its progress.
func (p *program) once(cmd *cobra.Command, dryRun bool) error {
	progress := newProgress(cmd.ErrOrStderr())
	p.engine.Progress = progress.step
	failed, err := p.engine.Once(cmd.Context(), dryRun)
	progress.done()

	return verdict(cmd.Context(), err, failed)
}

// verdict turns the end of a one-shot command into its exit status.
func verdict(ctx context.Context, err error, failed bool) error {
	switch {
	case ctx.Err() != nil:
		return &exitError{exitInterrupted, errors.New("interrupted")}
	case err != nil:
		return &exitError{exitFailed, err}
	case failed:
		return &exitError{status: exitFailed}
	}

	return nil
}

// serve runs cycles until ctx ends: at the interval, when an Application changes,
// and when a trigger arrives. Several reasons at the same time lead to one cycle.
func (p *program) serve(ctx context.Context, dryRun bool) error {
	if p.config.LeaderElection.Enabled && !dryRun && p.cluster == nil {
		return usage(errors.New("leaderElection needs a cluster; " +
			"turn it off in config.yaml, or run without --applications"))
	}

	server := &web.Server{Metrics: p.metrics, Ready: p.engine.Ready}
	server.Alive = func() error { return p.engine.Alive(time.Now()) }
	stop, err := server.Start(p.config.Web.Listen, p.config.Web.MetricsListen)
	if err != nil {
		return usage(listenError(err))
	}
	defer stop()
	p.engine.Publish = p.metrics.Cycle

	inbox := engine.NewInbox()
	endTriggers, err := p.listen(ctx, inbox)
	if err != nil {
		return usage(err)
	}
	defer endTriggers()

	if p.cluster != nil {
		defer p.watchCluster(ctx, inbox)()
		if p.config.LeaderElection.Enabled && !dryRun {
			defer p.share(ctx, inbox)()
		}
	}

	interval := time.Duration(p.config.Interval)
	p.log.Info("started", "version", p.build.version(), "interval", interval.String(), "dryRun", dryRun)
	p.engine.Run(ctx, interval, inbox, dryRun)
	p.log.Info("stopped")

	return nil
}

// listenError adds the key of config.yaml that has the address.
func listenError(err error) error {
	var failed *web.ListenError
	if !errors.As(err, &failed) {
		return err
	}

	key := "web.listen"
	if failed.Serving == "metrics" {
		key = "web.metricsListen"
	}

	return fmt.Errorf("%s: %w; choose another address, or \"\" for none", key, failed.Err)
}

// watchCluster asks for a cycle when an Application changes, until end is called.
func (p *program) watchCluster(ctx context.Context, inbox *engine.Inbox) (end func()) {
	klog.SetSlogLogger(p.log) // client-go logs by klog
	failed := onChange(func(err error) { p.log.Warn("retrying the connection to the cluster", "error", err.Error()) })

	ctx, cancel := context.WithCancel(ctx)
	var running sync.WaitGroup
	running.Go(func() { p.watch(ctx, inbox.Everything, failed) })

	return func() {
		cancel()
		running.Wait()
	}
}

// onChange calls log for errors that differ from the last one.
func onChange(log func(error)) func(error) {
	var mu sync.Mutex
	last := ""
	return func(err error) {
		mu.Lock()
		defer mu.Unlock()
		if err.Error() != last {
			last = err.Error()
			log(err)
		}
	}
}

// share makes this replica work on its share of the repositories only. Call leave
// after the last cycle; the engine may have called it.
func (p *program) share(ctx context.Context, inbox *engine.Inbox) (leave func()) {
	election := p.config.LeaderElection
	namespace := election.Namespace
	if namespace == "" {
		namespace = p.cluster.Namespace()
	}

	replica := lease.New(p.cluster.Leases(namespace), election.Name, lease.Identity(election.Name),
		time.Duration(election.LeaseDuration), p.log)
	running, cancel := context.WithCancel(context.WithoutCancel(ctx))
	ended := make(chan struct{})
	leave = func() {
		cancel()
		<-ended
	}
	p.engine.Replicas = engine.Replicas{Owns: replica.Owns, PassOn: replica.Broadcast, Leave: leave}
	replica.Receive = inbox.Heard
	replica.Join(ctx)
	go func() {
		defer close(ended)
		replica.Run(running, inbox.Everything)
	}()

	return leave
}
