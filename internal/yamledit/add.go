package yamledit

import (
	"bytes"
	"errors"
	"fmt"
	"strings"

	"sigs.k8s.io/kustomize/kyaml/yaml"
)

// AddField adds a field to a map, behind the fields that it has. A nil map is
// an empty document.
func (f *File) AddField(mapping *yaml.Node, field Field) (Splice, error) {
	one := Value{Fields: []Field{field}}
	switch {
	case mapping == nil:
		return f.insertLines(len(f.text), f.block(one, "", f.step())...), nil
	case isFlow(mapping):
		return f.appendToFlow(mapping, f.inlineContent(one, firstKeyStyle(mapping)))
	}

	lines := f.block(one, margin(mapping), f.step())
	if f.isRoot(mapping) {
		if f.keysSetOff(mapping) {
			lines = append([]string{""}, lines...)
		}
		return f.insertLines(f.documentEnd(mapping), lines...), nil
	}
	return f.insertLines(f.lineEnd(f.lastByte(mapping)), lines...), nil
}

// AddFieldAfter adds a field with a plain value to a map, behind the value
// after: on a line of its own, or within the braces of an inline map.
func (f *File) AddFieldAfter(mapping, after *yaml.Node, key, value string) ([]Splice, error) {
	_, end, err := f.valueSpan(after)
	if err != nil {
		return nil, err
	}

	written := scalar(value, after.Style, f.quote())
	if isFlow(mapping) {
		return []Splice{{end, end, ", " + scalar(key, firstKeyStyle(mapping), '"') + ": " + written}}, nil
	}
	return []Splice{f.insertLines(f.lineEnd(end), margin(mapping)+key+": "+written)}, nil
}

// AddItems adds items to the list at a path of keys: behind the items that it
// has, into an empty list, or into a new one, with the maps on the way. A nil
// root is an empty document.
func (f *File) AddItems(root *yaml.Node, path []string, items []Value) ([]Splice, error) {
	mapping, value := root, Value{Items: items}
	for i, name := range path {
		rest := path[i+1:]
		want := yaml.MappingNode
		if len(rest) == 0 {
			want = yaml.SequenceNode
		}

		key, node := Lookup(mapping, name)
		switch {
		case key == nil:
			one, err := f.AddField(mapping, Field{name, nested(rest, value)})
			return []Splice{one}, err
		case isNull(node), node.Kind == want && len(node.Content) == 0:
			return f.fill(mapping, key, node, nested(rest, value))
		case node.Kind != want:
			return nil, fmt.Errorf("line %d: %s: expected a %s", node.Line, name, kindOf(&yaml.Node{Kind: want}))
		case len(rest) == 0:
			one, err := f.appendItems(node, items)
			return []Splice{one}, err
		}
		mapping = node
	}
	return nil, errors.New("the path is empty")
}

// appendItems puts items behind those that a list has, with the same dash.
func (f *File) appendItems(list *yaml.Node, items []Value) (Splice, error) {
	if isFlow(list) {
		return f.appendToFlow(list, f.inlineContent(Value{Items: items}, innerStyle(list)))
	}

	// kyaml places a block list at its first dash.
	marker := "- "
	first := list.Content[0]
	if first.Line == list.Line && first.Anchor == "" && first.Kind == yaml.MappingNode && !isFlow(first) {
		marker = string(f.text[f.offset(list):f.offset(first)])
	}

	var lines []string
	for _, item := range items {
		lines = append(lines, f.blockItem(item, strings.Repeat(" ", list.Column-1), marker, f.step())...)
	}
	return f.insertLines(f.lineEnd(f.lastByte(list)), lines...), nil
}

// appendToFlow puts text behind the last item of an inline list or map.
func (f *File) appendToFlow(flow *yaml.Node, text string) (Splice, error) {
	if !isFlow(flow) {
		return Splice{}, fmt.Errorf("line %d: expected an inline list", flow.Line)
	}
	open := f.offset(flow)
	if len(flow.Content) == 0 {
		return Splice{open + 1, open + 1, text}, nil
	}

	last := flow.Content[len(flow.Content)-1]
	item := last
	if flow.Kind == yaml.MappingNode {
		item = flow.Content[len(flow.Content)-2]
	}

	// Items that stand on lines of their own keep doing so.
	separator := ", "
	start := f.lineStart(f.offset(item))
	indent := f.text[start:f.offset(item)]
	if len(bytes.TrimSpace(indent)) == 0 && item.Line != flow.Line {
		separator = "," + f.eol + string(indent)
	}

	at := f.lastByte(last)
	return Splice{at, at, separator + text}, nil
}

// fill gives a value to a key that has none, or an empty map or list.
func (f *File) fill(parent, key, node *yaml.Node, v Value) ([]Splice, error) {
	if isFlow(parent) || node.Kind != yaml.ScalarNode && node.Line != key.Line {
		return f.fillInline(parent, key, node, v)
	}

	// Take away what stands behind the key, such as null or {}.
	start, end := f.offset(node), f.offset(node)
	if node.Kind == yaml.ScalarNode {
		end += len(node.Value) // null or ~
	} else {
		end = f.closing(start + 1)
	}
	for start > 0 && f.text[start-1] == ' ' && end > start {
		start--
	}

	indent := margin(parent) + f.step()
	if len(v.Items) > 0 {
		indent = margin(parent) + f.listStep()
	}
	lines := f.insertLines(f.lineEnd(end), f.block(v, indent, f.step())...)
	if start == end {
		return []Splice{lines}, nil
	}
	return []Splice{{start, end, ""}, lines}, nil
}

// fillInline is fill within braces or brackets.
func (f *File) fillInline(parent, key, node *yaml.Node, v Value) ([]Splice, error) {
	if node.Kind != yaml.ScalarNode {
		one, err := f.appendToFlow(node, f.inlineContent(v, firstKeyStyle(parent)))
		return []Splice{one}, err
	}

	start, end, err := f.valueSpan(node)
	if err == nil && start == end {
		return nil, fmt.Errorf("line %d: %s has no value within braces; write {}", key.Line, key.Value)
	}
	return []Splice{{start, end, f.inline(v, firstKeyStyle(parent))}}, err
}

// RemoveField removes a key and its value from a map: the line, or the part of
// an inline map.
func (f *File) RemoveField(mapping, key, value *yaml.Node) ([]Splice, error) {
	start := f.offset(key)
	_, end, err := f.valueSpan(value)
	if err != nil {
		return nil, err
	}

	first := mapping.Content[0] == key
	if first && len(mapping.Content) == 2 {
		return nil, errors.New("the entry holds nothing else")
	}
	if first { // The next key moves up to where this one began.
		return []Splice{{start, f.offset(mapping.Content[2]), ""}}, nil
	}
	if isFlow(mapping) {
		comma := bytes.LastIndexByte(f.text[:start], ',')
		return []Splice{{comma, end, ""}}, nil
	}

	lineStart, lineEnd := f.lineStart(start), f.lineEnd(end)
	if lineEnd == len(f.text) && !f.endsInBreak() {
		lineStart -= len(f.eol)
	}
	return []Splice{{lineStart, lineEnd, ""}}, nil
}
