package manifest

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"sigs.k8s.io/kustomize/kyaml/yaml"
)

// refused are the pairs that kustomize refuses before the edit, or that cannot
// be a component: because of files that it needs, a field of its own, a number
// for a tag, comments alone, or several documents.
var refused = []string{"long", "unicode", "number-becomes-string", "comments-alone", "several-documents"}

// TestKustomizeAgrees builds each pair of files with kustomize: the pods run the
// version that was asked for, and nothing else changes. A pair is built as a
// component, so that it needs no resources of its own.
func TestKustomizeAgrees(t *testing.T) {
	built := 0
	for _, v := range readVectors(t) {
		t.Run(v.Name, func(t *testing.T) {
			before, errBefore := build(t, v, readVector(t, v.Name+".before.yaml"))
			after, err := build(t, v, readVector(t, v.Name+".after.yaml"))
			if slices.Contains(refused, v.Name) {
				if errBefore == "" {
					t.Error("kustomize accepts it now: compare it")
				}
				return
			}
			if errBefore != "" || err != "" {
				t.Fatalf("%s\n%s", errBefore, err)
			}
			built++
			for i, e := range v.images() {
				was, is := containers(t, before)[i], containers(t, after)[i]
				want := e.NewTag
				if e.Digest != "" {
					want = "@" + e.Digest
				}
				if !strings.HasSuffix(is, want) {
					t.Errorf("the pod of %s ran %s and runs %s now, want %s", e.Name, was, is, want)
				}
				after = strings.ReplaceAll(after, "image: "+is, "image: "+was)
			}
			if after != before {
				t.Errorf("more than the image changed:\n%s\nwas\n%s", after, before)
			}
		})
	}
	if built < 60 {
		t.Errorf("%d pairs were built", built)
	}
}

// build builds a pod with the images of a vector, with content as a component.
// The problem is what kustomize printed where it failed.
func build(t *testing.T, v editVector, content []byte) (out, problem string) {
	t.Helper()
	dir := t.TempDir()
	writeFile(t, filepath.Join(dir, "pod.yaml"), podOf(v, content))
	writeFile(t, filepath.Join(dir, "kustomization.yaml"), "resources: [pod.yaml]\ncomponents: [k/overlays/part]\n")

	part := filepath.Join(dir, "k/overlays/part")
	component := strings.NewReplacer("kind: Kustomization", "kind: Component",
		`"kind": "Kustomization"`, `"kind": "Component"`,
		"kustomize.config.k8s.io/v1beta1", "kustomize.config.k8s.io/v1alpha1").Replace(string(content))
	writeFile(t, filepath.Join(part, "kustomization.yaml"), component)
	writeStubs(t, part, []byte(component))

	program, err := filepath.Abs("../../bin/kustomize")
	if err != nil {
		t.Fatal(err)
	}
	command := exec.Command(program, "build", dir)
	var stderr bytes.Buffer
	command.Stderr = &stderr
	data, err := command.Output()
	if err != nil {
		return "", err.Error() + ": " + stderr.String()
	}
	return string(data), ""
}

// podOf is a pod with the images of a vector, in the spelling that the file has.
func podOf(v editVector, content []byte) string {
	var pod strings.Builder
	pod.WriteString("apiVersion: v1\nkind: Pod\nmetadata: {name: edited}\nspec:\n  containers:\n")
	for _, e := range v.images() {
		name := e.Name
		if entry, found, err := readKustomizeImage(content, e.Name); err == nil && found {
			name = entry.Name
		}
		pod.WriteString("  - {name: c, image: " + name + "}\n")
	}
	return pod.String()
}

// writeStubs writes the resources and patches that a component names.
func writeStubs(t *testing.T, part string, component []byte) {
	t.Helper()
	var fields struct {
		Resources []string `yaml:"resources"`
		Patches   []struct {
			Path string `yaml:"path"`
		} `yaml:"patches"`
	}
	if err := yaml.Unmarshal(component, &fields); err != nil {
		t.Fatal(err)
	}

	for i, resource := range fields.Resources {
		stub := "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: stub" + strings.Repeat("x", i) + "}\n"
		if filepath.Ext(resource) == "" {
			writeFile(t, filepath.Join(part, resource, "stub.yaml"), stub)
			resource, stub = filepath.Join(resource, "kustomization.yaml"), "resources: [stub.yaml]\n"
		}
		writeFile(t, filepath.Join(part, resource), stub)
	}

	const patched = "apiVersion: v1\nkind: Pod\nmetadata: {name: edited, labels: {patched: \"yes\"}}\n"
	for _, patch := range fields.Patches {
		if patch.Path != "" {
			writeFile(t, filepath.Join(part, patch.Path), patched)
		}
	}
}

func writeFile(t *testing.T, file, content string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(file), 0o750); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}

// containers are the images of the pod, in order.
func containers(t *testing.T, manifests string) []string {
	t.Helper()
	for document := range strings.SplitSeq(manifests, "---\n") {
		var pod struct {
			Kind string `yaml:"kind"`
			Spec struct {
				Containers []struct {
					Image string `yaml:"image"`
				} `yaml:"containers"`
			} `yaml:"spec"`
		}
		if err := yaml.Unmarshal([]byte(document), &pod); err != nil {
			t.Fatal(err)
		}
		if pod.Kind == "Pod" {
			var images []string
			for _, c := range pod.Spec.Containers {
				images = append(images, c.Image)
			}
			return images
		}
	}
	t.Fatalf("there is no pod in\n%s", manifests)
	return nil
}
