package cli

import (
	"bytes"
	"strings"
	"testing"

	"sigs.k8s.io/yaml"

	"github.com/liverty-music/image-writeback/internal/plan"
)

// TestPlansMisleadNobody holds that characters which reorder a terminal's line are not
// printed as they are, and that the plan still holds them.
func TestPlansMisleadNobody(t *testing.T) {
	for _, file := range []string{"a.yaml", "a\u202e.yaml", "a\x1b[2J.yaml"} {
		want := plan.Plan{Files: []plan.FileDiff{{File: file}}}
		for name, print := range planOutputs {
			if name == "table" {
				continue
			}
			var out bytes.Buffer
			if err := print(&out, &want); err != nil {
				t.Fatal(err)
			}
			var got plan.Plan
			if err := yaml.Unmarshal(out.Bytes(), &got); err != nil || got.Files[0].File != file {
				t.Errorf("%s: %v, %q", name, err, got.Files)
			}
			if strings.ContainsAny(out.String(), "\u202e\x1b") {
				t.Errorf("%s: %q", name, out.String())
			}
		}
	}
}
