package manifest

import (
	"errors"
	"fmt"
	"strings"

	"sigs.k8s.io/kustomize/kyaml/yaml"
)

// piece is YAML that a file is to get: a value, a map or a list.
type piece struct {
	value  string
	truth  bool // value is true or false, and no string
	fields []field
	items  []piece
}

type field struct {
	key   string
	piece piece
}

func (p piece) plain() bool { return len(p.fields) == 0 && len(p.items) == 0 }

// nested is a map within a map for each key, with p inside.
func nested(keys []string, p piece) piece {
	for i := len(keys) - 1; i >= 0; i-- {
		p = piece{fields: []field{{keys[i], p}}}
	}
	return p
}

// word writes a plain piece.
func (s *source) word(p piece, like yaml.Style) string {
	if p.truth {
		return p.value
	}
	return scalar(p.value, like, s.quote())
}

// block writes the fields or items of p as lines, all of them indented.
func (s *source) block(p piece, indent, step string) []string {
	var lines []string
	for _, f := range p.fields {
		head := indent + scalar(f.key, 0, '"') + ":"
		switch {
		case f.piece.plain():
			lines = append(lines, head+" "+s.word(f.piece, 0))
		case len(f.piece.items) > 0:
			lines = append(append(lines, head), s.block(f.piece, indent+s.listStep(), step)...)
		default:
			lines = append(append(lines, head), s.block(f.piece, indent+step, step)...)
		}
	}
	for _, item := range p.items {
		lines = append(lines, s.blockItem(item, indent, "- ", step)...)
	}
	return lines
}

// blockItem writes one item of a list, behind its marker: a dash and spaces.
func (s *source) blockItem(item piece, indent, marker, step string) []string {
	if item.plain() {
		return []string{indent + marker + s.word(item, 0)}
	}
	inner := indent + strings.Repeat(" ", len(marker))
	lines := s.block(item, inner, step)
	lines[0] = indent + marker + strings.TrimPrefix(lines[0], inner)
	return lines
}

// inline writes p in braces, quoted as the map or list that it goes into.
func (s *source) inline(p piece, like yaml.Style) string {
	switch {
	case len(p.items) > 0:
		items := make([]string, len(p.items))
		for i, item := range p.items {
			items[i] = s.inline(item, like)
		}
		return "[" + strings.Join(items, ", ") + "]"
	case len(p.fields) > 0:
		fields := make([]string, len(p.fields))
		for i, f := range p.fields {
			fields[i] = scalar(f.key, like, '"') + ": " + s.inline(f.piece, like)
		}
		return "{" + strings.Join(fields, ", ") + "}"
	}
	return s.word(p, like)
}

// addField puts a field behind those that a map has. A nil map is an empty
// document.
func (s *source) addField(mapping *yaml.Node, root bool, f field) (splice, error) {
	one := piece{fields: []field{f}}
	switch {
	case mapping == nil:
		return s.insertLines(len(s.text), s.block(one, "", s.step())...), nil
	case mapping.Style&yaml.FlowStyle != 0:
		text := s.inline(one, firstKeyStyle(mapping))
		return s.appendToFlow(mapping, text[1:len(text)-1])
	}
	indent := margin(mapping)
	lines := s.block(one, indent, s.step())
	if root {
		if s.keysSetOff(mapping) {
			lines = append([]string{""}, lines...)
		}
		return s.insertLines(s.documentEnd(mapping), lines...), nil
	}
	return s.insertLines(s.lineEnd(s.lastByte(mapping)), lines...), nil
}

// fill gives a value to a key that has none, or an empty map or list.
func (s *source) fill(parent, key, node *yaml.Node, p piece) ([]splice, error) {
	if parent.Style&yaml.FlowStyle != 0 || node.Kind != yaml.ScalarNode && node.Line != key.Line {
		if node.Kind == yaml.ScalarNode {
			start, end, err := s.valueSpan(node)
			if err == nil && start == end {
				return nil, fmt.Errorf("line %d: %s has no value within braces; write {}", key.Line, key.Value)
			}
			return []splice{{start, end, s.inline(p, firstKeyStyle(parent))}}, err
		}
		text := s.inline(p, firstKeyStyle(parent))
		one, err := s.appendToFlow(node, text[1:len(text)-1])
		return []splice{one}, err
	}
	start, end := s.offset(node), s.offset(node)
	if node.Kind == yaml.ScalarNode {
		end += len(node.Value) // null or ~
	} else {
		end = s.closing(start + 1)
	}
	for start > 0 && s.text[start-1] == ' ' && end > start {
		start--
	}
	indent := margin(parent) + s.step()
	if len(p.items) > 0 {
		indent = margin(parent) + s.listStep()
	}
	lines := s.insertLines(s.lineEnd(end), s.block(p, indent, s.step())...)
	if start == end {
		return []splice{lines}, nil
	}
	return []splice{{start, end, ""}, lines}, nil
}

// addToList puts items into the list at a key: behind those that it has, into
// an empty one, or into a new one. A nil map is an empty document.
func (s *source) addToList(mapping *yaml.Node, root bool, key string, items []piece) ([]splice, error) {
	k, list := lookup(mapping, key)
	var added splice
	var err error
	switch {
	case k == nil:
		added, err = s.addField(mapping, root, field{key, piece{items: items}})
	case list.Kind == yaml.SequenceNode && len(list.Content) == 0, list.Tag == yaml.NodeTagNull:
		return s.fill(mapping, k, list, piece{items: items})
	case list.Kind != yaml.SequenceNode:
		err = fmt.Errorf("line %d: %s: is no list", list.Line, key)
	default:
		added, err = s.addItems(list, items)
	}
	return []splice{added}, err
}

// addItems puts items behind those that a list has, with the same dash.
func (s *source) addItems(list *yaml.Node, items []piece) (splice, error) {
	if list.Style&yaml.FlowStyle != 0 {
		text := s.inline(piece{items: items}, innerStyle(list))
		return s.appendToFlow(list, text[1:len(text)-1])
	}
	// kyaml places a block list at its first dash.
	marker := "- "
	if first := list.Content[0]; first.Line == list.Line && first.Anchor == "" && first.Kind == yaml.MappingNode && first.Style&yaml.FlowStyle == 0 {
		marker = string(s.text[s.offset(list):s.offset(first)])
	}
	var lines []string
	for _, item := range items {
		lines = append(lines, s.blockItem(item, strings.Repeat(" ", list.Column-1), marker, s.step())...)
	}
	return s.insertLines(s.lineEnd(s.lastByte(list)), lines...), nil
}

// listStep is how far the file indents a list below its key; not at all where
// it has none.
func (s *source) listStep() string {
	step := -1
	for _, doc := range s.docs {
		walk(doc, func(n *yaml.Node) {
			if n.Kind != yaml.MappingNode || n.Style&yaml.FlowStyle != 0 {
				return
			}
			for i := 1; i < len(n.Content) && step < 0; i += 2 {
				if v := n.Content[i]; v.Kind == yaml.SequenceNode && v.Style&yaml.FlowStyle == 0 && len(v.Content) > 0 {
					step = v.Column - 1 - len(margin(n))
				}
			}
		})
	}
	return strings.Repeat(" ", max(step, 0))
}

// margin is the indentation of a map's keys; an anchor before the first of
// them stands elsewhere.
func margin(mapping *yaml.Node) string {
	n := mapping
	if len(n.Content) > 0 {
		n = n.Content[0]
	}
	return strings.Repeat(" ", n.Column-1)
}

// step is how far the file indents a map within a map; two spaces where it
// has none.
func (s *source) step() string {
	step := 0
	for _, doc := range s.docs {
		walk(doc, func(n *yaml.Node) {
			if n.Kind != yaml.MappingNode || n.Style&yaml.FlowStyle != 0 || step > 0 {
				return
			}
			for i := 1; i < len(n.Content); i += 2 {
				child := n.Content[i]
				if child.Kind == yaml.MappingNode && child.Style&yaml.FlowStyle == 0 && len(child.Content) > 0 && len(margin(child)) > len(margin(n)) {
					step = len(margin(child)) - len(margin(n))
					return
				}
			}
		})
	}
	if step == 0 {
		step = 2
	}
	return strings.Repeat(" ", step)
}

// only returns the root of a file that holds one document; nil where nothing
// but comments and white space is there.
func (s *source) only() (*yaml.Node, error) {
	var found *yaml.Node
	for i := range s.docs {
		root := s.root(i)
		if root == nil || root.Kind == yaml.ScalarNode && root.Tag == yaml.NodeTagNull {
			continue
		}
		if found != nil {
			return nil, errors.New("there is more than one document; leave one")
		}
		found = root
	}
	if found != nil && found.Kind != yaml.MappingNode {
		return nil, fmt.Errorf("the file holds a %s, where keys and values are expected", kindOf(found))
	}
	return found, nil
}
