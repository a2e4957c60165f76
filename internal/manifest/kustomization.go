// Package manifest edits files: bytes in, bytes out. An edit changes only the
// bytes of the value that must change, so that comments, key order, quotes,
// indentation, line endings and blank lines stay as their author left them.
// The result is parsed again and compared before it is returned: an edit that
// would change anything else is an error, never a damaged file.
package manifest

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"sigs.k8s.io/kustomize/kyaml/yaml"

	"github.com/liverty-music/image-writeback/internal/image"
)

// ErrUnreadable is wrapped where a file cannot be parsed at all.
var ErrUnreadable = errors.New("the file cannot be read as YAML")

// ErrShape is wrapped where a file parses but cannot be edited safely; the
// message says what to change by hand.
var ErrShape = errors.New("the file cannot be edited safely")

// KustomizationNames are the file names that kustomize looks for, in its order.
var KustomizationNames = []string{"kustomization.yaml", "kustomization.yml", "Kustomization"}

// KustomizeImage is one entry of the images: list of a kustomization.
type KustomizeImage struct {
	Name string // what manifests call the image; the entry is found by it
	// NewName replaces Name. In an edit, empty leaves the entry's as it is.
	NewName string
	NewTag  string
	Digest  string // in an edit, empty removes the entry's digest, which would beat NewTag
}

// ReadKustomizeImage returns the entry of src for an image name. An entry is
// found by its exact name first, then by its name without a tag, then by the
// same image in another spelling; of several, the last, whose tag kustomize
// ends up with. The error wraps ErrUnreadable.
func ReadKustomizeImage(src []byte, name string) (entry KustomizeImage, found bool, err error) {
	s, err := parse(src)
	if err != nil {
		return KustomizeImage{}, false, err
	}
	node := s.entry(name)
	if node == nil {
		return KustomizeImage{Name: name}, false, nil
	}
	return readEntry(node), true, nil
}

func readEntry(node *yaml.Node) KustomizeImage {
	get := func(key string) string {
		_, v := lookup(node, key)
		return text(v)
	}
	return KustomizeImage{Name: get("name"), NewName: get("newName"), NewTag: get("newTag"), Digest: get("digest")}
}

// SetKustomizeImages returns src with the entries of all edits set, in one
// step. Entries and the list itself are added where they are missing. An edit
// that is in place already changes nothing, and src comes back as it was. The
// error wraps ErrUnreadable or ErrShape.
func SetKustomizeImages(src []byte, edits ...KustomizeImage) ([]byte, error) {
	s, err := parse(src)
	if err != nil {
		return nil, err
	}
	var splices []splice
	var missing []KustomizeImage
	wanted := s.wantedTags(edits)
	for i, edit := range edits {
		node := s.entry(edit.Name)
		if twin := slices.IndexFunc(edits[:i], func(e KustomizeImage) bool {
			return e.Name == edit.Name || sameName(e.Name, edit.Name) || node != nil && s.entry(e.Name) == node
		}); twin >= 0 {
			if edits[twin].NewTag != edit.NewTag || edits[twin].Digest != edit.Digest {
				return nil, fmt.Errorf("%w: images entry %s: two images want different versions there", ErrShape, edit.Name)
			}
			continue
		}
		if node == nil {
			missing = append(missing, edit)
			continue
		}
		changed, err := s.setEntry(node, edit, wanted)
		if err != nil {
			return nil, fmt.Errorf("%w: images entry %s: %w", ErrShape, edit.Name, err)
		}
		splices = append(splices, changed...)
	}
	if len(missing) > 0 {
		added, err := s.addEntries(missing)
		if err != nil {
			return nil, fmt.Errorf("%w: %w", ErrShape, err)
		}
		splices = append(splices, added...)
	}
	if len(splices) == 0 {
		return src, nil
	}
	result := s.apply(splices)
	if err := verify(s, result, edits); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrShape, err)
	}
	return result, nil
}

// kustomization is the root mapping of the document to edit: the first that
// has images:, else the first that is a mapping.
func (s *source) kustomization() *yaml.Node {
	var first *yaml.Node
	for i := range s.docs {
		root := s.root(i)
		if root == nil || root.Kind != yaml.MappingNode {
			continue
		}
		if _, v := lookup(root, "images"); v != nil {
			return root
		}
		if first == nil {
			first = root
		}
	}
	return first
}

// entry finds the mapping node of an image's entry, nil where there is none.
func (s *source) entry(name string) *yaml.Node {
	_, images := lookup(s.kustomization(), "images")
	if images == nil || images.Kind != yaml.SequenceNode {
		return nil
	}
	want, wantErr := image.ParseName(name)
	var exact, untagged, respelt *yaml.Node
	for _, item := range images.Content {
		if item.Kind == yaml.AliasNode {
			item = item.Alias
		}
		_, v := lookup(item, "name")
		if v == nil {
			continue
		}
		bare, _, _ := image.CutTag(text(v))
		got, err := image.ParseName(bare)
		switch {
		case text(v) == name:
			exact = item
		case bare == name:
			untagged = item
		case err == nil && wantErr == nil && got.SameImage(want):
			respelt = item
		}
	}
	for _, found := range []*yaml.Node{exact, untagged, respelt} {
		if found != nil {
			return found
		}
	}
	return nil
}

// setEntry makes an existing entry say what edit says.
func (s *source) setEntry(entry *yaml.Node, edit KustomizeImage, wanted map[*yaml.Node]string) ([]splice, error) {
	_, name := lookup(entry, "name")
	var splices []splice
	after := name // new keys follow the last one before them, in kustomize's own order
	for _, field := range []struct {
		key, value string
		keep       bool // an empty value leaves what is there
	}{
		{"newName", edit.NewName, true},
		{"newTag", edit.NewTag, false},
		{"digest", edit.Digest, false},
	} {
		key, node := lookup(entry, field.key)
		var p []splice
		var err error
		switch {
		case field.value == "" && field.keep, text(node) == field.value && (node != nil || field.value == ""):
		case node != nil && node.Kind == yaml.AliasNode && wanted[node.Alias] == field.value: // changes with its anchor
		case node == nil:
			p, err = s.addKey(entry, after, field.key, field.value)
		case field.value == "":
			p, err = s.removeKey(entry, key, node)
		default:
			p, err = s.setValue(key, node, field.value, wanted)
		}
		if err != nil {
			return nil, fmt.Errorf("%s: %w", field.key, err)
		}
		splices = append(splices, p...)
		if node != nil && (field.value != "" || field.keep) {
			after = node
		}
	}
	return splices, nil
}

// setValue replaces the bytes of one value.
func (s *source) setValue(key, node *yaml.Node, value string, wanted map[*yaml.Node]string) ([]splice, error) {
	if node.Kind == yaml.ScalarNode && node.Tag == yaml.NodeTagNull && node.Value == "" {
		_, end, err := s.valueSpan(key)
		if err != nil {
			return nil, err
		}
		colon := end + strings.IndexByte(string(s.text[end:]), ':') + 1
		return []splice{{colon, colon, " " + scalar(value, 0, s.quote())}}, nil
	}
	if err := s.sharedAnchor(node, value, wanted); err != nil {
		return nil, err
	}
	start, end, err := s.valueSpan(node)
	if err != nil {
		return nil, err
	}
	return []splice{{start, end, scalar(value, node.Style, s.quote())}}, nil
}

// wantedTags maps the newTag nodes of all edited entries to what they shall say.
func (s *source) wantedTags(edits []KustomizeImage) map[*yaml.Node]string {
	wanted := map[*yaml.Node]string{}
	for _, edit := range edits {
		if _, v := lookup(s.entry(edit.Name), "newTag"); v != nil {
			wanted[v] = edit.NewTag
		}
	}
	return wanted
}

// sharedAnchor refuses to change an anchored value that another place takes
// over through an alias, unless that place is to get the same value.
func (s *source) sharedAnchor(node *yaml.Node, value string, wanted map[*yaml.Node]string) error {
	for _, alias := range s.aliases(node) {
		if wanted[alias] != value {
			return fmt.Errorf("line %d takes over this value as *%s and would change with it; give one of the two a value of its own", alias.Line, node.Anchor)
		}
	}
	return nil
}

// addKey inserts a key behind the value that it follows: on a line of its own
// in the entry's indentation, or within the braces of an inline map.
func (s *source) addKey(entry, after *yaml.Node, key, value string) ([]splice, error) {
	_, end, err := s.valueSpan(after)
	if err != nil {
		return nil, err
	}
	if entry.Style&yaml.FlowStyle != 0 {
		first := entry.Content[0]
		return []splice{{end, end, fmt.Sprintf(", %s: %s", scalar(key, first.Style, '"'), scalar(value, after.Style, s.quote()))}}, nil
	}
	indent := margin(entry)
	return []splice{s.insertLines(s.lineEnd(end), indent+key+": "+scalar(value, after.Style, s.quote()))}, nil
}

// removeKey takes a key and its value out: its line, or its part of an inline map.
func (s *source) removeKey(entry, key, node *yaml.Node) ([]splice, error) {
	start := s.offset(key)
	_, end, err := s.valueSpan(node)
	if err != nil {
		return nil, err
	}
	first := entry.Content[0] == key
	if first && len(entry.Content) == 2 {
		return nil, errors.New("it is all that the entry holds")
	}
	if first { // The next key moves up to where this one began.
		return []splice{{start, s.offset(entry.Content[2]), ""}}, nil
	}
	if entry.Style&yaml.FlowStyle != 0 {
		comma := strings.LastIndexByte(string(s.text[:start]), ',')
		return []splice{{comma, end, ""}}, nil
	}
	lineStart, lineEnd := s.lineStart(start), s.lineEnd(end)
	if lineEnd == len(s.text) && !s.endsInBreak() {
		lineStart -= len(s.eol)
	}
	return []splice{{lineStart, lineEnd, ""}}, nil
}

func (s *source) endsInBreak() bool {
	return len(s.text) > 0 && s.lines[len(s.lines)-1] == len(s.text)
}

// insertLines puts lines at an offset that begins a line, or at the end of a
// file whose last line may lack its break; such a file still lacks it after.
func (s *source) insertLines(at int, lines ...string) splice {
	joined := strings.Join(lines, s.eol)
	if at == len(s.text) && at > 0 && !s.endsInBreak() {
		return splice{at, at, s.eol + joined}
	}
	return splice{at, at, joined + s.eol}
}

// addEntries adds entries to the images: list, and the list where there is
// none, in the style and indentation of the file.
func (s *source) addEntries(entries []KustomizeImage) ([]splice, error) {
	root := s.kustomization()
	if first := s.root(0); root == nil && first != nil && first.Tag != yaml.NodeTagNull {
		return nil, errors.New("it is no kustomization: a mapping with images: is expected")
	}
	var items []piece
	for _, e := range entries {
		items = append(items, e.piece())
	}
	return s.addToList(root, true, "images", items)
}

// piece has the keys of an entry that have a value, in kustomize's order.
func (e KustomizeImage) piece() piece {
	var p piece
	for _, f := range [][2]string{{"name", e.Name}, {"newName", e.NewName}, {"newTag", e.NewTag}, {"digest", e.Digest}} {
		if f[1] != "" {
			p.fields = append(p.fields, field{f[0], piece{value: f[1]}})
		}
	}
	return p
}
