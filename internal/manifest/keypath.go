package manifest

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"

	"sigs.k8s.io/kustomize/kyaml/yaml"
)

// KeyPath is a key of a Helm values file as annotations write it: "image.tag",
// "list[0].image.tag", or a literal key with dots, "image.tag" itself. A
// literal key wins, then the shortest first part that the file has.
type KeyPath string

var indexed = regexp.MustCompile(`^(.+)\[([0-9]+)\]$`)

// part splits one part of a path into its key and its index, -1 for none.
func (KeyPath) part(s string) (key string, index int) {
	if m := indexed.FindStringSubmatch(s); m != nil {
		if i, err := strconv.Atoi(m[2]); err == nil {
			return m[1], i
		}
	}
	return s, -1
}

// spot is where a key path leads in a file.
type spot struct {
	// mapping is the deepest map on the way, and key and node what it holds
	// under the last part; both are nil where rest is missing in it.
	mapping, key, node *yaml.Node
	rest               []string
	via                []*yaml.Node // the aliases on the way to mapping
	merged             bool         // node is taken over by <<
}

// value is the node's own, or that of the anchor that it is an alias of.
func (p spot) value() *yaml.Node {
	if p.node != nil && p.node.Kind == yaml.AliasNode {
		return p.node.Alias
	}
	return p.node
}

// find follows a path from a document's root.
func (path KeyPath) find(root *yaml.Node) (spot, error) {
	p := spot{mapping: root}
	if path == "" {
		return p, fmt.Errorf("the key is empty")
	}
	parts := strings.Split(string(path), ".")
	if root == nil || root.Tag == yaml.NodeTagNull && root.Kind == yaml.ScalarNode {
		p.mapping, p.rest = nil, parts
		return p, nil
	}
	if root.Kind != yaml.MappingNode {
		return p, fmt.Errorf("the file holds a %s, where keys and values are expected", kindOf(root))
	}
	if key, node := lookup(root, string(path)); key != nil {
		p.key, p.node = key, node
		return p, nil
	}
	return path.descend(p, parts)
}

func (path KeyPath) descend(p spot, parts []string) (spot, error) {
	for len(parts) > 0 {
		n, name, index := 0, "", -1
		for length := 1; length <= len(parts) && n == 0; length++ {
			name, index = path.part(strings.Join(parts[:length], "."))
			p.key, p.node, p.merged = lookupMerged(p.mapping, name, deepestMerge)
			if p.key != nil {
				n = length
			}
		}
		if n == 0 {
			p.rest, p.merged = parts, false
			return p, path.creatable(parts)
		}
		if index >= 0 {
			list := p.value()
			if list.Kind != yaml.SequenceNode {
				return p, fmt.Errorf("%s is a %s, not a list (line %d)", name, kindOf(list), p.key.Line)
			}
			if index >= len(list.Content) {
				return p, fmt.Errorf("%s has %d items, so there is no %s[%d] (line %d)", name, len(list.Content), name, index, p.key.Line)
			}
			if p.node.Kind == yaml.AliasNode {
				p.via = append(p.via, p.node)
			}
			p.node, p.merged = list.Content[index], false
		}
		parts = parts[n:]
		if len(parts) == 0 {
			break
		}
		value := p.value()
		if value.Kind == yaml.ScalarNode && text(value) == "" && value.Tag == yaml.NodeTagNull {
			p.rest = parts
			return p, path.creatable(parts)
		}
		if value.Kind != yaml.MappingNode {
			return p, fmt.Errorf("%s is a %s, so that it has no %s (line %d)", name, kindOf(value), strings.Join(parts, "."), p.key.Line)
		}
		if p.node.Kind == yaml.AliasNode || p.merged {
			p.via = append(p.via, p.node)
		}
		p.mapping = value
	}
	if value := p.value(); value.Kind != yaml.ScalarNode {
		return p, fmt.Errorf("%s is a %s, not a value (line %d)", path, kindOf(value), p.key.Line)
	}
	return p, nil
}

// creatable refuses to make up lists.
func (path KeyPath) creatable(parts []string) error {
	for _, part := range parts {
		if name, index := path.part(part); index >= 0 {
			return fmt.Errorf("there is no list %s", name)
		}
	}
	return nil
}

// deepestMerge bounds how far << is followed: a map can take over itself.
const deepestMerge = 16

// lookupMerged looks for a key in a map, then in what it takes over by <<.
func lookupMerged(mapping *yaml.Node, name string, depth int) (key, value *yaml.Node, merged bool) {
	if depth == 0 {
		return nil, nil, false
	}
	if key, value = lookup(mapping, name); key != nil {
		return key, value, false
	}
	_, merge := lookup(mapping, "<<")
	if merge == nil {
		return nil, nil, false
	}
	sources := []*yaml.Node{merge}
	if merge.Kind == yaml.SequenceNode {
		sources = merge.Content
	}
	for _, source := range sources {
		if source.Kind == yaml.AliasNode {
			source = source.Alias
		}
		if key, value, _ = lookupMerged(source, name, depth-1); key != nil {
			return key, value, true
		}
	}
	return nil, nil, false
}

func kindOf(n *yaml.Node) string {
	switch n.Kind {
	case yaml.MappingNode:
		return "map"
	case yaml.SequenceNode:
		return "list"
	}
	return "plain value"
}
