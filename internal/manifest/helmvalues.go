package manifest

import (
	"fmt"
	"slices"
	"strings"

	"sigs.k8s.io/kustomize/kyaml/yaml"

	"github.com/liverty-music/image-writeback/internal/image"
)

// HelmValues is the format of a Helm values file: an image stands there under
// one key with its whole reference, or under two, of its name and of its tag.
type HelmValues struct{}

// setting is one key with the value that it is to have.
type setting struct {
	key   KeyPath
	value string
}

// Place is the key that holds the version.
func (HelmValues) Place(e Entry) string { return e.helmKey() }

// Read returns what the keys of an image say. A tag's key with an empty value
// says nothing: charts take their own version then.
func (HelmValues) Read(src []byte, e Entry) (Version, error) {
	s, root, err := values(src)
	if err != nil {
		return Version{}, err
	}
	key := KeyPath(e.helmKey())
	got, p, err := s.get(root, key)
	if err != nil {
		return Version{}, fmt.Errorf("%w: %s: %w", ErrShape, key, err)
	}
	v := version(got)
	if e.HelmSpec != "" && got != "" {
		if v, err = referenceVersion(got, string(key)); err != nil {
			return Version{}, err
		}
		v.Found = v.String() != "" // a name alone says nothing of a version
	}
	if p.node == nil {
		v.Missing = string(key)
	}
	return v, nil
}

// Set sets the keys of all entries. Keys that are missing are added. A value
// that other places take over stays theirs: the anchor moves on to the first
// of them, unless they are to get the same value.
func (HelmValues) Set(src []byte, entries ...Entry) ([]byte, error) {
	_, root, err := values(src)
	if err != nil {
		return nil, err
	}
	var settings []setting
	for _, e := range entries {
		wanted, err := e.settings(root)
		if err != nil {
			return nil, err
		}
		for _, want := range wanted {
			if !slices.ContainsFunc(settings, func(s setting) bool { return s.key == want.key && sameReference(s.value, want.value) }) {
				settings = append(settings, want)
			}
		}
	}
	result := src
	for _, want := range settings {
		s, root, err := values(result)
		if err != nil {
			return nil, err
		}
		splices, err := s.setKey(root, want, settings)
		if err != nil {
			return nil, fmt.Errorf("%w: %s: %w", ErrShape, want.key, err)
		}
		if len(splices) > 0 {
			result = s.apply(splices)
		}
	}
	if err := verifySettings(src, result, settings); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrShape, err)
	}
	return result, nil
}

// sameReference tells whether two values are one, or one image in two spellings.
func sameReference(a, b string) bool {
	x, errX := image.ParseRunning(a)
	y, errY := image.ParseRunning(b)
	return a == b || errX == nil && errY == nil && x.SameImage(y) && x.Version() == y.Version()
}

func values(src []byte) (*source, *yaml.Node, error) {
	s, err := parse(src)
	if err != nil {
		return nil, nil, err
	}
	root, err := s.only()
	if err != nil {
		return nil, nil, fmt.Errorf("%w: %w", ErrShape, err)
	}
	return s, root, nil
}

// settings are the keys that an entry sets. The image's name stays as the file
// has it where that is the same image, with or without its registry, which
// many charts keep under a key of its own.
func (e Entry) settings(root *yaml.Node) ([]setting, error) {
	key := KeyPath(e.HelmName)
	if e.HelmSpec != "" {
		key = KeyPath(e.HelmSpec)
	}
	p, err := key.find(root)
	if err != nil {
		return nil, fmt.Errorf("%w: %s: %w", ErrShape, key, err)
	}
	old := text(p.value())
	if e.HelmSpec != "" {
		return []setting{{key, e.reference(e.spelt(bareName(old)))}}, nil
	}
	return []setting{{key, e.spelt(old)}, {KeyPath(e.HelmTag), image.Version(e.Tag, e.Digest)}}, nil
}

// spelt is the entry's image in the form that a file has: as it is where it is
// the same image, without registry where it had none.
func (e Entry) spelt(old string) string {
	want, err := image.ParseName(e.Image)
	if err != nil || old == "" {
		return e.Image
	}
	have, err := image.ParseName(old)
	short := want.Repository
	if want.Registry == image.DockerHub {
		short = strings.TrimPrefix(short, "library/")
	}
	switch {
	case err != nil:
		return e.Image
	case have.SameImage(want), old == want.Repository:
		return old
	case have.Registry == image.DockerHub && !strings.HasPrefix(old, image.DockerHub+"/"):
		return short
	}
	return e.Image
}

// get is the text under a key, and where it stands.
func (s *source) get(root *yaml.Node, key KeyPath) (string, spot, error) {
	p, err := key.find(root)
	if err != nil {
		return "", p, err
	}
	if p.node == nil || len(p.rest) > 0 {
		p.node = nil
		return "", p, nil
	}
	return text(p.value()), p, nil
}

// setKey makes one key say what it shall.
func (s *source) setKey(root *yaml.Node, want setting, all []setting) ([]splice, error) {
	p, err := want.key.find(root)
	if err != nil {
		return nil, err
	}
	value := piece{value: want.value}
	switch {
	case len(p.rest) > 0 && p.node != nil: // a map that is empty so far
		if len(p.via) > 0 || p.merged || p.node.Kind == yaml.AliasNode {
			return nil, errTakenOver(p.via, p.node)
		}
		return s.fill(p.mapping, p.key, p.node, nested(p.rest, value))
	case len(p.rest) > 0:
		f := field{p.rest[0], nested(p.rest[1:], value)}
		if len(p.via) > 0 {
			return s.override(root, p, f)
		}
		if err := s.shared(root, p.mapping, want, all); err != nil {
			return nil, err
		}
		one, err := s.addField(p.mapping, p.mapping == root, f)
		return []splice{one}, err
	case text(p.value()) == want.value && (p.value().Tag == yaml.NodeTagString || want.value == ""):
		return nil, nil
	case len(p.via) > 0 && s.setDirectly(root, p.value(), want, all):
		return nil, nil
	case len(p.via) > 0 || p.merged:
		return s.override(root, p, field{p.key.Value, value})
	case p.node.Kind == yaml.AliasNode && s.setDirectly(root, p.node.Alias, want, all):
		return nil, nil
	}
	if err := s.shared(root, p.mapping, want, all); err != nil {
		return nil, err
	}
	return s.replace(root, p, want, all)
}

// replace sets a value in its place. An anchor on it moves to the first alias
// that keeps the old value.
func (s *source) replace(root *yaml.Node, p spot, want setting, all []setting) ([]splice, error) {
	node := p.node
	if node.Kind == yaml.ScalarNode && node.Tag == yaml.NodeTagNull && node.Value == "" && node.Anchor == "" {
		return s.setValue(p.key, node, want.value, nil)
	}
	start, end, err := s.valueSpan(node)
	if err != nil {
		return nil, err
	}
	style := node.Style
	if node.Kind == yaml.AliasNode {
		style = node.Alias.Style
	}
	set := splice{start, end, scalar(want.value, style, s.quote())}
	if node.Kind == yaml.ScalarNode && strings.HasPrefix(string(s.text[s.offset(node):]), "!") {
		set.start = s.offset(node) // a tag such as !!float would not hold any more
	}
	if node.Kind != yaml.ScalarNode || node.Anchor == "" {
		return []splice{set}, nil
	}
	for _, alias := range s.aliases(node) {
		if s.aliasSet(root, alias, want, all) {
			continue
		}
		from, to, err := s.valueSpan(alias)
		if err != nil {
			return nil, err
		}
		old := string(s.text[s.offset(node):end])
		set.start = s.offset(node)
		return []splice{set, {from, to, old}}, nil
	}
	return []splice{set}, nil
}
