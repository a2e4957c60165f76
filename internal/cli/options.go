package cli

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// options are the flags that commands have in common.
type options struct {
	build           Build
	configFile      string
	applications    []string
	kubeconfig      string
	context         string
	argocdNamespace string
	logLevel        string
	logFormat       string
	noEvents        bool     // of Kubernetes
	hosts           []string // HOST:PORT of servers that the command line names
	legacy          *legacy
}

const envPrefix = "IMAGE_WRITEBACK_"

// addFiles defines the flags that name files. All flags of the command can be set
// by the environment too; see fromEnvironment.
func (o *options) addFiles(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.StringVar(&o.configFile, "config", "", "configuration file (default: ./config.yaml if it exists)")
	flags.StringSliceVar(&o.applications, "applications", nil,
		"read Applications from this file or folder, not from a cluster; may be repeated")
	cmd.PreRunE = func(cmd *cobra.Command, _ []string) error { return fromEnvironment(cmd.Flags()) }
}

// add defines the flags of commands that connect to something.
func (o *options) add(cmd *cobra.Command) {
	o.addFiles(cmd)
	flags := cmd.Flags()
	flags.StringVar(&o.kubeconfig, "kubeconfig", "",
		"kubeconfig file (default: as kubectl finds it, else the credentials of the pod)")
	flags.StringVar(&o.context, "context", "", "context of the kubeconfig")
	flags.StringVar(&o.argocdNamespace, "argocd-namespace", "", "namespace of Argo CD")
	flags.StringVar(&o.logLevel, "log-level", "info", "debug, info, warn or error")
	flags.StringVar(&o.logFormat, "log-format", "text", "text or json")
}

// addCycle defines the flags of commands that plan or run a cycle.
func (o *options) addCycle(cmd *cobra.Command) {
	o.add(cmd)
	o.legacy = addLegacy(cmd, runFlags)
}

// fromEnvironment sets flags that are not on the command line from environment
// variables: --log-level from IMAGE_WRITEBACK_LOG_LEVEL.
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

// logger returns a log that writes to stderr in the chosen format.
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
