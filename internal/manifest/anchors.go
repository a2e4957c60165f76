package manifest

import (
	"fmt"

	"sigs.k8s.io/kustomize/kyaml/yaml"
)

// aliases are those of an anchored node, in the order of the file.
func (s *source) aliases(node *yaml.Node) []*yaml.Node {
	if node.Anchor == "" {
		return nil
	}
	var found []*yaml.Node
	for _, doc := range s.docs {
		walk(doc, func(n *yaml.Node) {
			if n.Kind == yaml.AliasNode && n.Alias == node {
				found = append(found, n)
			}
		})
	}
	return found
}

// aliasSet tells whether an alias is to get the same value as want anyhow.
func (s *source) aliasSet(root, alias *yaml.Node, want setting, all []setting) bool {
	for _, other := range all {
		p, err := other.key.find(root)
		if err != nil || other.value != want.value {
			continue
		}
		if p.node == alias {
			return true
		}
		for _, via := range p.via {
			if via == alias {
				return true
			}
		}
	}
	return false
}

// setDirectly tells whether another setting reaches the same value without an
// alias and gives it the same text.
func (s *source) setDirectly(root, value *yaml.Node, want setting, all []setting) bool {
	for _, other := range all {
		p, err := other.key.find(root)
		if err == nil && other.value == want.value && p.node == value && len(p.via) == 0 && !p.merged {
			return true
		}
	}
	return false
}

// shared refuses to change a map, or one around it, that other places take
// over as a whole, unless they are to get the same value.
func (s *source) shared(root, mapping *yaml.Node, want setting, all []setting) error {
	var err error
	for _, doc := range s.docs {
		walk(doc, func(n *yaml.Node) {
			if n.Kind != yaml.AliasNode || n.Alias.Kind == yaml.ScalarNode || !holds(n.Alias, mapping) || s.aliasSet(root, n, want, all) {
				return
			}
			err = fmt.Errorf("line %d takes over *%s and would change with it; write the values out in one of the two places", n.Line, n.Value)
		})
	}
	return err
}

func holds(n, wanted *yaml.Node) bool {
	found := false
	walk(n, func(child *yaml.Node) { found = found || child == wanted })
	return found
}

// override gives a key of its own to a map that is taken over from an anchor:
// "image: *default" becomes a map with "<<: *default" and the key. A map that
// takes over others by << gets the key beside them.
func (s *source) override(root *yaml.Node, p spot, f field) ([]splice, error) {
	if len(p.via) == 0 {
		one, err := s.addField(p.mapping, p.mapping == root, f)
		return []splice{one}, err
	}
	alias := p.via[len(p.via)-1]
	if len(p.via) > 1 || alias.Kind != yaml.AliasNode || p.merged || alias.Alias != p.mapping {
		return nil, errTakenOver(p.via, p.node)
	}
	parent := parentOf(root, alias)
	if parent == nil || parent.Kind != yaml.MappingNode {
		return nil, errTakenOver(p.via, p.node)
	}
	start, end, err := s.valueSpan(alias)
	if err != nil {
		return nil, err
	}
	star := string(s.text[start:end])
	if parent.Style&yaml.FlowStyle != 0 {
		text := s.inline(piece{fields: []field{f}}, 0)
		return []splice{{start, end, "{<<: " + star + ", " + text[1:]}}, nil
	}
	from := start
	for from > 0 && s.text[from-1] == ' ' {
		from--
	}
	indent := margin(parent) + s.step()
	lines := append([]string{indent + "<<: " + star}, s.block(piece{fields: []field{f}}, indent, s.step())...)
	return []splice{{from, end, ""}, s.insertLines(s.lineEnd(end), lines...)}, nil
}

func errTakenOver(via []*yaml.Node, node *yaml.Node) error {
	line := 0
	for _, n := range append(via, node) {
		if n != nil {
			line = n.Line
		}
	}
	return fmt.Errorf("the value on line %d is taken over from another place; write it out where it is to differ", line)
}

func parentOf(n, child *yaml.Node) *yaml.Node {
	for _, c := range n.Content {
		if c == child {
			return n
		}
		if found := parentOf(c, child); found != nil {
			return found
		}
	}
	return nil
}
