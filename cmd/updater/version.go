package main

import (
	"encoding/json"
	"fmt"
	"runtime"
	"runtime/debug"

	"github.com/spf13/cobra"
)

// Set when a release is linked; see the Makefile.
var (
	version = "dev"
	commit  = ""
)

// builtFrom is the commit that was linked in, else the one that Go itself noted.
func builtFrom() string {
	if commit != "" {
		return commit
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

func userAgent() string { return "image-writeback/" + version }

func newVersion() *cobra.Command {
	var output string
	cmd := &cobra.Command{
		Use:   "version",
		Short: "Print version, commit and Go version",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			switch output {
			case "":
				_, err := fmt.Fprintf(cmd.OutOrStdout(), "updater %s (commit %s, %s)\n", version, builtFrom(), runtime.Version())
				return err
			case "json":
				return json.NewEncoder(cmd.OutOrStdout()).Encode(map[string]string{"version": version, "commit": builtFrom(), "goVersion": runtime.Version()})
			}
			return usage(fmt.Errorf("--output %q: use json", output))
		},
	}
	cmd.Flags().StringVarP(&output, "output", "o", "", "json")
	return cmd
}
