package yamledit

import (
	"fmt"
	"slices"

	"sigs.k8s.io/kustomize/kyaml/yaml"
)

// aliases returns the aliases of an anchored node, in the order of the file.
func (f *File) aliases(node *yaml.Node) []*yaml.Node {
	if node.Anchor == "" {
		return nil
	}

	var found []*yaml.Node
	for _, doc := range f.docs {
		walk(doc, func(n *yaml.Node) {
			if n.Kind == yaml.AliasNode && n.Alias == node {
				found = append(found, n)
			}
		})
	}
	return found
}

// aliasSet reports whether other settings give the place of an alias the same
// value as want.
func aliasSet(root, alias *yaml.Node, want Setting, all []Setting) bool {
	for _, other := range all {
		p, err := other.Key.find(root)
		if err != nil || other.Value != want.Value {
			continue
		}
		if p.node == alias || slices.Contains(p.via, alias) {
			return true
		}
	}
	return false
}

// setDirectly reports whether another setting reaches the node without an
// alias and gives it the same value as want.
func setDirectly(root, node *yaml.Node, want Setting, all []Setting) bool {
	for _, other := range all {
		p, err := other.Key.find(root)
		if err == nil && other.Value == want.Value && p.node == node && len(p.via) == 0 && !p.merged {
			return true
		}
	}
	return false
}

// checkShared refuses to change a map, or a map around it, that other places
// use as a whole by an alias, unless they are to get the same value.
func (f *File) checkShared(root, mapping *yaml.Node, want Setting, all []Setting) error {
	var err error
	for _, doc := range f.docs {
		walk(doc, func(n *yaml.Node) {
			if n.Kind != yaml.AliasNode || n.Alias.Kind == yaml.ScalarNode ||
				!holds(n.Alias, mapping) || aliasSet(root, n, want, all) {
				return
			}
			err = fmt.Errorf("line %d uses *%s and would change with it; "+
				"write the values out in one of the two places", n.Line, n.Value)
		})
	}
	return err
}

// override gives a key of its own to a map that is an alias: "image: *default"
// becomes a map with "<<: *default" and the key. A map that includes others
// by << gets the key beside them.
func (f *File) override(root *yaml.Node, p location, field Field) ([]Splice, error) {
	if len(p.via) == 0 {
		one, err := f.AddField(p.mapping, field)
		return []Splice{one}, err
	}

	alias := p.via[len(p.via)-1]
	if len(p.via) > 1 || alias.Kind != yaml.AliasNode || p.merged || alias.Alias != p.mapping {
		return nil, errAliased(p)
	}
	parent := parentOf(root, alias)
	if parent == nil || parent.Kind != yaml.MappingNode {
		return nil, errAliased(p)
	}

	start, end, err := f.valueSpan(alias)
	if err != nil {
		return nil, err
	}
	star := string(f.text[start:end])
	one := Value{Fields: []Field{field}}
	if isFlow(parent) {
		return []Splice{{start, end, "{<<: " + star + ", " + f.inlineContent(one, 0) + "}"}}, nil
	}

	from := start
	for from > 0 && f.text[from-1] == ' ' {
		from--
	}
	indent := margin(parent) + f.step()
	lines := append([]string{indent + "<<: " + star}, f.block(one, indent, f.step())...)
	return []Splice{{from, end, ""}, f.insertLines(f.lineEnd(end), lines...)}, nil
}

// errAliased is the error for a value that is an alias of another place and
// cannot be overridden where it stands.
func errAliased(p location) error {
	line := 0
	for _, n := range append(p.via, p.node) {
		if n != nil {
			line = n.Line
		}
	}
	return fmt.Errorf("the value on line %d is an alias of a shared value; "+
		"replace the alias with the value itself", line)
}
