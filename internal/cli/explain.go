package cli

import (
	"fmt"
	"io"
	"slices"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/liverty-music/image-writeback/internal/image"
	"github.com/liverty-music/image-writeback/internal/plan"
	"github.com/liverty-music/image-writeback/internal/spec"
)

func newExplain(build Build) *cobra.Command {
	o := options{build: build}
	cmd := &cobra.Command{
		Use:   "explain [NAMESPACE/]APPLICATION",
		Short: "Explain which tag an Application gets, and why",
		Long: `For each image of one Application, explain shows the tags in the registry, which
rule dropped which tag, the chosen tag, the tag in git, and what happens next.`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			program, err := o.wire(cmd)
			if err != nil {
				return err
			}
			defer program.close()
			named := func(fullName, name string) bool { return fullName == args[0] || name == args[0] }
			program.engine.Only = func(a spec.Application) bool { return named(a.String(), a.Name) }
			found, err := program.plan(cmd)
			if err != nil {
				return verdict(cmd.Context(), err, true)
			}
			found.Applications = slices.DeleteFunc(found.Applications, func(a plan.Application) bool {
				return !named(a.String(), a.Name)
			})
			if len(found.Applications) == 0 {
				return &exitError{exitFailed, fmt.Errorf("found no Application %q; if it exists, "+
					"it has no annotation %simage-list, or config.yaml excludes it", args[0], spec.Prefix)}
			}
			for _, app := range found.Applications {
				explain(cmd.OutOrStdout(), app)
			}
			return verdict(cmd.Context(), nil, found.Failed())
		},
	}

	o.addCycle(cmd)

	return cmd
}

func explain(w io.Writer, app plan.Application) {
	printf(w, "Application %s\n", app)
	for _, problem := range app.Unsaid() {
		printf(w, "  problem: %s\n", problem)
	}

	for _, img := range app.Images {
		printf(w, "\nImage %s (%s)\n", img.Label(), img.Image)
		facts := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
		strategy := orDash(img.Strategy)
		if img.Constraint != "" {
			strategy += " " + img.Constraint
		}
		printf(facts, "  strategy\t%s\n", strategy)
		switch {
		case img.Repository == "" && img.File != "":
			printf(facts, "  it has\t%s\t(%s)\n", orDash(img.Current), img.File)
		case img.File != "":
			printf(facts, "  git holds\t%s\t(%s on %s of %s)\n",
				orDash(img.Current), img.File, img.Branch, img.Repository)
		}
		printf(facts, "  winner\t%s\n", orDash(img.Candidate))
		printf(facts, "  because\t%s\n", img.Reason)
		printf(facts, "  next\t%s\n", next(img))
		_ = facts.Flush()
		tags(w, img)
	}
}

func next(img plan.Image) string {
	switch img.Action {
	case plan.ActionUpdate:
		if img.Repository == "" {
			return "a change of " + img.File
		}
		if img.Delivery == spec.DeliverPullRequest {
			return fmt.Sprintf("a pull request from %s to %s", img.HeadBranch, img.Branch)
		}
		return "a commit to " + img.Branch
	case plan.ActionUpToDate:
		return "nothing: the winner is in place"
	case plan.ActionSkip:
		return "nothing until the condition above changes"
	}

	return "nothing, until this is fixed"
}

// tags lists the tags of the registry: the winner first, then the dropped ones by rule.
func tags(w io.Writer, img plan.Image) {
	choice := img.Choice
	total := len(choice.Dropped)
	if choice.Found {
		total++
	}

	if total == 0 {
		return
	}

	printf(w, "\n  %d tags, %d dropped\n", total, len(choice.Dropped))
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	printf(table, "  TAG\tBUILT\tRULE\tWHY\n")
	if choice.Found {
		printf(table, "  %s\t%s\twinner\t%s\n", choice.Tag.Name, built(choice.Tag), choice.Reason)
	}

	for _, d := range choice.Dropped {
		printf(table, "  %s\t%s\t%s\t%s\n", d.Tag.Name, built(d.Tag), d.Rule, d.Why)
	}

	_ = table.Flush()
}

func built(tag image.Tag) string {
	if tag.Created.IsZero() {
		return "-"
	}
	return tag.Created.UTC().Format(time.RFC3339)
}
