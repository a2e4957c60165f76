package yamledit

import (
	"fmt"

	"sigs.k8s.io/kustomize/kyaml/yaml"
)

// Lookup returns the nodes of a key and of its value in a map, or nil where
// the map does not have the key. Any other node, and nil, has no keys.
func Lookup(mapping *yaml.Node, key string) (k, v *yaml.Node) {
	if mapping == nil || mapping.Kind != yaml.MappingNode {
		return nil, nil
	}
	for i := 0; i+1 < len(mapping.Content); i += 2 {
		if mapping.Content[i].Value == key {
			return mapping.Content[i], mapping.Content[i+1]
		}
	}
	return nil, nil
}

// Text is the text of a plain value, also through an alias. It is empty for
// null, for maps and lists, and for nil.
func Text(n *yaml.Node) string {
	if n != nil && n.Kind == yaml.AliasNode {
		n = n.Alias
	}
	if n == nil || n.Kind != yaml.ScalarNode || n.Tag == yaml.NodeTagNull {
		return ""
	}
	return n.Value
}

func isNull(n *yaml.Node) bool {
	return n.Kind == yaml.ScalarNode && n.Tag == yaml.NodeTagNull
}

func isFlow(n *yaml.Node) bool { return n.Style&yaml.FlowStyle != 0 }

// walk visits a node and all nodes below it, in the order of the file, not
// through aliases.
func walk(n *yaml.Node, visit func(*yaml.Node)) {
	visit(n)
	for _, child := range n.Content {
		walk(child, visit)
	}
}

// kindOf is the kind of a node as messages name it.
func kindOf(n *yaml.Node) string {
	switch n.Kind {
	case yaml.MappingNode:
		return "map"
	case yaml.SequenceNode:
		return "list"
	}
	return "plain value"
}

func errNotMap(n *yaml.Node) error {
	return fmt.Errorf("the file holds a %s, but keys and values are expected", kindOf(n))
}
