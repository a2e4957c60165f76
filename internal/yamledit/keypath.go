package yamledit

import (
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"

	"sigs.k8s.io/kustomize/kyaml/yaml"
)

// KeyPath names a key in a map of maps: "image.tag", "list[0].image.tag", or a
// literal key that contains dots, "image.tag" itself. A literal key of the
// root is preferred, then the shortest first part that the file has.
type KeyPath string

// Get returns the text under the key, and whether the file has the key. The
// text is empty for null. It is an error where the path leads through, or to,
// a value of another kind. A nil root is an empty document.
func (path KeyPath) Get(root *yaml.Node) (text string, found bool, err error) {
	p, err := path.find(root)
	if err != nil || p.node == nil || len(p.rest) > 0 {
		return "", false, err
	}
	return Text(p.value()), true, nil
}

var indexed = regexp.MustCompile(`^(.+)\[([0-9]+)\]$`)

// splitIndex splits one part of a path into its key and its index, -1 for none.
func splitIndex(part string) (key string, index int) {
	if m := indexed.FindStringSubmatch(part); m != nil {
		if i, err := strconv.Atoi(m[2]); err == nil {
			return m[1], i
		}
	}
	return part, -1
}

// location is where a key path leads in a file.
type location struct {
	// mapping is the deepest map on the way. key and node are what it holds
	// under the last part; both are nil where the map does not have rest.
	mapping, key, node *yaml.Node
	rest               []string
	via                []*yaml.Node // the aliases on the way to mapping
	merged             bool         // node comes from another map, by <<
}

// value is the node itself, or the anchored node that it is an alias of.
func (p location) value() *yaml.Node {
	if p.node != nil && p.node.Kind == yaml.AliasNode {
		return p.node.Alias
	}
	return p.node
}

// find follows a path from the root of a document.
func (path KeyPath) find(root *yaml.Node) (location, error) {
	p := location{mapping: root}
	if path == "" {
		return p, errors.New("the key is empty")
	}

	parts := strings.Split(string(path), ".")
	if root == nil || isNull(root) {
		p.mapping, p.rest = nil, parts
		return p, nil
	}
	if root.Kind != yaml.MappingNode {
		return p, errNotMap(root)
	}

	if key, node := Lookup(root, string(path)); key != nil {
		p.key, p.node = key, node
		return p, nil
	}
	return path.descend(p, parts)
}

// descend follows the parts of a path from the map at p, as far as the file has them.
func (path KeyPath) descend(p location, parts []string) (location, error) {
	for len(parts) > 0 {
		length, name, index := p.enter(parts)
		if length == 0 {
			p.rest, p.merged = parts, false
			return p, creatable(parts)
		}
		if index >= 0 {
			if err := p.enterList(name, index); err != nil {
				return p, err
			}
		}

		parts = parts[length:]
		if len(parts) == 0 {
			break
		}

		value := p.value()
		if isNull(value) {
			p.rest = parts
			return p, creatable(parts)
		}
		if value.Kind != yaml.MappingNode {
			return p, fmt.Errorf("%s is a %s, so it cannot contain %s (line %d)",
				name, kindOf(value), strings.Join(parts, "."), p.key.Line)
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

// enter moves p to the shortest first parts that are a key of its map. It
// returns how many parts these are, zero where there is no such key, and
// their name and index.
func (p *location) enter(parts []string) (length int, name string, index int) {
	for n := 1; n <= len(parts); n++ {
		name, index = splitIndex(strings.Join(parts[:n], "."))
		p.key, p.node, p.merged = lookupMerged(p.mapping, name, deepestMerge)
		if p.key != nil {
			return n, name, index
		}
	}
	return 0, "", -1
}

// enterList moves p from a list to one of its items.
func (p *location) enterList(name string, index int) error {
	list := p.value()
	if list.Kind != yaml.SequenceNode {
		return fmt.Errorf("%s is a %s, not a list (line %d)", name, kindOf(list), p.key.Line)
	}
	if index >= len(list.Content) {
		return fmt.Errorf("%s has %d items, so %s[%d] does not exist (line %d)",
			name, len(list.Content), name, index, p.key.Line)
	}

	if p.node.Kind == yaml.AliasNode {
		p.via = append(p.via, p.node)
	}
	p.node, p.merged = list.Content[index], false
	return nil
}

// creatable refuses paths with an index: maps are added to a file, lists are not.
func creatable(parts []string) error {
	for _, part := range parts {
		if name, index := splitIndex(part); index >= 0 {
			return fmt.Errorf("there is no list %s", name)
		}
	}
	return nil
}

// deepestMerge limits how far << is followed, since a map can include itself.
const deepestMerge = 16

// lookupMerged looks for a key in a map, then in the maps that it includes by <<.
func lookupMerged(mapping *yaml.Node, name string, depth int) (key, value *yaml.Node, merged bool) {
	if depth == 0 {
		return nil, nil, false
	}
	if key, value = Lookup(mapping, name); key != nil {
		return key, value, false
	}

	_, merge := Lookup(mapping, "<<")
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
