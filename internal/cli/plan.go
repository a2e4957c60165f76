package cli

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"text/tabwriter"

	"github.com/spf13/cobra"
	"sigs.k8s.io/yaml"

	"github.com/liverty-music/image-writeback/internal/escape"
	"github.com/liverty-music/image-writeback/internal/plan"
	"github.com/liverty-music/image-writeback/internal/spec"
)

// planOutputs are the values of --output.
var planOutputs = map[string]func(io.Writer, *plan.Plan) error{
	"table": planTable, "json": planJSON, "yaml": planYAML,
}

func newPlan(build Build) *cobra.Command {
	o := options{build: build}
	var output string
	var dryRun bool
	cmd := &cobra.Command{
		Use:   "plan",
		Short: "Show what would change, where and why; write nothing",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			show, ok := planOutputs[output]
			if !ok {
				return usage(fmt.Errorf("--output %q: use table, json or yaml", output))
			}
			program, err := o.wire(cmd)
			if err != nil {
				return err
			}
			defer program.close()
			plan, err := program.plan(cmd)
			if err != nil {
				return verdict(cmd.Context(), err, true)
			}
			if err := show(cmd.OutOrStdout(), plan); err != nil {
				return &exitError{exitFailed, err}
			}
			return verdict(cmd.Context(), nil, plan.Failed())
		},
	}

	o.addCycle(cmd)
	cmd.Flags().StringVarP(&output, "output", "o", "table", "table, json or yaml")
	cmd.Flags().BoolVar(&dryRun, "dry-run", true, "a plan never writes")
	_ = cmd.Flags().MarkHidden("dry-run")

	return cmd
}

// plan makes a plan and shows its progress.
func (p *program) plan(cmd *cobra.Command) (*plan.Plan, error) {
	progress := newProgress(cmd.ErrOrStderr())
	p.engine.Progress = progress.step
	defer progress.done()
	return p.engine.Plan(cmd.Context())
}

func planJSON(w io.Writer, p *plan.Plan) error {
	var b bytes.Buffer
	encoder := json.NewEncoder(&b)
	encoder.SetIndent("", "  ")
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(p); err != nil {
		return err
	}

	_, err := w.Write(escape.JSON(b.Bytes()))
	return err
}

// planYAML prints a plan as YAML. The library prints characters that would mislead a
// reader as they are; a plan with such characters is printed as JSON, which is YAML too.
func planYAML(w io.Writer, p *plan.Plan) error {
	data, err := yaml.Marshal(p)
	switch {
	case err != nil:
		return err
	case !bytes.Equal(escape.JSON(data), data):
		return planJSON(w, p)
	}

	_, err = w.Write(data)
	return err
}

// planTable prints a plan for people: a line for each image, the reasons, the diffs.
func planTable(w io.Writer, p *plan.Plan) error {
	for _, problem := range p.Problems {
		printf(w, "problem: %s\n", problem)
	}

	if len(p.Applications) == 0 {
		_, err := fmt.Fprintf(w, "No Application has the annotation %simage-list.\n", spec.Prefix)
		return err
	}

	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	printf(table, "APPLICATION\tIMAGE\tACTION\tCURRENT\tNEW\tDELIVERY\n")
	for _, app := range p.Applications {
		if len(app.Images) == 0 {
			printf(table, "%s\t\t%s\t\t\t\n", app, plan.ActionError)
		}
		for _, img := range app.Images {
			printf(table, "%s\t%s\t%s\t%s\t%s\t%s\n",
				app, img.Label(), img.Action, orDash(img.Current), orDash(img.Candidate), deliveryName(img))
		}
	}

	if err := table.Flush(); err != nil {
		return err
	}

	printf(w, "\nWhy:\n")
	for _, app := range p.Applications {
		for _, problem := range app.Unsaid() {
			printf(w, "  %s: %s\n", app, problem)
		}
		for _, img := range app.Images {
			printf(w, "  %s %s: %s\n", app, img.Label(), img.Reason)
		}
	}

	for _, file := range p.Files {
		where := fmt.Sprintf("%s, branch %s", file.Repository, file.Branch)
		if file.Application != "" {
			where = "Application " + file.Application
		}
		printf(w, "\n%s:\n", where)
		_, _ = io.WriteString(w, escape.Text(file.Diff))
	}

	_, err := fmt.Fprintf(w, "\n%d to update, %d up to date, %d skipped, %d failed.\n",
		p.Count(plan.ActionUpdate), p.Count(plan.ActionUpToDate),
		p.Count(plan.ActionSkip), p.Count(plan.ActionError))
	return err
}

// deliveryName returns how an update is delivered.
func deliveryName(img plan.Image) string {
	switch {
	case img.Action == plan.ActionUpdate && img.Repository == "":
		return "change of " + img.File
	case img.Action != plan.ActionUpdate && img.Action != plan.ActionSkip || img.Branch == "":
		return "-"
	case img.Delivery == spec.DeliverPullRequest:
		return fmt.Sprintf("pull request to %s", img.Branch)
	}

	return "commit to " + img.Branch
}

func orDash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}
