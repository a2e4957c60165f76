package yamledit

import (
	"errors"
	"fmt"
	"reflect"
	"strings"

	"sigs.k8s.io/kustomize/kyaml/yaml"
)

// errMoreChanged is the error for an edit that would change what was not to be set.
var errMoreChanged = errors.New("the edit would change more than it should; simplify the file by hand")

// Equal compares the meaning of nodes: kinds, tags, values and anchors, in
// order. It does not follow aliases, since their anchors are compared where
// they stand. Two nodes that are both in ignored count as equal.
func Equal(a, b *yaml.Node, ignored map[*yaml.Node]bool) bool {
	if a == nil || b == nil {
		return a == b
	}
	if ignored[a] && ignored[b] {
		return true
	}

	sameTag := a.Tag == b.Tag || a.Kind != yaml.ScalarNode
	if a.Kind != b.Kind || !sameTag || a.Value != b.Value || a.Anchor != b.Anchor {
		return false
	}
	if len(a.Content) != len(b.Content) {
		return false
	}
	for i := range a.Content {
		if !Equal(a.Content[i], b.Content[i], ignored) {
			return false
		}
	}
	return true
}

// SameExcept compares the meaning of two files, with anchors resolved, and is
// an error where they differ in anything but the value at a path of keys. Maps
// on the way that hold nothing else count as missing. The error wraps
// [ErrUnreadable] or [ErrShape].
func SameExcept(before, after []byte, path ...string) error {
	was, err := decode(before)
	if err != nil {
		return err
	}
	is, err := decode(after)
	if err != nil {
		return fmt.Errorf("%w: after the edit, %w", ErrShape, err)
	}

	remove(was, path)
	remove(is, path)
	if !reflect.DeepEqual(was, is) {
		return fmt.Errorf("%w: %w", ErrShape, errMoreChanged)
	}
	return nil
}

// remove takes the value at a path out of decoded values, and the maps that
// are empty then.
func remove(values map[string]any, path []string) {
	if len(path) > 1 {
		inner, _ := values[path[0]].(map[string]any)
		remove(inner, path[1:])
		if len(inner) > 0 {
			return
		}
	}
	delete(values, path[0])
}

// decode decodes a file with its anchors resolved. The error wraps
// [ErrUnreadable]: a file can be parsed and still have no meaning, such as a
// map that contains itself.
func decode(src []byte) (map[string]any, error) {
	out := map[string]any{}
	_, root, err := ParseMap(src)
	if err != nil || root == nil {
		return out, err
	}

	if err := root.Decode(&out); err != nil {
		message := strings.Fields(strings.TrimPrefix(err.Error(), "yaml: "))
		return nil, fmt.Errorf("%w: %s", ErrUnreadable, strings.Join(message, " "))
	}
	return out, nil
}
