package install

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"sigs.k8s.io/yaml"

	"github.com/liverty-music/image-writeback/test/harness"
)

// TestExamplesAreValid validates the manifests that the guides refer to, and the
// configurations in the guides.
func TestExamplesAreValid(t *testing.T) {
	got := harness.Run(t, "validate", "../../config.yaml", "../../examples").MustEnd(t, 0)
	if !strings.Contains(got.Stderr, "configuration files: 1, Applications: 2, problems: 0") {
		t.Error(got.Stderr)
	}

	validateGuides(t)

	for name, args := range map[string][]string{
		"values.yaml": append([]string{"--values", "../../examples/values.yaml"}, threeValues...),
		"argocd-application.yaml": {"--values", harness.Write(t, filepath.Join(t.TempDir(), "values.yaml"),
			valuesOfApplication(t))},
	} {
		out, err := exec.Command("../../bin/helm",
			append([]string{"template", "image-writeback", chart, "--kube-version", "1.31.0", "--show-only",
				"templates/configmap.yaml"}, args...)...).CombinedOutput()
		if err != nil {
			t.Errorf("%s: %v\n%s", name, err, out)
			continue
		}

		var object struct{ Data map[string]string }
		if err := yaml.Unmarshal(out, &object); err != nil || !strings.Contains(object.Data["config.yaml"],
			"credentials: google") {
			t.Errorf("%s: %v\n%s", name, err, out)
		}
		harness.Run(t, "validate", harness.Write(t, filepath.Join(t.TempDir(), "config.yaml"),
			object.Data["config.yaml"])).MustEnd(t, 0)
	}
}

// validateGuides validates the configurations in docs/install.md and docs/events.md.
func validateGuides(t *testing.T) {
	t.Helper()
	_, rest, found := strings.Cut(harness.ReadFile(t, "../../docs/install.md"), "cat > my-config.yaml <<EOF\n")
	block, _, ended := strings.Cut(strings.ReplaceAll(rest, "$APP_ID", "12345"), "    EOF\n")
	if !found || !ended {
		t.Fatal("the guide has no my-config.yaml")
	}

	harness.Run(t, "validate", harness.Write(t, filepath.Join(t.TempDir(), "config.yaml"),
		strings.ReplaceAll("\n"+block, "\n    ", "\n"))).MustEnd(t, 0)

	blocks := strings.Split(harness.ReadFile(t, "../../docs/events.md"), "```yaml\n")[1:]
	for _, block := range blocks {
		block, _, _ = strings.Cut(block, "```")
		harness.Run(t, "validate", harness.Write(t, filepath.Join(t.TempDir(), "config.yaml"), block)).MustEnd(t, 0)
	}

	if len(blocks) < 4 {
		t.Errorf("docs/events.md has %d configurations", len(blocks))
	}
}

// valuesOfApplication are the values of the chart in the Application that installs it.
func valuesOfApplication(t *testing.T) string {
	t.Helper()
	var application struct {
		Spec struct {
			Source struct {
				Helm struct{ ValuesObject any }
			}
		}
	}

	if err := yaml.Unmarshal([]byte(harness.ReadFile(t,
		"../../examples/argocd-application.yaml")), &application); err != nil {
		t.Fatal(err)
	}

	values, err := yaml.Marshal(application.Spec.Source.Helm.ValuesObject)
	if err != nil {
		t.Fatal(err)
	}

	return string(values)
}

// TestGuideNamesWhatIsThere checks that the targets of the links in the guides exist.
func TestGuideNamesWhatIsThere(t *testing.T) {
	for _, guide := range []string{"README.md", "docs/install.md", "docs/migrating.md", "docs/architecture.md",
		"docs/events.md", "docs/pull-requests.md", "docs/performance.md"} {
		for _, part := range strings.Split(harness.ReadFile(t, "../../"+guide), "](")[1:] {
			target, _, _ := strings.Cut(part, ")")
			target, _, _ = strings.Cut(target, "#")
			if target == "" || strings.Contains(target, "://") {
				continue
			}
			if _, err := os.Stat(filepath.Join("../..", filepath.Dir(guide), target)); err != nil {
				t.Error(fmt.Errorf("%s: %w", guide, err))
			}
		}
	}
}
