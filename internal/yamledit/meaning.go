package yamledit

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"sigs.k8s.io/kustomize/kyaml/yaml"
)

// meaning is what a node says, with its aliases and merges resolved. What
// several aliases stand for is one value, which is never changed, so that a
// meaning is about as large as its file.
type meaning struct {
	kind       yaml.Kind
	tag, value string // of a plain value
	items      []*meaning
	fields     map[string]meant
	depth      int  // of the values within
	own        bool // it was made by [meaning.with], and nobody else has it

	// compared is what an anchored value was found equal to.
	anchored bool
	compared *meaning
}

// meant is the value of a key in a map.
type meant struct {
	keyTag string
	*meaning
}

// resolver makes meanings of nodes, each anchored one once.
type resolver struct {
	budget budget
	done   map[*yaml.Node]*meaning // nil while it is under way
}

// meaningOf returns the meaning of a file's map; that of an empty map for nil.
// The error wraps [ErrUnreadable]: a file can be parsed and still have no
// meaning, such as a map that contains itself.
func meaningOf(root *yaml.Node) (*meaning, error) {
	if root == nil {
		return &meaning{kind: yaml.MappingNode}, nil
	}

	r := resolver{done: map[*yaml.Node]*meaning{}}
	m, err := r.resolve(root, deepestNesting)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrUnreadable, err)
	}
	return m, nil
}

// resolve returns the meaning of a node.
func (r *resolver) resolve(n *yaml.Node, left int) (*meaning, error) {
	if left == 0 {
		return nil, errTooDeep
	}
	if err := r.budget.node(1); err != nil {
		return nil, err
	}
	if n.Kind == yaml.AliasNode {
		n = n.Alias
	}
	if n.Anchor == "" {
		return r.resolveNew(n, left)
	}

	if m, begun := r.done[n]; begun {
		if m == nil {
			return nil, fmt.Errorf("line %d: %w", n.Line, errItself)
		}
		return m, nil
	}
	r.done[n] = nil
	m, err := r.resolveNew(n, left)
	if err == nil {
		m.anchored = true
		r.done[n] = m
	}
	return m, err
}

func (r *resolver) resolveNew(n *yaml.Node, left int) (*meaning, error) {
	switch n.Kind {
	case yaml.MappingNode:
		return r.resolveMap(n, left)
	case yaml.SequenceNode:
		m := &meaning{kind: n.Kind, items: make([]*meaning, len(n.Content))}
		for i, item := range n.Content {
			var err error
			if m.items[i], err = r.resolve(item, left-1); err != nil {
				return nil, err
			}
			if err := m.contain(m.items[i]); err != nil {
				return nil, err
			}
		}
		return m, nil
	}

	if isNull(n) { // in whatever spelling
		return &meaning{kind: n.Kind, tag: n.Tag}, nil
	}
	return &meaning{kind: n.Kind, tag: n.Tag, value: n.Value}, nil
}

func (r *resolver) resolveMap(n *yaml.Node, left int) (*meaning, error) {
	m := &meaning{kind: n.Kind, fields: make(map[string]meant, len(n.Content)/2)}
	var merged []*yaml.Node
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, value := n.Content[i], n.Content[i+1]
		if isMerge(key) {
			merged = append(merged, value)
			continue
		}
		if key.Kind == yaml.AliasNode {
			key = key.Alias
		}
		if key.Kind != yaml.ScalarNode {
			return nil, fmt.Errorf("line %d: a key is a %s", key.Line, kindOf(key))
		}
		if _, twice := m.fields[key.Value]; twice {
			return nil, fmt.Errorf("line %d: the map has this key twice", n.Content[i].Line)
		}

		resolved, err := r.resolve(value, left-1)
		if err != nil {
			return nil, err
		}
		m.fields[key.Value] = meant{key.Tag, resolved}
		if err := m.contain(resolved); err != nil {
			return nil, err
		}
	}

	if len(merged) > 1 {
		return nil, fmt.Errorf("line %d: the map has << twice", n.Line)
	}
	for _, value := range merged {
		if err := r.merge(m, value, left-1); err != nil {
			return nil, err
		}
	}
	return m, nil
}

// contain notes how deep a value within m goes. Aliases of aliases can be deeper
// than the file itself.
func (m *meaning) contain(value *meaning) error {
	if m.depth = max(m.depth, value.depth+1); m.depth > deepestNesting {
		return errTooDeep
	}
	return nil
}

// merge adds the keys of other maps that a map does not have itself.
func (r *resolver) merge(into *meaning, value *yaml.Node, left int) error {
	sources := []*yaml.Node{value}
	if value.Kind == yaml.SequenceNode {
		sources = value.Content
	}

	for _, source := range sources {
		if err := r.budget.merge(); err != nil {
			return err
		}
		from, err := r.resolve(source, left)
		if err != nil {
			return err
		}
		if from.kind != yaml.MappingNode {
			return fmt.Errorf("line %d: << needs a map or a list of maps", source.Line)
		}
		if err := r.budget.node(len(from.fields)); err != nil {
			return err
		}
		into.depth = max(into.depth, from.depth)
		for key, field := range from.fields {
			if _, own := into.fields[key]; !own {
				into.fields[key] = field
			}
		}
	}
	return nil
}

// isMerge reports whether a key merges other maps.
func isMerge(key *yaml.Node) bool {
	return key.Kind == yaml.ScalarNode && key.Value == "<<" && key.Tag == "!!merge"
}

// same compares two meanings.
func same(a, b *meaning, steps *budget) (bool, error) {
	if a == b || a.anchored && a.compared == b {
		return true, nil
	}
	if err := steps.node(1); err != nil {
		return false, err
	}
	if a.kind != b.kind || a.tag != b.tag || a.value != b.value ||
		len(a.items) != len(b.items) || len(a.fields) != len(b.fields) {
		return false, nil
	}

	for i := range a.items {
		if equal, err := same(a.items[i], b.items[i], steps); !equal || err != nil {
			return false, err
		}
	}
	for key, field := range a.fields {
		other, ok := b.fields[key]
		if !ok || field.keyTag != other.keyTag {
			return false, nil
		}
		if equal, err := same(field.meaning, other.meaning, steps); !equal || err != nil {
			return false, err
		}
	}
	a.compared = b
	return true, nil
}

// with returns the meaning of a map after a key has been set, by the rules of
// [KeyPath]. What aliases share is copied before it changes: they keep their value.
func (m *meaning) with(want Setting) *meaning {
	value := &meaning{kind: yaml.ScalarNode, tag: yaml.NodeTagString, value: want.Value}
	if field, literal := m.fields[string(want.Key)]; literal {
		return m.withField(string(want.Key), field.withRest(nil, value))
	}
	return m.withParts(strings.Split(string(want.Key), "."), value)
}

func (m *meaning) withParts(parts []string, value *meaning) *meaning {
	length, name, index := 1, parts[0], -1
	for n := 1; n <= len(parts); n++ {
		first, i := splitIndex(strings.Join(parts[:n], "."))
		if _, ok := m.fields[first]; ok {
			length, name, index = n, first, i
			break
		}
	}

	rest := parts[length:]
	old := m.fields[name].meaning
	if old == nil || old.kind != yaml.SequenceNode || index < 0 {
		return m.withField(name, old.withRest(rest, value))
	}
	if index >= len(old.items) {
		return m
	}
	list := old.changeable()
	list.items[index] = list.items[index].withRest(rest, value)
	return m.withField(name, list)
}

// withRest returns the meaning under the rest of a key; value itself where
// nothing is left of it. m is nil for a key that does not exist.
func (m *meaning) withRest(rest []string, value *meaning) *meaning {
	switch {
	case len(rest) == 0 && m != nil && m.tag == yaml.NodeTagNull && value.value == "":
		return m // null is as empty
	case len(rest) == 0:
		return value
	case m == nil || m.kind != yaml.MappingNode:
		m = &meaning{kind: yaml.MappingNode}
	}
	return m.withParts(rest, value)
}

// withField returns a map with another value under a key.
func (m *meaning) withField(key string, value *meaning) *meaning {
	tag := yaml.NodeTagString
	if field, ok := m.fields[key]; ok {
		tag = field.keyTag
	}
	changed := m.changeable()
	changed.fields[key] = meant{tag, value}
	return changed
}

// changeable returns a copy of a map or list that nobody else has.
func (m *meaning) changeable() *meaning {
	if m.own {
		return m
	}

	c := &meaning{kind: m.kind, own: true, items: slices.Clone(m.items), fields: maps.Clone(m.fields)}
	if c.fields == nil {
		c.fields = map[string]meant{}
	}
	return c
}

// without returns a map without the value at a path of keys, and without the
// maps on the way that are empty then. m is nil for a key that does not exist,
// and the result for a map that is empty.
func (m *meaning) without(path []string) *meaning {
	if m == nil || m.kind != yaml.MappingNode {
		return nil
	}

	changed := m.changeable()
	delete(changed.fields, path[0])
	if len(path) > 1 {
		if inner := m.fields[path[0]].without(path[1:]); inner != nil {
			changed.fields[path[0]] = meant{m.fields[path[0]].keyTag, inner}
		}
	}
	if len(changed.fields) == 0 {
		return nil
	}
	return changed
}
