package config

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"reflect"
	"regexp"
	"strconv"
	"strings"

	"sigs.k8s.io/kustomize/kyaml/yaml"

	"github.com/liverty-music/image-writeback/internal/suggest"
)

// Problem is something in config.yaml that must be fixed.
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

// ReadFile reads and checks a file. It returns all problems that it finds; the
// configuration is valid only if there are none. The error means that the file
// cannot be read.
func ReadFile(file string) (Config, []Problem, error) {
	data, err := os.ReadFile(file)
	if err != nil {
		return Config{}, nil, fmt.Errorf("reading the configuration: %w", err)
	}

	c, problems := Read(file, data)

	return c, problems, nil
}

// Read reads and checks data, as [ReadFile] does; file is its name in messages.
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
	keys := keyCheck{file: file, lines: map[string]int{}}
	keys.check("", root, reflect.TypeOf(c))
	if err := decoder.Decode(new(yaml.Node)); !errors.Is(err, io.EOF) {
		keys.add(0, "more than one YAML document; only one is allowed")
	}
	if len(keys.problems) > 0 {
		return c, keys.problems
	}

	if err := root.Decode(&c); err != nil {
		return c, typeProblems(file, err)
	}

	var problems []Problem
	for _, p := range c.problems() {
		problems = append(problems, Problem{File: file, Line: keys.lines[p.key], Message: p.key + ": " + p.message})
	}

	return c, problems
}

// ReadRegistries reads a registries.conf of Argo CD Image Updater: a file with
// the key registries alone. As there, a registry without prefix is Docker Hub.
func ReadRegistries(file string) ([]Registry, []Problem, error) {
	data, err := os.ReadFile(file)
	if err != nil {
		return nil, nil, fmt.Errorf("reading the registries: %w", err)
	}

	var keys map[string]any
	if err := yaml.Unmarshal(data, &keys); err == nil {
		for key := range keys {
			if key != "registries" {
				message := fmt.Sprintf("unknown key %s; only registries is allowed in this file", key)
				return nil, []Problem{{File: file, Message: message}}, nil
			}
		}
	}

	c, problems := Read(file, data)
	var others []Problem
	for _, p := range problems {
		if !strings.HasSuffix(p.Message, noPrefix) {
			others = append(others, p)
		}
	}
	for i := range c.Registries {
		if c.Registries[i].Prefix == "" {
			c.Registries[i].Prefix = "docker.io"
		}
	}

	return c.Registries, others, nil
}

// typeProblems are the messages of the YAML decoder about values of the wrong
// type.
func typeProblems(file string, err error) []Problem {
	var wrong *yaml.TypeError
	if !errors.As(err, &wrong) {
		return []Problem{problemOf(file, err.Error())}
	}

	var problems []Problem
	for _, message := range wrong.Errors {
		problems = append(problems, problemOf(file, message))
	}

	return problems
}

var lineOf = regexp.MustCompile(`^(?:yaml: )?(?:unmarshal errors:\s*)?line (\d+): (.*)$`)

// problemOf separates the line from a message of the YAML decoder.
func problemOf(file, message string) Problem {
	message = strings.TrimSpace(message)
	if m := lineOf.FindStringSubmatch(message); m != nil {
		line, _ := strconv.Atoi(m[1])
		return Problem{File: file, Line: line, Message: plain(m[2])}
	}

	return Problem{File: file, Message: plain(strings.TrimPrefix(message, "yaml: "))}
}

var unmarshal = regexp.MustCompile("^cannot unmarshal !!(\\w+)(?: `(.*)`)? into (.*)$")

// plain replaces the names of Go's and YAML's types in a message of the decoder.
func plain(message string) string {
	m := unmarshal.FindStringSubmatch(message)
	if m == nil {
		return message
	}

	got := map[string]string{
		"str": "a string", "int": "a number", "seq": "a list", "map": "a map", "bool": "true or false",
	}[m[1]]
	if m[2] != "" {
		got = strconv.Quote(m[2])
	}

	return fmt.Sprintf("expected %s, not %s", expected(m[3]), got)
}

// expected describes a Go type.
func expected(goType string) string {
	switch goType {
	case "string":
		return "a string"
	case "int", "int64":
		return "a whole number"
	case "bool":
		return "true or false"
	case "[]string":
		return "a list of strings"
	}
	if strings.HasPrefix(goType, "[]") {
		return "a list"
	}

	return "a map"
}

// keyCheck compares the keys of a document with the fields of a type.
type keyCheck struct {
	file     string
	problems []Problem
	lines    map[string]int // of each key, by its path
}

func (k *keyCheck) add(line int, format string, args ...any) {
	k.problems = append(k.problems, Problem{File: k.file, Line: line, Message: fmt.Sprintf(format, args...)})
}

func (k *keyCheck) check(path string, node *yaml.Node, t reflect.Type) {
	k.lines[path] = node.Line

	switch {
	case t.Kind() == reflect.Slice && node.Kind == yaml.SequenceNode:
		for i, item := range node.Content {
			k.check(fmt.Sprintf("%s[%d]", path, i), item, t.Elem())
		}
	case t.Kind() == reflect.Struct && node.Kind == yaml.MappingNode:
		k.checkFields(path, node, t)
	}
}

func (k *keyCheck) checkFields(path string, node *yaml.Node, t reflect.Type) {
	fields := map[string]reflect.Type{}
	var names []string
	for i := range t.NumField() {
		name := t.Field(i).Tag.Get("yaml")
		if name == "-" { // not a key
			continue
		}
		fields[name] = t.Field(i).Type
		names = append(names, name)
	}

	set := map[string]bool{}
	for i := 0; i+1 < len(node.Content); i += 2 {
		key, value := node.Content[i], node.Content[i+1]
		name := join(path, key.Value)
		field, known := fields[key.Value]

		switch {
		case !known:
			k.add(key.Line, "unknown key %s%s", name, hint(key.Value, names))
		case set[key.Value]:
			k.add(key.Line, "%s is set twice", name)
		default:
			set[key.Value] = true
			k.check(name, value, field)
		}
	}
}

func join(path, key string) string {
	if path == "" {
		return key
	}

	return path + "." + key
}

// hint names the key that was probably meant, if one is similar.
func hint(name string, known []string) string {
	nearest := suggest.Nearest(name, known)
	if nearest == "" {
		return ""
	}

	return fmt.Sprintf("; did you mean %s?", nearest)
}
