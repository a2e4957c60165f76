package yamledit

import (
	"bytes"
	"fmt"
	"slices"

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
// The result is verified: with its anchors resolved, it differs in the keys that
// were set and in nothing else. The error wraps [ErrUnreadable] or [ErrShape].
func SetKeys(src []byte, settings []Setting) ([]byte, error) {
	f, _, err := ParseMap(src)
	if err != nil {
		return nil, err
	}
	was, err := meaningOf(f.root) // which is smaller than the file
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrShape, err)
	}

	// Edits that do not touch each other are made in one round, so that a file is
	// parsed seldom, however many keys are set.
	result := src
	for round, rest := 0, settings; len(rest) > 0; round++ {
		if round == mostRounds {
			return nil, fmt.Errorf("%w: %w", ErrShape, errRounds)
		}

		var splices []Splice
		if splices, rest, err = f.setRound(rest, settings); err != nil {
			return nil, err
		}
		if len(splices) == 0 {
			continue
		}
		result = f.Apply(splices)
		if f, _, err = ParseMap(result); err != nil {
			return nil, fmt.Errorf("%w: after the edit, %w", ErrShape, err)
		}
	}

	if err := f.verifySettings(was, settings); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrShape, err)
	}
	return result, nil
}

// setRound returns the edits that set keys without touching each other, and the
// settings that are left for the next round. The first one is always made.
func (f *File) setRound(wanted, all []Setting) (splices []Splice, rest []Setting, err error) {
	others := f.reach(all)
	var made changes
	for _, want := range wanted {
		c, err := f.setKey(want, others)
		if err != nil && len(made) > 0 { // it may be possible after the others
			rest = append(rest, want)
			continue
		}
		if err != nil {
			return nil, nil, fmt.Errorf("%w: %s: %w", ErrShape, want.Key, err)
		}
		if len(c.splices) == 0 {
			continue
		}

		if made.touch(c) {
			rest = append(rest, want)
			continue
		}
		made = append(made, c)
		splices = append(splices, c.splices...)
	}
	return splices, rest, nil
}

// change is how one key is set.
type change struct {
	splices []Splice
	// into is a map that gets key behind those that it has; nil for any other change.
	into *yaml.Node
	key  string
}

func only(splices ...Splice) change { return change{splices: splices} }

// addTo adds a field to a map, with the maps in it.
func (f *File) addTo(mapping *yaml.Node, field Field) (change, error) {
	one, err := f.AddField(mapping, field)
	c := only(one)
	if mapping != nil && len(mapping.Content) > 0 {
		c.into, c.key = mapping, field.Key
	}
	return c, err
}

// changes are those of one round.
type changes []change

// touch reports whether a change is not independent of those before it.
func (all changes) touch(c change) bool {
	return slices.ContainsFunc(all, func(other change) bool {
		if c.into != nil && c.into == other.into {
			return c.key == other.key // otherwise they follow each other
		}
		return slices.ContainsFunc(c.splices, func(s Splice) bool {
			return slices.ContainsFunc(other.splices, s.touches)
		})
	})
}

// touches reports whether two splices overlap or begin at the same byte.
func (s Splice) touches(other Splice) bool {
	return s.start == other.start || s.start < other.end && other.start < s.end
}

// setKey returns how one key is set; no splices where it has its value.
func (f *File) setKey(want Setting, others reached) (change, error) {
	p, err := f.find(want.Key)
	if err != nil {
		return change{}, err
	}
	if len(p.rest) > 0 {
		return f.addKey(p, want, others)
	}

	value := p.value()
	switch {
	case Text(value) == want.Value && (value.Tag == yaml.NodeTagString || want.Value == ""):
		return change{}, nil
	case len(p.via) > 0 && others.directly[nodeValue{value, want.Value}]:
		return change{}, nil
	case len(p.via) > 0 || p.merged:
		return f.override(p, Field{p.key.Value, Value{Text: want.Value}})
	case p.node.Kind == yaml.AliasNode && others.directly[nodeValue{value, want.Value}]:
		return change{}, nil
	}

	if err := f.checkShared(p, want, others); err != nil {
		return change{}, err
	}
	splices, err := f.replaceAnchored(p, want, others)
	return change{splices: splices}, err
}

// addKey adds a key, with the maps around it that the file does not have.
func (f *File) addKey(p *location, want Setting, others reached) (change, error) {
	value := Value{Text: want.Value}
	if p.node != nil { // a map that is null so far
		if len(p.via) > 0 || p.merged || p.node.Kind == yaml.AliasNode {
			return change{}, errAliased(p)
		}
		splices, err := f.fill(p.mapping, p.key, p.node, nested(p.rest, value))
		return change{splices: splices}, err
	}

	field := Field{p.rest[0], nested(p.rest[1:], value)}
	if len(p.via) > 0 {
		return f.override(p, field)
	}
	if err := f.checkShared(p, want, others); err != nil {
		return change{}, err
	}
	return f.addTo(p.mapping, field)
}

// replaceAnchored replaces a value. An anchor on it moves to the first alias
// that keeps the old value.
func (f *File) replaceAnchored(p *location, want Setting, others reached) ([]Splice, error) {
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

	for _, alias := range f.aliasesOf(node) {
		if others.byAlias[nodeValue{alias, want.Value}] {
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

	for _, alias := range f.aliasesOf(node) {
		if wanted[alias] != value {
			return nil, fmt.Errorf("line %d uses this value by an alias and would change with it; "+
				"give one of the two a value of its own", alias.Line)
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
	if len(f.aliasesOf(node)) > 0 {
		return nil, fmt.Errorf("line %d: another place uses this value by an alias; write it out there", node.Line)
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

// verifySettings compares the meaning of a file with what it was, with anchors
// resolved: what was set, and nothing else, may differ.
func (f *File) verifySettings(was *meaning, settings []Setting) error {
	for _, want := range settings {
		p, err := f.find(want.Key)
		if err != nil || p.node == nil || len(p.rest) > 0 || Text(p.value()) != want.Value ||
			p.value().Tag != yaml.NodeTagString && want.Value != "" {
			return fmt.Errorf("after the edit, %s is not %q; it may be set twice, to different values",
				want.Key, want.Value)
		}
		was = was.with(want)
	}

	is, err := meaningOf(f.root)
	if err != nil {
		return fmt.Errorf("after the edit, %w", err)
	}
	return sameMeaning(was, is)
}
