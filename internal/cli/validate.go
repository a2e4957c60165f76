package cli

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"
	"sigs.k8s.io/kustomize/kyaml/yaml"

	"github.com/liverty-music/image-writeback/internal/argo"
	"github.com/liverty-music/image-writeback/internal/config"
	"github.com/liverty-music/image-writeback/internal/delivery"
)

func newValidate() *cobra.Command {
	var o options
	cmd := &cobra.Command{
		Use:   "validate [PATH…]",
		Short: "Check config.yaml and the annotations of Applications",
		Long: `Check configuration files, and manifests of Applications in files or folders,
without any connection. Without a PATH, check what --config and --applications
name. Every problem is printed with its file and line.`,
		RunE: func(cmd *cobra.Command, args []string) error {
			v := &validation{print: func(format string, a ...any) {
				printf(cmd.OutOrStdout(), format+"\n", a...)
			}}
			if len(args) == 0 {
				args = o.applications
				switch _, err := os.Stat("config.yaml"); {
				case o.configFile != "":
					args = append(args, o.configFile)
				case err == nil:
					args = append(args, "config.yaml")
				}
			}
			if len(args) == 0 {
				return usage(errors.New("nothing to check; name files or folders"))
			}
			v.files(args)
			_, _ = fmt.Fprintf(cmd.ErrOrStderr(), "configuration files: %d, Applications: %d, problems: %d\n",
				v.configs, v.applications, v.inConfig+v.inApplications)
			switch {
			case v.inConfig > 0:
				return &exitError{status: exitUsage}
			case v.inApplications > 0:
				return &exitError{status: exitFailed}
			}
			return nil
		},
	}

	o.addFiles(cmd)

	return cmd
}

// validation prints and counts problems.
type validation struct {
	print                    func(format string, a ...any)
	configs, applications    int
	inConfig, inApplications int
}

func (v *validation) files(paths []string) {
	defaults := config.Default().Defaults
	for _, path := range paths {
		if isConfig(path) {
			v.config(path)
			continue
		}
		files := &argo.Files{Paths: []string{path}, Namespace: "argocd", Defaults: argo.Defaults{
			WriteBackMethod: defaults.WriteBackMethod, WriteBackTarget: defaults.WriteBackTarget, Namespace: "argocd",
		}}
		found, err := files.List(context.Background())
		if err != nil {
			v.inConfig++
			v.print("%v", err)
			continue
		}
		v.applications += len(found.Applications)
		for _, app := range found.Applications {
			found.Problems = append(found.Problems, app.Problems...)
		}
		for _, p := range found.Problems {
			v.inApplications++
			v.print("%s: %s: %s", p.Where, p.Application, p.Error())
		}
	}
}

func (v *validation) config(path string) {
	v.configs++
	c, problems, err := config.ReadFile(path)
	if err != nil {
		v.inConfig++
		v.print("%v", err)
		return
	}

	// What the packages that use these values refuse.
	if _, err := delivery.ParseMessage(c.Git.Message); err != nil {
		problems = append(problems, config.Problem{File: path, Message: "git.message: " + err.Error()})
	}

	if _, err := pullRequests(c.GitHub.PullRequest); err != nil {
		problems = append(problems, config.Problem{File: path, Message: err.Error()})
	}

	if _, err := templates(c.GitHub.PullRequest); err != nil {
		problems = append(problems, config.Problem{File: path, Message: err.Error()})
	}

	a := c.Applications
	if _, err := argo.NewSelection(a.Namespaces, a.Selector, a.Names); err != nil {
		problems = append(problems, config.Problem{File: path, Message: "applications: " + err.Error()})
	}

	for _, p := range problems {
		v.inConfig++
		v.print("%s", p.Error())
	}
}

// isConfig reports whether a file is a configuration file: manifests have a kind.
func isConfig(path string) bool {
	info, err := os.Stat(path)
	if err != nil || info.IsDir() {
		return false
	}

	data, err := os.ReadFile(path)
	if err != nil {
		return false
	}

	var object struct {
		Kind string `yaml:"kind"`
	}

	if err := yaml.NewDecoder(bytes.NewReader(data)).Decode(&object); err == nil {
		return object.Kind == ""
	}

	return filepath.Base(path) == "config.yaml"
}
