package manifest

import (
	"errors"
	"fmt"
	"reflect"
	"strings"

	"sigs.k8s.io/kustomize/kyaml/yaml"
)

// verifySettings compares meaning, with anchors resolved: what is set, and
// nothing else, may differ.
func verifySettings(before, after []byte, settings []setting) error {
	was, err := decoded(before)
	if err != nil {
		return err
	}
	is, err := decoded(after)
	if err != nil {
		return fmt.Errorf("after the edit %w", err)
	}
	_, root, err := values(after)
	if err != nil {
		return fmt.Errorf("after the edit %w", err)
	}
	for _, want := range settings {
		p, err := want.key.find(root)
		if err != nil || p.node == nil || len(p.rest) > 0 || text(p.value()) != want.value || p.value().Tag != yaml.NodeTagString && want.value != "" {
			return fmt.Errorf("after the edit %s does not say %q; two images may have one key", want.key, want.value)
		}
		put(was, want)
	}
	if !reflect.DeepEqual(was, is) {
		return errors.New("the edit would change more than the image; simplify the file by hand")
	}
	return nil
}

// decoded is a file with its anchors resolved. The error wraps ErrUnreadable:
// a file can parse and yet have no meaning, such as a map within itself.
func decoded(src []byte) (map[string]any, error) {
	out := map[string]any{}
	_, root, err := values(src)
	if err != nil || root == nil {
		return out, err
	}
	if err := root.Decode(&out); err != nil {
		return nil, fmt.Errorf("%w: %s", ErrUnreadable, strings.Join(strings.Fields(strings.TrimPrefix(err.Error(), "yaml: ")), " "))
	}
	return out, nil
}

// put sets a key in decoded values, by the rules of KeyPath.
func put(values map[string]any, want setting) {
	if _, ok := values[string(want.key)]; ok {
		values[string(want.key)] = want.value
		return
	}
	putParts(values, strings.Split(string(want.key), "."), want)
}

func putParts(at map[string]any, parts []string, want setting) {
	length, name, index := 0, "", -1
	for n := 1; n <= len(parts) && length == 0; n++ {
		name, index = want.key.part(strings.Join(parts[:n], "."))
		if _, ok := at[name]; ok {
			length = n
		}
	}
	if length == 0 {
		length, name, index = 1, parts[0], -1
	}
	last := length == len(parts)
	list, isList := at[name].([]any)
	switch {
	case isList && index >= 0 && index < len(list) && last:
		list[index] = want.value
	case isList && index >= 0 && index < len(list):
		if inner, ok := list[index].(map[string]any); ok {
			putParts(inner, parts[length:], want)
		}
	case last:
		at[name] = want.value
	default:
		inner, ok := at[name].(map[string]any)
		if !ok {
			inner = map[string]any{}
			at[name] = inner
		}
		putParts(inner, parts[length:], want)
	}
}
