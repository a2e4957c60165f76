package cli

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/spf13/cobra"
	"k8s.io/klog/v2"

	"github.com/liverty-music/image-writeback/internal/config"
	"github.com/liverty-music/image-writeback/internal/lease"
	"github.com/liverty-music/image-writeback/internal/reconcile"
)

func newRun(build Build) *cobra.Command {
	o := options{build: build}
	var once, dryRun bool
	var interval time.Duration
	cmd := &cobra.Command{
		Use:   "run",
		Short: "Run the update loop",
		Long: `Run cycles: read the annotated Applications, ask the registries, write what is
newer into git. Without --once it goes on until it is stopped (SIGTERM or
Ctrl-C); a push that is under way is finished first.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			given := cmd.Flags().Changed("interval")
			if fromEnv, ok, err := legacyInterval(); err != nil {
				return usage(err)
			} else if ok && !given {
				interval, given = fromEnv, true
			}
			if given && interval < 0 {
				return usage(errors.New("--interval: it must not be negative"))
			}
			program, err := o.wire(cmd, func(c *config.Config) {
				if given && interval > 0 {
					c.Interval = config.Duration(interval)
				}
			})
			if err != nil {
				return err
			}
			once = once || given && interval == 0 // as in Argo CD Image Updater
			defer program.close()
			if once {
				return program.once(cmd, dryRun)
			}
			return program.serve(cmd.Context(), dryRun)
		},
	}
	o.addCycle(cmd)
	cmd.Flags().BoolVar(&once, "once", false, "run one cycle, then exit")
	cmd.Flags().BoolVar(&dryRun, "dry-run", false, "write nothing; log what would be written")
	cmd.Flags().DurationVar(&interval, "interval", 0, "time between cycles (default as config.yaml says, 2m)")
	return cmd
}

func (p *program) once(cmd *cobra.Command, dryRun bool) error {
	progress := newProgress(cmd.ErrOrStderr())
	p.engine.Progress = progress.step
	result, err := p.engine.Cycle(cmd.Context(), reconcile.Everything(), dryRun)
	p.engine.Flush()
	progress.done()
	return verdict(cmd.Context(), err, result != nil && result.Failed())
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

// serve runs until ctx ends. A change of an Application asks for a cycle at
// once, and so does an event; several that come together ask for one.
func (p *program) serve(ctx context.Context, dryRun bool) error {
	p.web.Alive = func() error { return p.engine.Alive(time.Now()) }
	p.web.Ready = p.engine.Ready
	stop, err := p.web.Start(p.config.Web.Listen, p.config.Web.MetricsListen)
	if err != nil {
		return usage(err)
	}
	defer stop()
	p.engine.Publish = p.web.Metrics.Cycle
	inbox := reconcile.NewInbox()
	endEvents, err := p.listen(ctx, inbox)
	if err != nil {
		return usage(err)
	}
	defer endEvents()
	if p.cluster != nil {
		klog.SetSlogLogger(p.log) // what client-go has to say
		watching, cancel := context.WithCancel(ctx)
		var watch sync.WaitGroup
		watch.Go(func() {
			p.watch(watching, inbox.Everything, onChange(func(err error) { p.log.Warn("the cluster is tried again", "error", err.Error()) }))
		})
		defer watch.Wait()
		defer cancel()
	}
	if p.config.LeaderElection.Enabled && !dryRun {
		if p.cluster == nil {
			return usage(errors.New("leaderElection needs a cluster; turn it off in config.yaml, or leave --applications out"))
		}
		defer p.share(ctx, inbox)()
	}
	p.log.Info("started", "version", p.build.version(), "interval", time.Duration(p.config.Interval).String(), "dryRun", dryRun)
	p.engine.Run(ctx, time.Duration(p.config.Interval), inbox, dryRun)
	p.log.Info("stopped")
	return nil
}

// onChange leaves out what was said last.
func onChange(say func(error)) func(error) {
	var mu sync.Mutex
	last := ""
	return func(err error) {
		mu.Lock()
		defer mu.Unlock()
		if err.Error() != last {
			last = err.Error()
			say(err)
		}
	}
}

// share has this replica take its share of the repositories. leave ends that,
// once the last cycle has.
func (p *program) share(ctx context.Context, inbox *reconcile.Inbox) (leave func()) {
	election := p.config.LeaderElection
	namespace := election.Namespace
	if namespace == "" {
		namespace = p.cluster.Namespace()
	}
	replica := lease.New(p.cluster.Leases(namespace), election.Name, lease.Identity(election.Name), time.Duration(election.LeaseDuration), p.log)
	p.engine.Owns, p.engine.PassOn, replica.Heard = replica.Owns, replica.Pass, inbox.Heard
	replica.Join(ctx)
	running, cancel := context.WithCancel(context.WithoutCancel(ctx))
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		replica.Run(running, inbox.Everything)
	}()
	return func() {
		cancel()
		<-ended
	}
}
