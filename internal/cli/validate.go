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
	"github.com/liverty-music/image-writeback/internal/giturl"
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
			v := &validation{
				print: func(format string, a ...any) { printf(cmd.OutOrStdout(), format+"\n", a...) },
				setup: &setup{options: &options{}, config: config.Default()},
			}
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

	setup *setup            // that of the last config.yaml that is right, or of none
	rules *permission.Rules // of that config.yaml; nil: nobody knows the rules
}

func (v *validation) files(paths []string) {
	var manifests []string
	for _, path := range paths { // what config.yaml says is known first
		if isConfig(path) {
			v.config(path)
		} else {
			manifests = append(manifests, path)
		}
	}

	v.manifests(manifests)
}

// manifests checks the Applications of files, which are read together, as plan does.
func (v *validation) manifests(paths []string) {
	if len(paths) == 0 {
		return
	}

	files, err := v.setup.applicationFiles(paths)
	if err != nil {
		return // the problem of config.yaml says why
	}
	found, err := files.List(context.Background())
	if err != nil {
		v.inConfig++
		v.print("%v", err)
		return
	}

	v.applications += len(found.Applications)
	territory := v.territory(found)
	for _, app := range found.Applications {
		found.Problems = append(found.Problems, app.Problems...)
		found.Problems = append(found.Problems, v.refusals(app, territory)...)
	}
	for _, p := range found.Problems {
		v.inApplications++
		v.print("%s: %s: %s", p.Where, p.Application, p.Error())
	}
}

// config checks a configuration file.
func (v *validation) config(path string) {
	v.configs++
	c, problems, err := config.ReadFile(path)
	if err != nil {
		v.inConfig++
		v.print("%v", err)
		return
	}
	if len(problems) == 0 {
		v.follow(c)
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

// follow has the Applications checked by a configuration.
func (v *validation) follow(c config.Config) {
	v.setup = &setup{options: &options{}, config: c}
	table := v.setup.registryTable()
	for i := range table {
		table[i].CAFile = "" // it may be on another machine
	}
	registries, err := registry.New(table, nil, nil, "")
	if err != nil {
		v.inConfig++
		v.print("%v", err)
		return
	}

	rules := v.setup.permission(registries, v.setup.namespace(""))
	v.rules = &rules
}

// territory is what the Applications of the files deploy.
func (v *validation) territory(found spec.Listing) *permission.Territory {
	var all []spec.Application
	for _, app := range slices.Concat(found.Applications, found.Neighbours) {
		if v.rules == nil || v.rules.Deployed(app) {
			all = append(all, app)
		}
	}

	return permission.NewTerritory(all)
}

// refusals are what the rules of config.yaml forbid an Application, as far as they need
// neither a cluster nor a git repository.
func (v *validation) refusals(app spec.Application, territory *permission.Territory) []spec.Problem {
	if v.rules == nil || len(app.Broken()) > 0 {
		return nil
	}

	var found []spec.Problem
	add := func(refusal *permission.Refusal) {
		if refusal != nil {
			found = append(found, spec.Problem{Where: app.Origin, Application: app.String(), Expected: refusal.Error()})
		}
	}
	add(v.rules.Application(app))
	add(v.mayWrite(app, territory))
	for _, i := range app.Images {
		add(v.rules.Image(app, i))
	}

	return found
}

// mayWrite returns why an Application may write none of the files that may be meant, of
// which only the repository decides.
func (v *validation) mayWrite(app spec.Application, territory *permission.Territory) *permission.Refusal {
	if !app.Target.InGit() {
		return nil
	}

	var first *permission.Refusal
	for _, files := range app.Target.Candidates() {
		refused := v.rules.Write(app, placeOf(app, files.Path()), territory)
		if refused == nil {
			return nil
		}
		first = cmp.Or(first, refused)
	}

	return first
}

// placeOf is where an Application writes, as far as that is known without its repository:
// the default branch may be any.
func placeOf(app spec.Application, file string) permission.Place {
	target := app.Target
	at := permission.Place{
		Repository: target.Repository, Path: file, Base: target.BaseBranch, Write: target.WriteBranch,
		Named: target.WriteBranch != "",
	}
	for _, source := range app.SourcesIn(giturl.Parse(target.Repository).Key()) {
		if source.Branch() == "" {
			at.Base = ""
		}
		at.Tracked = append(at.Tracked, source.Branch())
	}

	return at
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
