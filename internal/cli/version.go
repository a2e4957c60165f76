package cli

import (
	"encoding/json"
	"fmt"
	"runtime"
	"runtime/debug"

	"github.com/spf13/cobra"
)

// Build is the release of the program.
type Build struct {
	// Version is shown by "updater version"; empty: dev.
	Version string
	// Commit is what the program was built from; empty: as recorded by Go.
	Commit string
}

func (b Build) version() string {
	if b.Version == "" {
		return "dev"
	}
	return b.Version
}

func (b Build) commit() string {
	if b.Commit != "" {
		return b.Commit
	}

	if info, ok := debug.ReadBuildInfo(); ok {
		for _, setting := range info.Settings {
			if setting.Key == "vcs.revision" {
				return setting.Value
			}
		}
	}

	return "unknown"
}

func (b Build) userAgent() string { return "image-writeback/" + b.version() }

func newVersion(build Build) *cobra.Command {
	var output string
	cmd := &cobra.Command{
		Use:   "version",
		Short: "Print version, commit and Go version",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			switch output {
			case "":
				_, err := fmt.Fprintf(cmd.OutOrStdout(), "updater %s (commit %s, %s)\n",
					build.version(), build.commit(), runtime.Version())
				return err
			case "json":
				return json.NewEncoder(cmd.OutOrStdout()).Encode(map[string]string{
					"version": build.version(), "commit": build.commit(), "goVersion": runtime.Version(),
				})
			}
			return usage(fmt.Errorf("--output %q: use json", output))
		},
	}

	cmd.Flags().StringVarP(&output, "output", "o", "", "json")

	return cmd
}
