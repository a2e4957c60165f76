package cli

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"

	"github.com/spf13/cobra"
	"sigs.k8s.io/kustomize/kyaml/yaml"

	"github.com/liverty-music/image-writeback/internal/argo"
	"github.com/liverty-music/image-writeback/internal/config"
	"github.com/liverty-music/image-writeback/internal/delivery"
	"github.com/liverty-music/image-writeback/internal/permission"
	"github.com/liverty-music/image-writeback/internal/registry"
	"github.com/liverty-music/image-writeback/internal/spec"
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

	config *config.Config // the last one that is right; nil: there is none
}

func (v *validation) files(paths []string) {
	slices.SortStableFunc(paths, func(a, b string) int { // what config.yaml forbids is known first
		return cmp.Compare(order(a), order(b))
	})
	for _, path := range paths {
		if isConfig(path) {
			v.file(path)
			continue
		}
		s := v.setup()
		defaults, namespace := s.config.Defaults, s.namespace("")
		files := &argo.Files{Paths: []string{path}, Namespace: namespace, Defaults: argo.Defaults{
			WriteBackMethod: defaults.WriteBackMethod, WriteBackTarget: defaults.WriteBackTarget, Namespace: namespace,
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
			found.Problems = append(found.Problems, v.refusals(app)...)
		}
		for _, p := range found.Problems {
			v.inApplications++
			v.print("%s: %s: %s", p.Where, p.Application, p.Error())
		}
	}
}

// file checks a configuration file.
func (v *validation) file(path string) {
	v.configs++
	c, problems, err := config.ReadFile(path)
	if err != nil {
		v.inConfig++
		v.print("%v", err)
		return
	}
	if len(problems) == 0 {
		v.config = &c
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

// order is 0 for configuration files, and 1 for others.
func order(path string) int {
	if isConfig(path) {
		return 0
	}

	return 1
}

// setup is that of the last config.yaml, or of none.
func (v *validation) setup() *setup {
	if v.config == nil {
		return &setup{options: &options{}, config: config.Default()}
	}

	return &setup{options: &options{}, config: *v.config}
}

// refusals are what the rules of config.yaml forbid an Application, as far as they need
// no cluster. Without a config.yaml nobody knows the rules.
func (v *validation) refusals(app spec.Application) []spec.Problem {
	if v.config == nil || len(app.Broken()) > 0 {
		return nil
	}

	s := v.setup()
	table := s.registryTable()
	for i := range table {
		table[i].CAFile = "" // it may be on another machine
	}
	registries, err := registry.New(table, nil, nil, "")
	if err != nil {
		return []spec.Problem{{Where: app.Origin, Application: app.String(), Expected: err.Error()}}
	}

	rules := s.permission(registries, s.namespace(""))
	var found []spec.Problem
	add := func(refusal *permission.Refusal) {
		if refusal != nil {
			found = append(found, spec.Problem{Where: app.Origin, Application: app.String(), Expected: refusal.Error()})
		}
	}
	add(rules.Application(app))
	for _, i := range app.Images {
		add(rules.Image(app, i))
	}

	return found
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
