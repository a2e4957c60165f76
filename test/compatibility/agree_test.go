package compatibility

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"sigs.k8s.io/kustomize/kyaml/yaml"

	"github.com/liverty-music/image-writeback/test/harness"
)

// agree has the real tool read a vector's file before and after: kustomize for
// a kustomization or a list of images, Helm for values or parameters. All that
// may differ are texts that the vector's plan names.
func agree(t *testing.T, v vector, after string) {
	t.Helper()
	render := helmTemplate
	if strings.HasPrefix(strings.ToLower(path.Base(v.File)), "kustomization") ||
		strings.Contains(after, "kustomize:") {
		render = kustomizeBuild
	}

	was, is := leaves(t, render(t, v, v.Before)), leaves(t, render(t, v, after))
	differing := 0
	for _, at := range slices.Sorted(maps.Keys(is)) {
		if was[at] == is[at] {
			continue
		}
		differing++
		if !slices.ContainsFunc(v.Plan, func(line string) bool { return named(line, is[at]) }) {
			t.Errorf("at %s the tool shows %q, was %q, which no line of the plan names", at, is[at], was[at])
		}
	}

	for at := range was {
		if _, ok := is[at]; !ok {
			t.Errorf("%s is gone", at)
		}
	}

	if differing == 0 {
		t.Errorf("the tool shows no difference:\n%s", after)
	}
}

// named reports whether a line of a plan names a text: a version, an image, or both.
func named(line, shown string) bool {
	_, candidate, ok := strings.Cut(line, " -> ")
	return ok && (strings.HasSuffix(shown, candidate) || !strings.ContainsAny(shown, ":@") ||
		strings.HasPrefix(shown, watchedRegistry))
}

func tool(t *testing.T, dir, name string, args ...string) string {
	t.Helper()
	program, err := filepath.Abs("../../bin/" + name)
	if err != nil {
		t.Fatal(err)
	}

	command := exec.Command(program, args...)
	command.Dir = dir
	command.Env = append(os.Environ(), "HOME="+dir)
	var stderr bytes.Buffer
	command.Stderr = &stderr
	out, err := command.Output()
	if err != nil {
		t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, stderr.String())
	}

	return string(out)
}

func kustomizeBuild(t *testing.T, v vector, content string) string {
	t.Helper()
	dir := t.TempDir()
	if !strings.HasPrefix(strings.ToLower(path.Base(v.File)), "kustomization") {
		harness.Write(t, filepath.Join(dir, "kustomization.yaml"), "resources: [deployment.yaml]\n")
		harness.Write(t, filepath.Join(dir, "deployment.yaml"), deploymentOf(v.Tags))
		var overrides struct {
			Kustomize struct {
				Images []string `yaml:"images"`
			} `yaml:"kustomize"`
		}
		if err := yaml.Unmarshal([]byte(content), &overrides); err != nil {
			t.Fatal(err)
		}
		for _, image := range overrides.Kustomize.Images {
			tool(t, dir, "kustomize", "edit", "set", "image", image)
		}
		return tool(t, dir, "kustomize", "build", dir)
	}

	for file, text := range v.Files {
		harness.Write(t, filepath.Join(dir, file), text)
	}

	harness.Write(t, filepath.Join(dir, v.File), content)
	folder := filepath.Dir(filepath.Join(dir, v.File))
	harness.Write(t, filepath.Join(folder, "deployment.yaml"), deploymentOf(v.Tags))

	return tool(t, folder, "kustomize", "build", folder)
}

// helmTemplate shows all values, as a chart sees them.
func helmTemplate(t *testing.T, v vector, content string) string {
	t.Helper()
	dir := t.TempDir()
	harness.Write(t, filepath.Join(dir, "Chart.yaml"), "apiVersion: v2\nname: chart\nversion: 1.0.0\n")
	harness.Write(t, filepath.Join(dir, "templates", "all.yaml"), "values:\n{{ toYaml .Values | indent 2 }}\n")
	if !strings.Contains(path.Base(v.File), ".argocd-source") {
		return tool(t, dir, "helm", "template", "r", dir, "--values",
			harness.Write(t, filepath.Join(dir, "v.yaml"), content))
	}

	var overrides struct {
		Helm struct {
			Parameters []struct {
				Name  string `yaml:"name"`
				Value string `yaml:"value"`
			} `yaml:"parameters"`
		} `yaml:"helm"`
	}

	if err := yaml.Unmarshal([]byte(content), &overrides); err != nil {
		t.Fatal(err)
	}

	args := []string{"template", "r", dir}
	for _, p := range overrides.Helm.Parameters {
		args = append(args, "--set-string", p.Name+"="+p.Value)
	}

	return tool(t, dir, "helm", args...)
}

// leaves are all plain values of all documents, by their path.
func leaves(t *testing.T, text string) map[string]string {
	t.Helper()
	found := map[string]string{}
	decoder := yaml.NewDecoder(strings.NewReader(text))
	for i := 0; ; i++ {
		var doc any
		err := decoder.Decode(&doc)
		if errors.Is(err, io.EOF) {
			return found
		}
		if err != nil {
			t.Fatal(err)
		}
		collect(fmt.Sprint(i), doc, found)
	}
}

func collect(at string, value any, found map[string]string) {
	switch value := value.(type) {
	case map[string]any:
		for key, child := range value {
			collect(at+"."+key, child, found)
		}
	case []any:
		for i, child := range value {
			collect(fmt.Sprintf("%s[%d]", at, i), child, found)
		}
	case nil:
	case string:
		found[at] = value
	default:
		found[at] = fmt.Sprintf("%T %v", value, value)
	}
}
