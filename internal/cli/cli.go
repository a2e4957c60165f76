// Package cli is the command line of the updater: flags and wiring, one file
// for each command. Use it to run the program, as cmd/updater does, or to run a
// command line within a test. It decides nothing: internal/plan does.
package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/google/go-containerregistry/pkg/logs"
	"github.com/spf13/cobra"

	"github.com/liverty-music/image-writeback/internal/escape"
)

// Exit statuses, as the contract has them.
const (
	exitFailed      = 1   // at least one image or repository failed, the rest was done
	exitUsage       = 2   // bad flags or configuration, nothing was touched
	exitInterrupted = 130 // a one-shot command was interrupted
)

// exitError ends the program with a status. Its error is nil if everything has been
// printed already.
type exitError struct {
	status int
	err    error
}

// Error returns the error, or the status if everything has been said already.
func (e *exitError) Error() string {
	if e.err == nil {
		return fmt.Sprintf("exit status %d", e.status)
	}
	return e.err.Error()
}

// Unwrap returns the cause; nil if everything has been said already.
func (e *exitError) Unwrap() error { return e.err }

// Main runs the command line of the process until it ends, or until SIGINT or
// SIGTERM stops it. It returns the exit status.
func Main(build Build) int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()

	go func() {
		<-ctx.Done()
		stop() // a second signal ends the program at once
	}()

	limitMemory()
	logs.Warn.SetOutput(io.Discard) // the registry library's own log; this program logs the same errors itself

	return Execute(ctx, build, os.Args[1:], os.Stdout, os.Stderr)
}

// Execute runs a command line, without the name of the program, and returns its
// exit status: 0, or 1 where an image or a repository failed, 2 where flags or
// the configuration are wrong, 130 where ctx ended a one-shot command.
func Execute(ctx context.Context, build Build, args []string, stdout, stderr io.Writer) int {
	root := newRoot(build)
	root.SetArgs(args)
	root.SetOut(stdout)
	root.SetErr(stderr)

	err := root.ExecuteContext(ctx)
	if err == nil {
		return 0
	}

	var exit *exitError
	status := exitUsage // errors of cobra itself are about flags and arguments
	if errors.As(err, &exit) {
		status = exit.status
		err = exit.err
	}

	if err != nil {
		_, _ = fmt.Fprintf(stderr, "error: %s\n", escape.Text(err.Error()))
	}

	return status
}

// usage makes err end the program with the status for wrong flags or configuration.
func usage(err error) error { return &exitError{exitUsage, err} }

func newRoot(build Build) *cobra.Command {
	root := &cobra.Command{
		Use:   "updater",
		Short: "Write new image tags to the git repository that Argo CD deploys from",
		Long: `Image Writeback reads annotations on Argo CD Applications, finds newer images in
the registry, and writes their tags to git: as a commit to the branch, or as a
pull request.

Start with "updater plan": it shows what would change, and why. It writes nothing.`,
		SilenceUsage:  true,
		SilenceErrors: true,
		RunE:          func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
		Args:          cobra.NoArgs,
	}

	root.CompletionOptions.HiddenDefaultCmd = true
	root.AddCommand(
		newRun(build), newPlan(build), newExplain(build), newTest(build), newValidate(), newVersion(build),
	)

	return root
}
