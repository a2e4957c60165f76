package yamledit

import (
	"errors"
	"fmt"

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
func SameExcept(before, after *File, path ...string) error {
	was, err := meaningOf(before.root)
	if err != nil {
		return err
	}
	is, err := meaningOf(after.root)
	if err != nil {
		return fmt.Errorf("%w: after the edit, %w", ErrShape, err)
	}

	return sameMeaning(orEmpty(was.without(path)), orEmpty(is.without(path)))
}

func orEmpty(m *meaning) *meaning {
	if m == nil {
		return &meaning{kind: yaml.MappingNode}
	}
	return m
}

// sameMeaning is an error where two meanings differ. It wraps [ErrShape].
func sameMeaning(was, is *meaning) error {
	equal, err := same(was, is, &budget{})
	if err == nil && !equal {
		err = errMoreChanged
	}
	if err != nil {
		return fmt.Errorf("%w: %w", ErrShape, err)
	}
	return nil
}
