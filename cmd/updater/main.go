// Updater is Image Writeback: it finds newer images for annotated Argo CD
// Applications and writes their tags into git.
//
// This package is flags and wiring, one file for each command. What happens is
// decided in internal/reconcile.
package main

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
)

// Exit statuses, as the contract has them.
const (
	exitFailed      = 1   // at least one image or repository failed, the rest was done
	exitUsage       = 2   // bad flags or configuration, nothing was touched
	exitInterrupted = 130 // a one-shot command was interrupted
)

// exitError ends the program with a status. Its error may be nil where
// everything has been said already.
type exitError struct {
	status int
	err    error
}

func (e *exitError) Error() string {
	if e.err == nil {
		return fmt.Sprintf("exit status %d", e.status)
	}
	return e.err.Error()
}

func (e *exitError) Unwrap() error { return e.err }

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	go func() {
		<-ctx.Done()
		stop() // a second signal ends the program at once
	}()
	logs.Warn.SetOutput(io.Discard) // the library's own words; ours say it
	status := execute(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	os.Exit(status)
}

// execute runs a command line and returns its exit status.
func execute(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	root := newRoot()
	root.SetArgs(args)
	root.SetOut(stdout)
	root.SetErr(stderr)
	err := root.ExecuteContext(ctx)
	if err == nil {
		return 0
	}
	var exit *exitError
	status := exitUsage // what cobra itself reports are bad flags and arguments
	if errors.As(err, &exit) {
		status = exit.status
		err = exit.err
	}
	if err != nil {
		_, _ = fmt.Fprintf(stderr, "error: %v\n", err)
	}
	return status
}

func newRoot() *cobra.Command {
	root := &cobra.Command{
		Use:   "updater",
		Short: "Write new image tags into the git repository that Argo CD deploys from",
		Long: `Image Writeback reads annotations on Argo CD Applications, finds newer images in
the registry, and writes their tags into git: straight to the branch, or by
pull request.

Start with "updater plan": it shows what would change, and why, and writes nothing.`,
		SilenceUsage:  true,
		SilenceErrors: true,
		RunE:          func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
		Args:          cobra.NoArgs,
	}
	root.CompletionOptions.HiddenDefaultCmd = true
	root.AddCommand(newRun(), newPlan(), newExplain(), newTest(), newValidate(), newVersion())
	return root
}
