package spec

import (
	"os"
	"strings"
	"testing"

	"sigs.k8s.io/kustomize/kyaml/yaml"

	"github.com/liverty-music/image-writeback/internal/image"
)

// branchVector is a template of git-branch, and the name that it makes of two
// changes, or what its error says.
type branchVector struct {
	Template string `yaml:"template"`
	Makes    string `yaml:"makes"`
	Says     string `yaml:"says"`
}

func branchVectors(t testing.TB) []branchVector {
	t.Helper()
	data, err := os.ReadFile("../../testdata/spec/branchtemplates.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var vectors []branchVector
	if err := yaml.Unmarshal(data, &vectors); err != nil {
		t.Fatal(err)
	}

	return vectors
}

var branchChanges = []image.Change{
	{Image: "ghcr.io/o/server", Alias: "server", Old: image.ParseVersion("1.0"), New: image.ParseVersion("1.1")},
	{Image: "nginx", Alias: "web", Old: image.ParseVersion("1.26"), New: image.ParseVersion("1.27")},
}

// TestBranchTemplates holds what templates may use, and what they make.
func TestBranchTemplates(t *testing.T) {
	for _, v := range branchVectors(t) {
		t.Run(v.Template, func(t *testing.T) {
			parsed, err := ParseBranchTemplate(v.Template, "argocd", "shop")
			if v.Says != "" {
				if err == nil || !strings.Contains(err.Error(), v.Says) {
					t.Errorf("%v; want %q", err, v.Says)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if got, err := parsed.Branch("0a1b2c3d", branchChanges); err != nil || got != v.Makes {
				t.Errorf("%q, %v; want %q", got, err, v.Makes)
			}
		})
	}

	if _, err := ParseBranchTemplate("{{.SHA256}}"+strings.Repeat("a", 1024), "argocd", "shop"); err == nil ||
		!strings.Contains(err.Error(), "longer than 1024") {
		t.Errorf("a long template: %v", err)
	}
}

// FuzzBranchTemplate looks for a template that is accepted, and makes a text
// longer than its fields, or a name that git does not allow. The targets of
// fuzzing end a template that loops.
func FuzzBranchTemplate(f *testing.F) {
	for _, v := range branchVectors(f) {
		f.Add(v.Template)
	}
	f.Add("{{range 9223372036854775807}}{{end}}")

	var many []image.Change
	for range 100 {
		many = append(many, branchChanges...)
	}
	f.Fuzz(func(t *testing.T, text string) {
		parsed, err := ParseBranchTemplate(text, "argocd", "shop")
		if err != nil {
			return
		}
		allocated := testing.AllocsPerRun(1, func() {
			if name, err := parsed.Branch("0a1b2c3d", many); err == nil && !ValidBranch(name) {
				t.Errorf("%q makes %q", text, name)
			}
		})
		if allocated > 1_000_000 {
			t.Errorf("%q makes %.0f allocations", text, allocated)
		}
	})
}
