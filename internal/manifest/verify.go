package manifest

import (
	"errors"
	"fmt"

	"sigs.k8s.io/kustomize/kyaml/yaml"
)

// verify parses the result of an edit and compares it with what was there:
// the edited entries say what they should, and nothing else differs.
func verify(before *source, result []byte, edits []KustomizeImage) error {
	after, err := parse(result)
	if err != nil {
		return fmt.Errorf("after the edit %w", err)
	}
	edited := map[*yaml.Node]bool{}
	for _, edit := range edits {
		node := after.entry(edit.Name)
		if node == nil {
			return fmt.Errorf("after the edit there is no entry for %s", edit.Name)
		}
		got := readEntry(node)
		if got.NewTag != edit.NewTag || got.Digest != edit.Digest || edit.NewName != "" && got.NewName != edit.NewName {
			return fmt.Errorf("after the edit the entry for %s says %+v", edit.Name, got)
		}
		for _, key := range []string{"newTag", "digest", "newName"} {
			if _, v := lookup(node, key); v != nil && v.Kind == yaml.ScalarNode && v.Tag != yaml.NodeTagString {
				return fmt.Errorf("after the edit %s of %s is no string", key, edit.Name)
			}
		}
		edited[node] = true
		if old := before.entry(edit.Name); old != nil {
			edited[old] = true
		}
	}
	if !sameDocuments(before, after, edited) {
		return errors.New("the edit would change more than the image; simplify the images: list by hand")
	}
	return nil
}

// sameDocuments compares all but the edited entries. A document or a list
// that was not there before counts as an empty one.
func sameDocuments(before, after *source, edited map[*yaml.Node]bool) bool {
	a, b := before.kustomization(), after.kustomization()
	for i := 0; i < max(len(before.docs), len(after.docs)); i++ {
		x, y := before.root(i), after.root(i)
		if x == a && y == b {
			if !sameKustomization(x, y, edited) {
				return false
			}
			continue
		}
		// A document of comments alone becomes one with images:.
		if a == nil && y == b && (x == nil || x.Tag == yaml.NodeTagNull) {
			continue
		}
		if !same(x, y, nil) {
			return false
		}
	}
	return true
}

func sameKustomization(a, b *yaml.Node, edited map[*yaml.Node]bool) bool {
	if a == nil || b == nil {
		return a == nil && b != nil
	}
	_, x := lookup(a, "images")
	_, y := lookup(b, "images")
	if !same(without(a, x), without(b, y), edited) {
		return false
	}
	return same(without(x, nil, edited), without(y, nil, edited), edited)
}

// without copies a mapping without the key of value skip, or a list without
// the items in drop. Nil and null are the empty list.
func without(n, skip *yaml.Node, drop ...map[*yaml.Node]bool) *yaml.Node {
	out := &yaml.Node{Kind: yaml.SequenceNode}
	if n == nil || n.Tag == yaml.NodeTagNull {
		return out
	}
	out.Kind = n.Kind
	for i := 0; i < len(n.Content); i++ {
		switch {
		case n.Kind == yaml.MappingNode && skip != nil && i+1 < len(n.Content) && n.Content[i+1] == skip:
			i++
		case len(drop) > 0 && drop[0][n.Content[i]]:
		default:
			out.Content = append(out.Content, n.Content[i])
		}
	}
	return out
}

// same compares meaning: kinds, tags and values, in order, through neither
// aliases (whose anchors are compared where they stand) nor edited entries.
func same(a, b *yaml.Node, edited map[*yaml.Node]bool) bool {
	if a == nil || b == nil {
		return a == b
	}
	if edited[a] && edited[b] {
		return true
	}
	if a.Kind != b.Kind || a.Tag != b.Tag && a.Kind == yaml.ScalarNode || a.Value != b.Value || a.Anchor != b.Anchor || len(a.Content) != len(b.Content) {
		return false
	}
	for i := range a.Content {
		if !same(a.Content[i], b.Content[i], edited) {
			return false
		}
	}
	return true
}
