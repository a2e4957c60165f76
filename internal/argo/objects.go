package argo

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/argoproj/argo-cd/v2/pkg/apis/application"
	"sigs.k8s.io/kustomize/kyaml/yaml"

	"github.com/liverty-music/image-writeback/internal/spec"
)

// imageUpdaterKind is the kind of the resources of Argo CD Image Updater.
const imageUpdaterKind = "ImageUpdater"

// readObject reads one object, or the items of a list. Other kinds are skipped.
func (m *manifests) readObject(file string, node *yaml.Node) {
	kind, version := text(field(node, "kind")), text(field(node, "apiVersion"))
	items := field(node, "items")

	switch {
	case items != nil && strings.HasSuffix(kind, "List"):
		for _, item := range items.Content {
			m.readObject(file, item)
		}
	case kind == imageUpdaterKind && strings.HasPrefix(version, spec.Prefix):
		m.readUpdater(file, node)
	case kind == application.ApplicationKind && strings.HasPrefix(version, application.Group+"/"):
		m.readApplication(file, node)
	case kind == application.AppProjectKind && strings.HasPrefix(version, application.Group+"/"):
		m.readProject(file, node)
	case kind == "ConfigMap" && text(field(field(node, "metadata"), "name")) == "argocd-cm":
		m.globals = text(field(field(node, "data"), "globalProjects"))
	}
}

// field returns a field of a map; nil if there is none.
func field(n *yaml.Node, key string) *yaml.Node {
	if n == nil || n.Kind != yaml.MappingNode {
		return nil
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		if n.Content[i].Value == key {
			return n.Content[i+1]
		}
	}

	return nil
}

func text(n *yaml.Node) string {
	if n == nil {
		return ""
	}

	return n.Value
}

// readApplication reads an Application, and the lines of its annotations.
func (m *manifests) readApplication(file string, node *yaml.Node) {
	name := text(field(field(node, "metadata"), "name"))
	from := origin{file: file, lines: map[string]int{"": node.Line}}
	m.readLines(name, from, field(field(node, "metadata"), "annotations"))

	app, err := storedFrom[Stored](node)
	if err == nil && name == "" {
		err = errors.New("metadata.name is missing")
	}
	if err != nil {
		m.problems = append(m.problems, spec.Problem{
			Application: name,
			Where:       fmt.Sprintf("%s:%d", file, node.Line),
			Expected:    "the Application is not valid: " + err.Error(),
			Remedy:      "correct it; it is ignored until then",
		})
		return
	}

	m.apps = append(m.apps, candidate{app, from})
}

// readLines records the lines of annotations. A value that is not a string, such
// as true without quotes, is a problem, and is read as a string.
func (m *manifests) readLines(name string, from origin, annotations *yaml.Node) {
	if annotations == nil || annotations.Kind != yaml.MappingNode {
		return
	}

	for i := 0; i+1 < len(annotations.Content); i += 2 {
		key, value := annotations.Content[i], annotations.Content[i+1]
		from.lines[key.Value] = key.Line
		if value.Kind != yaml.ScalarNode || value.Tag == yaml.NodeTagString {
			continue
		}

		m.problems = append(m.problems, spec.Problem{
			Application: name,
			Where:       fmt.Sprintf("%s:%d", from.file, value.Line),
			Annotation:  key.Value,
			Value:       value.Value,
			Expected:    "annotations must be strings, but YAML reads this value as another type",
			Remedy:      "put quotes around the value",
		})
		value.Tag = yaml.NodeTagString
	}
}

// readUpdater reads an ImageUpdater.
func (m *manifests) readUpdater(file string, node *yaml.Node) {
	where := fmt.Sprintf("%s:%d", file, node.Line)

	var fields map[string]any
	err := node.Decode(&fields)
	var u *ImageUpdater
	if err == nil {
		u, err = imageUpdaterFrom(fields)
	}
	if err != nil {
		m.problems = append(m.problems, spec.Problem{
			Where:    where,
			Expected: "the ImageUpdater is not valid: " + err.Error(),
			Remedy:   "correct it; it is ignored until then",
		})
		return
	}

	u.where = where
	m.updaters = append(m.updaters, u)
}

// readProject reads an AppProject.
func (m *manifests) readProject(file string, node *yaml.Node) {
	project, err := storedFrom[StoredProject](node)
	if err == nil && project.Name == "" {
		err = errors.New("metadata.name is missing")
	}
	if err != nil {
		m.problems = append(m.problems, spec.Problem{
			Where:    fmt.Sprintf("%s:%d", file, node.Line),
			Expected: "the AppProject is not valid: " + err.Error(),
			Remedy:   "correct it; its Applications are not updated until then",
		})
		return
	}

	m.projects = append(m.projects, project)
}

// storedFrom reads an object by way of JSON, which names its fields.
func storedFrom[T any](node *yaml.Node) (*T, error) {
	var fields map[string]any
	if err := node.Decode(&fields); err != nil {
		return nil, err
	}

	data, err := json.Marshal(fields)
	if err != nil {
		return nil, err
	}

	var object T
	if err := json.Unmarshal(data, &object); err != nil {
		return nil, err
	}

	return &object, nil
}
