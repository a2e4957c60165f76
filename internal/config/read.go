package config

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/agnivade/levenshtein"
	"sigs.k8s.io/kustomize/kyaml/yaml"
)

// Problem is something in config.yaml that must be put right.
type Problem struct {
	File    string
	Line    int // 0: not about one line
	Message string
}

// Error is "file:line: message".
func (p Problem) Error() string {
	if p.Line == 0 {
		return fmt.Sprintf("%s: %s", p.File, p.Message)
	}
	return fmt.Sprintf("%s:%d: %s", p.File, p.Line, p.Message)
}

// ReadFile reads and checks a file. The problems are all that were found; the
// configuration is of use only where there are none. The error is for a file
// that cannot be read.
func ReadFile(file string) (Config, []Problem, error) {
	data, err := os.ReadFile(file)
	if err != nil {
		return Config{}, nil, fmt.Errorf("reading the configuration: %w", err)
	}
	c, problems := Read(file, data)
	return c, problems, nil
}

// Read reads and checks data; file is its name for messages.
func Read(file string, data []byte) (Config, []Problem) {
	c := Default()
	var doc yaml.Node
	decoder := yaml.NewDecoder(bytes.NewReader(data))
	if err := decoder.Decode(&doc); err != nil {
		if errors.Is(err, io.EOF) {
			return c, nil
		}
		return c, []Problem{problemOf(file, err.Error())}
	}
	if len(doc.Content) == 0 || doc.Content[0].Tag == yaml.NodeTagNull {
		return c, nil
	}
	root := doc.Content[0]
	var problems []Problem
	lines := map[string]int{}
	check(file, "", root, reflect.TypeOf(c), &problems, lines)
	if err := decoder.Decode(new(yaml.Node)); !errors.Is(err, io.EOF) {
		problems = append(problems, Problem{File: file, Message: "there is more than one document; write one"})
	}
	if len(problems) > 0 {
		return c, problems
	}
	if err := root.Decode(&c); err != nil {
		var kinds *yaml.TypeError
		if !errors.As(err, &kinds) {
			return c, []Problem{problemOf(file, err.Error())}
		}
		for _, e := range kinds.Errors {
			problems = append(problems, problemOf(file, e))
		}
		return c, problems
	}
	for _, p := range c.problems() {
		problems = append(problems, Problem{File: file, Line: lines[p.key], Message: p.key + ": " + p.message})
	}
	return c, problems
}

// ReadRegistries reads a registries.conf of Argo CD Image Updater: a file that
// has registries: alone. A registry without prefix is Docker Hub, as there.
func ReadRegistries(file string) ([]Registry, []Problem, error) {
	data, err := os.ReadFile(file)
	if err != nil {
		return nil, nil, fmt.Errorf("reading the registries: %w", err)
	}
	var keys map[string]any
	if err := yaml.Unmarshal(data, &keys); err == nil {
		for key := range keys {
			if key != "registries" {
				return nil, []Problem{{File: file, Message: fmt.Sprintf("unknown key %s; registries: is all that it has", key)}}, nil
			}
		}
	}
	c, problems := Read(file, data)
	var left []Problem
	for _, p := range problems {
		if !strings.Contains(p.Message, "prefix is missing") {
			left = append(left, p)
		}
	}
	for i := range c.Registries {
		if c.Registries[i].Prefix == "" {
			c.Registries[i].Prefix = "docker.io"
		}
	}
	return c.Registries, left, nil
}

var lineOf = regexp.MustCompile(`^(?:yaml: )?(?:unmarshal errors:\s*)?line (\d+): (.*)$`)

// problemOf takes the line out of one of the YAML parser's messages.
func problemOf(file, message string) Problem {
	message = strings.TrimSpace(message)
	if m := lineOf.FindStringSubmatch(message); m != nil {
		line, _ := strconv.Atoi(m[1])
		return Problem{File: file, Line: line, Message: words(m[2])}
	}
	return Problem{File: file, Message: words(strings.TrimPrefix(message, "yaml: "))}
}

var unmarshal = regexp.MustCompile("^cannot unmarshal !!(\\w+)(?: `(.*)`)? into (.*)$")

// words replaces Go's types by what a person would write.
func words(message string) string {
	m := unmarshal.FindStringSubmatch(message)
	if m == nil {
		return message
	}
	expected := map[string]string{"string": "a string", "int": "a whole number", "int64": "a whole number", "bool": "true or false", "[]string": "a list of strings"}[m[3]]
	if expected == "" {
		expected = "other fields"
	}
	got := map[string]string{"str": "a string", "int": "a number", "seq": "a list", "map": "a map", "bool": "true or false"}[m[1]]
	if m[2] != "" {
		got = strconv.Quote(m[2])
	}
	return fmt.Sprintf("%s is expected here, not %s", expected, got)
}

// check compares keys with the fields of a type, and notes the lines of keys.
func check(file, path string, node *yaml.Node, t reflect.Type, problems *[]Problem, lines map[string]int) {
	lines[path] = node.Line
	switch {
	case t.Kind() == reflect.Slice && node.Kind == yaml.SequenceNode:
		for i, item := range node.Content {
			check(file, fmt.Sprintf("%s[%d]", path, i), item, t.Elem(), problems, lines)
		}
	case t.Kind() == reflect.Struct && node.Kind == yaml.MappingNode:
		known := map[string]reflect.Type{}
		var names []string
		for i := range t.NumField() {
			name := t.Field(i).Tag.Get("yaml")
			if name == "-" { // no key
				continue
			}
			known[name] = t.Field(i).Type
			names = append(names, name)
		}
		seen := map[string]bool{}
		for i := 0; i+1 < len(node.Content); i += 2 {
			key, value := node.Content[i], node.Content[i+1]
			field, ok := known[key.Value]
			switch {
			case !ok:
				*problems = append(*problems, Problem{file, key.Line, fmt.Sprintf("unknown key %s; did you mean %s?", join(path, key.Value), nearest(key.Value, names))})
				continue
			case seen[key.Value]:
				*problems = append(*problems, Problem{file, key.Line, fmt.Sprintf("%s is given twice", join(path, key.Value))})
				continue
			}
			seen[key.Value] = true
			check(file, join(path, key.Value), value, field, problems, lines)
		}
	}
}

func join(path, key string) string {
	if path == "" {
		return key
	}
	return path + "." + key
}

func nearest(name string, known []string) string {
	return slices.MinFunc(known, func(a, b string) int {
		return levenshtein.ComputeDistance(strings.ToLower(name), strings.ToLower(a)) - levenshtein.ComputeDistance(strings.ToLower(name), strings.ToLower(b))
	})
}
