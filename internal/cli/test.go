package cli

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/liverty-music/image-writeback/internal/image"
	"github.com/liverty-music/image-writeback/internal/kube"
	"github.com/liverty-music/image-writeback/internal/policy"
	"github.com/liverty-music/image-writeback/internal/reconcile"
)

func newTest(build Build) *cobra.Command {
	o := options{build: build}
	var strategy, allow, credentials string
	var platforms, ignored []string
	var constraint string
	cmd := &cobra.Command{
		Use:   "test IMAGE[:CONSTRAINT]",
		Short: "Find the newest tag of one image, without an Application",
		Example: `  updater test nginx:^1.25
  updater test ghcr.io/o/app --update-strategy newest-build --allow-tags 'regexp:^[0-9a-f]{40}$'`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if constraint != "" {
				name, _, _ := image.CutTag(args[0])
				args[0] = name + ":" + constraint
			}
			ref, p, err := parseTest(args[0], strategy, allow, strings.Join(ignored, ","))
			if err != nil {
				return usage(err)
			}
			c, err := o.readConfig()
			if err == nil {
				err = o.legacy.apply(cmd, &o, &c)
			}
			if err != nil {
				return usage(err)
			}
			registries, err := o.newRegistries(c, secretsOf(func() (*kube.Cluster, error) {
				return kube.New(o.kubeconfig, o.context, nil)
			}))
			if err != nil {
				return usage(err)
			}
			engine := &reconcile.Engine{Registries: registries}
			choice, err := engine.Resolve(cmd.Context(), ref, p, platforms, credentials)
			if err != nil {
				return verdict(cmd.Context(), err, true)
			}
			if !choice.Found {
				return &exitError{exitFailed, fmt.Errorf("no tag of %s was chosen: %s", ref.Name, choice.Reason)}
			}
			_, _ = fmt.Fprintf(cmd.ErrOrStderr(), "%s: %s\n", choice.Tag.Name, choice.Reason)
			ref.Version = p.Version(choice.Tag)
			_, err = fmt.Fprintln(cmd.OutOrStdout(), ref)
			return err
		},
	}
	o.add(cmd)
	flags := cmd.Flags()
	flags.StringVar(&strategy, "update-strategy", string(policy.SemVer), strings.Join(policy.StrategyNames(), ", "))
	flags.StringVar(&allow, "allow-tags", "", "regexp:<Go regular expression>, or any")
	flags.StringArrayVar(&ignored, "ignore-tags", nil, "globs, separated by commas; may be repeated")
	flags.StringSliceVar(&platforms, "platforms", nil, "os/arch[/variant]; may be repeated")
	flags.StringVar(&credentials, "credentials", "", "google, env:VARIABLE, secret:NAMESPACE/NAME#FIELD, pullsecret:NAMESPACE/NAME or ext:/PATH")
	flags.StringVar(&constraint, "semver-constraint", "", "as :CONSTRAINT behind the image")
	_ = flags.MarkHidden("semver-constraint")
	o.legacy = addLegacy(cmd, testFlags)
	return cmd
}

func parseTest(argument, strategy, allow, ignore string) (image.Ref, policy.Policy, error) {
	name, constraint, _ := image.CutTag(argument)
	ref, err := image.ParseName(name)
	if err != nil {
		return ref, policy.Policy{}, err
	}
	p := policy.Policy{Constraint: constraint}
	if p.Strategy, err = policy.ParseStrategy(strategy); err != nil {
		return ref, p, fmt.Errorf("--update-strategy: %w; use one of %s", err, strings.Join(policy.StrategyNames(), ", "))
	}
	if p.Allow, err = policy.ParseAllow(allow); err != nil {
		return ref, p, fmt.Errorf("--allow-tags: %w", err)
	}
	if p.Ignore, err = policy.ParseIgnore(ignore); err != nil {
		return ref, p, fmt.Errorf("--ignore-tags: %w", err)
	}
	return ref, p, p.Validate()
}
