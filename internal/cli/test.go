package cli

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/liverty-music/image-writeback/internal/engine"
	"github.com/liverty-music/image-writeback/internal/image"
	"github.com/liverty-music/image-writeback/internal/policy"
)

// testOptions are the flags of "updater test".
type testOptions struct {
	options
	strategy, allow, constraint, credentials string
	platforms, ignored                       []string
}

func newTest(build Build) *cobra.Command {
	o := testOptions{options: options{build: build}}
	cmd := &cobra.Command{
		Use:   "test IMAGE[:CONSTRAINT]",
		Short: "Find the newest tag of one image, without an Application",
		Example: `  updater test nginx:^1.25
  updater test ghcr.io/o/app --update-strategy newest-build --allow-tags 'regexp:^[0-9a-f]{40}$'`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error { return o.run(cmd, args[0]) },
	}

	o.add(cmd)
	flags := cmd.Flags()
	flags.StringVar(&o.strategy, "update-strategy", string(policy.SemVer), strings.Join(policy.StrategyNames(), ", "))
	flags.StringVar(&o.allow, "allow-tags", "", "regexp:<Go regular expression>, or any")
	flags.StringArrayVar(&o.ignored, "ignore-tags", nil, "globs, separated by commas; may be repeated")
	flags.StringSliceVar(&o.platforms, "platforms", nil, "os/arch[/variant]; may be repeated")
	flags.StringVar(&o.credentials, "credentials", "",
		strings.Join(image.CredentialForms(), ", "))
	flags.StringVar(&o.constraint, "semver-constraint", "", "same as :CONSTRAINT after the image")
	_ = flags.MarkHidden("semver-constraint")
	o.legacy = addLegacy(cmd, testFlags)

	return cmd
}

func (o *testOptions) run(cmd *cobra.Command, argument string) error {
	ref, p, err := o.parse(argument)
	if err != nil {
		return usage(err)
	}

	o.hosts = registryHosts(ref.Registry) // whoever gives the command is the operator
	s, err := o.configure(cmd, nil)
	if err != nil {
		return usage(err)
	}

	registries, err := s.registries()
	if err != nil {
		return usage(err)
	}

	repository, err := registries.Repository(ref, o.credentials)
	if err != nil {
		return verdict(cmd.Context(), err, true)
	}

	choice, err := engine.Choose(cmd.Context(), repository, p, o.platforms, s.deadline())
	if err != nil {
		return verdict(cmd.Context(), err, true)
	}

	if !choice.Found {
		return &exitError{exitFailed, fmt.Errorf("no tag of %s was chosen: %s", ref.Name, choice.Reason)}
	}

	printf(cmd.ErrOrStderr(), "%s: %s\n", choice.Tag.Name, choice.Reason)
	ref.Version = p.Version(choice.Tag)
	_, err = fmt.Fprintln(cmd.OutOrStdout(), ref)

	return err
}

// parse reads the argument and the flags that make a policy.
func (o *testOptions) parse(argument string) (ref image.Ref, p policy.Policy, err error) {
	name, constraint, _ := image.CutTag(argument)
	if o.constraint != "" {
		constraint = o.constraint
	}

	if ref, err = image.ParseName(name); err != nil {
		return ref, p, err
	}

	p.Constraint = constraint
	if p.Strategy, err = policy.ParseStrategy(o.strategy); err != nil {
		return ref, p, fmt.Errorf("--update-strategy: %w; use one of %s", err,
			strings.Join(policy.StrategyNames(), ", "))
	}

	if p.Allow, err = policy.ParseAllow(o.allow); err != nil {
		return ref, p, fmt.Errorf("--allow-tags: %w", err)
	}

	if p.Ignore, err = policy.ParseIgnore(strings.Join(o.ignored, ",")); err != nil {
		return ref, p, fmt.Errorf("--ignore-tags: %w", err)
	}

	return ref, p, p.Validate()
}
