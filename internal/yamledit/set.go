package yamledit

import (
	"bytes"
	"fmt"
	"reflect"
	"strings"

	"sigs.k8s.io/kustomize/kyaml/yaml"
)

// Setting is a key with the value that it is to have.
type Setting struct {
	Key   KeyPath
	Value string
}

// SetKeys returns a file with all keys set; src comes back as it was where
// they have their values already. Keys that the file does not have are added.
// Aliases elsewhere keep the old value: the anchor moves to the first of them,
// unless they get the same value.
//
// The result is verified: decoded with its anchors resolved, it differs in the
// keys that were set and in nothing else. The error wraps [ErrUnreadable] or
// [ErrShape].
func SetKeys(src []byte, settings []Setting) ([]byte, error) {
	result := src
	for _, want := range settings {
		f, root, err := ParseMap(result)
		if err != nil {
			return nil, err
		}
		splices, err := f.setKey(root, want, settings)
		if err != nil {
			return nil, fmt.Errorf("%w: %s: %w", ErrShape, want.Key, err)
		}
		if len(splices) > 0 {
			result = f.Apply(splices)
		}
	}

	if err := verifySettings(src, result, settings); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrShape, err)
	}
	return result, nil
}

// setKey sets one key.
func (f *File) setKey(root *yaml.Node, want Setting, all []Setting) ([]Splice, error) {
	p, err := want.Key.find(root)
	if err != nil {
		return nil, err
	}
	if len(p.rest) > 0 {
		return f.addKey(root, p, want, all)
	}

	value := p.value()
	switch {
	case Text(value) == want.Value && (value.Tag == yaml.NodeTagString || want.Value == ""):
		return nil, nil
	case len(p.via) > 0 && setDirectly(root, value, want, all):
		return nil, nil
	case len(p.via) > 0 || p.merged:
		return f.override(root, p, Field{p.key.Value, Value{Text: want.Value}})
	case p.node.Kind == yaml.AliasNode && setDirectly(root, p.node.Alias, want, all):
		return nil, nil
	}

	if err := f.checkShared(root, p.mapping, want, all); err != nil {
		return nil, err
	}
	return f.replaceAnchored(root, p, want, all)
}

// addKey adds a key, with the maps around it that the file does not have.
func (f *File) addKey(root *yaml.Node, p location, want Setting, all []Setting) ([]Splice, error) {
	value := Value{Text: want.Value}
	if p.node != nil { // a map that is null so far
		if len(p.via) > 0 || p.merged || p.node.Kind == yaml.AliasNode {
			return nil, errAliased(p)
		}
		return f.fill(p.mapping, p.key, p.node, nested(p.rest, value))
	}

	field := Field{p.rest[0], nested(p.rest[1:], value)}
	if len(p.via) > 0 {
		return f.override(root, p, field)
	}
	if err := f.checkShared(root, p.mapping, want, all); err != nil {
		return nil, err
	}
	one, err := f.AddField(p.mapping, field)
	return []Splice{one}, err
}

// replaceAnchored replaces a value. An anchor on it moves to the first alias
// that keeps the old value.
func (f *File) replaceAnchored(root *yaml.Node, p location, want Setting, all []Setting) ([]Splice, error) {
	node := p.node
	if isNull(node) && node.Value == "" && node.Anchor == "" {
		return f.fillEmpty(p.key, want.Value)
	}

	start, end, err := f.valueSpan(node)
	if err != nil {
		return nil, err
	}
	style := node.Style
	if node.Kind == yaml.AliasNode {
		style = node.Alias.Style
	}
	set := Splice{start, end, scalar(want.Value, style, f.quote())}
	if node.Kind == yaml.ScalarNode && bytes.HasPrefix(f.text[f.offset(node):], []byte("!")) {
		set.start = f.offset(node) // a tag such as !!float would not hold any more
	}
	if node.Kind != yaml.ScalarNode || node.Anchor == "" {
		return []Splice{set}, nil
	}

	for _, alias := range f.aliases(node) {
		if aliasSet(root, alias, want, all) {
			continue
		}
		from, to, err := f.valueSpan(alias)
		if err != nil {
			return nil, err
		}
		old := string(f.text[f.offset(node):end])
		set.start = f.offset(node)
		return []Splice{set, {from, to, old}}, nil
	}
	return []Splice{set}, nil
}

// fillEmpty puts a value behind a key that has nothing behind its colon.
func (f *File) fillEmpty(key *yaml.Node, value string) ([]Splice, error) {
	_, end, err := f.valueSpan(key)
	if err != nil {
		return nil, err
	}
	colon := end + bytes.IndexByte(f.text[end:], ':') + 1
	return []Splice{{colon, colon, " " + scalar(value, 0, f.quote())}}, nil
}

// SetValue replaces the value of a key. wanted has other nodes that are set in
// the same step, with their new values. It is an error where an alias of the
// value would change with it and is not to get the same value.
func (f *File) SetValue(key, node *yaml.Node, value string, wanted map[*yaml.Node]string) ([]Splice, error) {
	if isNull(node) && node.Value == "" {
		return f.fillEmpty(key, value)
	}

	for _, alias := range f.aliases(node) {
		if wanted[alias] != value {
			return nil, fmt.Errorf("line %d uses this value as *%s and would change with it; "+
				"give one of the two a value of its own", alias.Line, node.Anchor)
		}
	}
	return f.replace(node, value)
}

// SetText replaces a plain value, such as an item of a list. It is an error
// where an alias of the value would change with it.
func (f *File) SetText(node *yaml.Node, value string) ([]Splice, error) {
	if Text(node) == value {
		return nil, nil
	}
	if len(f.aliases(node)) > 0 {
		return nil, fmt.Errorf("line %d: another place uses this value as *%s; write it out there",
			node.Line, node.Anchor)
	}
	return f.replace(node, value)
}

func (f *File) replace(node *yaml.Node, value string) ([]Splice, error) {
	start, end, err := f.valueSpan(node)
	if err != nil {
		return nil, err
	}
	return []Splice{{start, end, scalar(value, node.Style, f.quote())}}, nil
}

// SetTrue replaces a value by true, without quotes.
func (f *File) SetTrue(node *yaml.Node) ([]Splice, error) {
	start, end, err := f.valueSpan(node)
	if err != nil {
		return nil, err
	}
	return []Splice{{start, end, "true"}}, nil
}

// verifySettings compares meaning, with anchors resolved: what was set, and
// nothing else, may differ.
func verifySettings(before, after []byte, settings []Setting) error {
	was, err := decode(before)
	if err != nil {
		return err
	}
	is, err := decode(after)
	if err != nil {
		return fmt.Errorf("after the edit, %w", err)
	}
	_, root, err := ParseMap(after)
	if err != nil {
		return fmt.Errorf("after the edit, %w", err)
	}

	for _, want := range settings {
		p, err := want.Key.find(root)
		if err != nil || p.node == nil || len(p.rest) > 0 || Text(p.value()) != want.Value ||
			p.value().Tag != yaml.NodeTagString && want.Value != "" {
			return fmt.Errorf("after the edit, %s is not %q; it may be set twice, to different values",
				want.Key, want.Value)
		}
		put(was, want)
	}

	if !reflect.DeepEqual(was, is) {
		return errMoreChanged
	}
	return nil
}

// put sets a key in decoded values, by the rules of [KeyPath].
func put(values map[string]any, want Setting) {
	if _, ok := values[string(want.Key)]; ok {
		values[string(want.Key)] = want.Value
		return
	}
	putParts(values, strings.Split(string(want.Key), "."), want.Value)
}

func putParts(at map[string]any, parts []string, value string) {
	length, name, index := 0, "", -1
	for n := 1; n <= len(parts) && length == 0; n++ {
		name, index = splitIndex(strings.Join(parts[:n], "."))
		if _, ok := at[name]; ok {
			length = n
		}
	}
	if length == 0 {
		length, name, index = 1, parts[0], -1
	}

	rest := parts[length:]
	list, isList := at[name].([]any)
	switch {
	case isList && index >= 0 && index < len(list) && len(rest) == 0:
		list[index] = value
	case isList && index >= 0 && index < len(list):
		if inner, ok := list[index].(map[string]any); ok {
			putParts(inner, rest, value)
		}
	case len(rest) == 0:
		at[name] = value
	default:
		inner, ok := at[name].(map[string]any)
		if !ok {
			inner = map[string]any{}
			at[name] = inner
		}
		putParts(inner, rest, value)
	}
}
