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

// Text returns the text under a key, and whether the file of [ParseMap] has the
// key. The text is empty for null. It is an error where the path leads through,
// or to, a value of another kind.
func (f *File) Text(key KeyPath) (text string, found bool, err error) {
	p, err := f.find(key)
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
	above              []*yaml.Node // the maps and lists on the way, with mapping
	via                []*yaml.Node // the aliases on the way to mapping
	holder             *yaml.Node   // the map that has the last of via; nil if it comes by <<
	merged             bool         // node comes from another map, by <<
}

// value is the node itself, or the anchored node that it is an alias of.
func (p *location) value() *yaml.Node {
	if p.node != nil && p.node.Kind == yaml.AliasNode {
		return p.node.Alias
	}
	return p.node
}

// find follows a path from the root of the file.
func (f *File) find(path KeyPath) (*location, error) {
	p := &location{mapping: f.root}
	if path == "" {
		return p, errors.New("the key is empty")
	}
	if len(path) > longestKey || strings.Count(string(path), ".") >= mostKeyParts {
		return p, errLongKey
	}

	parts := strings.Split(string(path), ".")
	if f.root == nil {
		p.rest = parts
		return p, nil
	}

	p.above = []*yaml.Node{f.root}
	if key, node := f.lookup(f.root, string(path)); key != nil {
		p.key, p.node = key, node
		return p, nil
	}
	return p, f.descend(p, path, parts)
}

// descend follows the parts of a path from the map at p, as far as the file has them.
func (f *File) descend(p *location, path KeyPath, parts []string) error {
	for len(parts) > 0 {
		length, name, index, err := f.enter(p, parts)
		if err != nil {
			return err
		}
		if length == 0 {
			p.rest, p.merged = parts, false
			return creatable(parts)
		}
		if index >= 0 {
			if err := p.enterList(name, index); err != nil {
				return err
			}
		}

		parts = parts[length:]
		if len(parts) == 0 {
			break
		}

		value := p.value()
		if isNull(value) {
			p.rest = parts
			return creatable(parts)
		}
		if value.Kind != yaml.MappingNode {
			return fmt.Errorf("%s is a %s, so it cannot contain %s (line %d)",
				name, kindOf(value), strings.Join(parts, "."), p.key.Line)
		}
		p.follow(index < 0)
		p.mapping = value
		p.above = append(p.above, value)
	}

	if value := p.value(); value.Kind != yaml.ScalarNode {
		return fmt.Errorf("%s is a %s, not a value (line %d)", path, kindOf(value), p.key.Line)
	}
	return nil
}

// follow notes the alias or the merge by which the next map is reached.
func (p *location) follow(inMap bool) {
	if p.node.Kind != yaml.AliasNode && !p.merged {
		return
	}

	p.via = append(p.via, p.node)
	p.holder = nil
	if inMap && !p.merged {
		p.holder = p.mapping
	}
}

// enter moves p to the shortest first parts that are a key of its map. It
// returns how many parts these are, zero where there is no such key, and
// their name and index.
func (f *File) enter(p *location, parts []string) (length int, name string, index int, err error) {
	for n := 1; n <= len(parts); n++ {
		name, index = splitIndex(strings.Join(parts[:n], "."))
		p.key, p.node, p.merged, err = f.lookupMerged(p.mapping, name)
		if p.key != nil || err != nil {
			return n, name, index, err
		}
	}
	return 0, "", -1, nil
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
		p.follow(false)
	}
	p.above = append(p.above, list)
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
