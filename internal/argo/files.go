package argo

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"sigs.k8s.io/kustomize/kyaml/yaml"

	"github.com/liverty-music/image-writeback/internal/spec"
)

// Files is a source of Applications from manifests: files and folders, YAML or
// JSON, several documents to a file, and lists. Other kinds in them are passed
// over, so that the folder that Argo CD reads can be given as it is.
type Files struct {
	Paths     []string
	Selection Selection
	Defaults  Defaults
	// Namespace is for Applications that name none.
	Namespace string
}

// List reads all files anew. What is wrong with one is a Problem and does not
// keep the others from being read; the error is for a path that cannot be
// read at all.
func (f *Files) List(_ context.Context) ([]spec.Application, []spec.Problem, error) {
	var read reading
	for _, path := range f.Paths {
		files, err := manifests(path)
		if err != nil {
			return nil, nil, fmt.Errorf("reading Applications: %w", err)
		}
		for _, file := range files {
			read.readFile(file)
		}
	}
	apps, problems := f.take(&read), read.problems
	slices.SortStableFunc(apps, func(a, b spec.Application) int { return strings.Compare(a.String(), b.String()) })
	for i := 1; i < len(apps); i++ {
		if apps[i].String() == apps[i-1].String() {
			problems = append(problems, spec.Problem{Application: apps[i].String(), Where: apps[i].Origin,
				Expected: "the Application was read before, from " + apps[i-1].Origin, Remedy: "give each Application once"})
			apps = slices.Delete(apps, i, i+1)
			i--
		}
	}
	return apps, problems, nil
}

// reading collects what the files hold.
type reading struct {
	apps     []manifestApplication
	updaters []*ImageUpdater
	problems []spec.Problem
}

type manifestApplication struct {
	app  *Stored
	from origin
}

// take reads the selected Applications, once all resources are known that may
// speak of them.
func (f *Files) take(read *reading) []spec.Application {
	for _, u := range read.updaters {
		if u.Namespace == "" {
			u.Namespace = f.Namespace
		}
	}
	var apps []spec.Application
	for _, m := range read.apps {
		if m.app.Namespace == "" {
			m.app.Namespace = f.Namespace
		}
		if app, ok := f.Selection.read(m.app, read.updaters, f.Defaults, m.from); ok {
			app.Origin = fmt.Sprintf("%s:%d", m.from.file, m.from.lines[""])
			apps = append(apps, app)
		}
	}
	return apps
}

// manifests lists the files below path that can hold manifests, in order.
func manifests(path string) ([]string, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if !info.IsDir() {
		return []string{path}, nil
	}
	var files []string
	err = filepath.WalkDir(path, func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		switch filepath.Ext(p) {
		case ".yaml", ".yml", ".json":
			if !d.IsDir() {
				files = append(files, p)
			}
		}
		return nil
	})
	return files, err
}

func (r *reading) readFile(file string) {
	unreadable := func(err error) {
		r.problems = append(r.problems, spec.Problem{Where: file, Expected: "the file cannot be read: " + err.Error(), Remedy: "correct it; its Applications are left alone until then"})
	}
	data, err := os.ReadFile(file)
	if err != nil {
		unreadable(err)
		return
	}
	decoder := yaml.NewDecoder(bytes.NewReader(data))
	for {
		var doc yaml.Node
		err := decoder.Decode(&doc)
		if errors.Is(err, io.EOF) {
			return
		}
		if err != nil {
			unreadable(errors.New(strings.TrimPrefix(err.Error(), "yaml: ")))
			return
		}
		if len(doc.Content) == 1 {
			r.readManifest(file, doc.Content[0])
		}
	}
}

// readManifest reads one object, or the items of a list.
func (r *reading) readManifest(file string, node *yaml.Node) {
	get := func(n *yaml.Node, key string) *yaml.Node {
		if n != nil && n.Kind == yaml.MappingNode {
			for i := 0; i+1 < len(n.Content); i += 2 {
				if n.Content[i].Value == key {
					return n.Content[i+1]
				}
			}
		}
		return nil
	}
	text := func(n *yaml.Node) string {
		if n == nil {
			return ""
		}
		return n.Value
	}
	kind, version := text(get(node, "kind")), text(get(node, "apiVersion"))
	if items := get(node, "items"); items != nil && strings.HasSuffix(kind, "List") {
		for _, item := range items.Content {
			r.readManifest(file, item)
		}
		return
	}
	if kind == "ImageUpdater" && strings.HasPrefix(version, spec.Prefix) {
		r.readUpdater(file, node)
		return
	}
	if kind != "Application" || !strings.HasPrefix(version, "argoproj.io/") {
		return
	}
	lines := map[string]int{"": node.Line}
	name := text(get(get(node, "metadata"), "name"))
	if annotations := get(get(node, "metadata"), "annotations"); annotations != nil && annotations.Kind == yaml.MappingNode {
		for i := 0; i+1 < len(annotations.Content); i += 2 {
			key, value := annotations.Content[i], annotations.Content[i+1]
			lines[key.Value] = key.Line
			if value.Kind == yaml.ScalarNode && value.Tag != yaml.NodeTagString {
				r.problems = append(r.problems, spec.Problem{Application: name, Where: fmt.Sprintf("%s:%d", file, value.Line), Annotation: key.Value, Value: value.Value,
					Expected: "annotations are strings, and YAML reads this as something else", Remedy: "put quotes around the value"})
				value.Tag = yaml.NodeTagString
			}
		}
	}
	app, err := convert(node)
	if err != nil || name == "" {
		if err == nil {
			err = errors.New("metadata.name is missing")
		}
		r.problems = append(r.problems, spec.Problem{Application: name, Where: fmt.Sprintf("%s:%d", file, node.Line), Expected: "it is no Application: " + err.Error(), Remedy: "correct it; it is left alone until then"})
		return
	}
	r.apps = append(r.apps, manifestApplication{app, origin{file, lines}})
}

func (r *reading) readUpdater(file string, node *yaml.Node) {
	where := fmt.Sprintf("%s:%d", file, node.Line)
	var fields map[string]any
	err := node.Decode(&fields)
	var u *ImageUpdater
	if err == nil {
		u, err = imageUpdaterFrom(fields)
	}
	if err != nil {
		r.problems = append(r.problems, spec.Problem{Where: where, Expected: "it is no ImageUpdater: " + err.Error(), Remedy: "correct it; it is left alone until then"})
		return
	}
	u.where = where
	r.updaters = append(r.updaters, u)
}

func convert(node *yaml.Node) (*Stored, error) {
	var fields map[string]any
	if err := node.Decode(&fields); err != nil {
		return nil, err
	}
	return fromFields(fields)
}

// fromFields goes through JSON, by which the fields are named.
func fromFields(fields map[string]any) (*Stored, error) {
	data, err := json.Marshal(fields)
	if err != nil {
		return nil, err
	}
	var app Stored
	if err := json.Unmarshal(data, &app); err != nil {
		return nil, err
	}
	return &app, nil
}
