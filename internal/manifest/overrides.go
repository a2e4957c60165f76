package manifest

import (
	"errors"
	"fmt"
	"reflect"
	"strings"

	"sigs.k8s.io/kustomize/kyaml/yaml"

	"github.com/liverty-music/image-writeback/internal/image"
)

// KustomizeOverrides is the format of Argo CD's .argocd-source files for a
// Kustomize source, and of spec.source itself: a list kustomize.images of
// [name=]image[:tag][@digest].
type KustomizeOverrides struct{}

// HelmOverrides is the format of Argo CD's .argocd-source files for a Helm
// source, and of spec.source itself: a list helm.parameters of name, value and
// forcestring, which an Application spells forceString.
type HelmOverrides struct{ InApplication bool }

func (h HelmOverrides) force() string {
	if h.InApplication {
		return "forceString"
	}
	return "forcestring"
}

// Place is the name of the entry.
func (KustomizeOverrides) Place(e Entry) string { return e.name() }

// Place is the name of the parameter that holds the version.
func (HelmOverrides) Place(e Entry) string { return e.helmKey() }

// Read returns what the list says of an image.
func (KustomizeOverrides) Read(src []byte, e Entry) (Version, error) {
	_, root, err := values(src)
	if err != nil {
		return Version{}, err
	}
	list, err := overrideList(root, "kustomize", "images")
	if err != nil {
		return Version{}, err
	}
	item := e.kustomizeItem(list)
	if item == nil {
		return Version{}, nil
	}
	return referenceVersion(imagePart(text(item)), "kustomize.images")
}

// imagePart is what follows the name in [name=]image.
func imagePart(s string) string {
	if _, after, ok := strings.Cut(s, "="); ok {
		return after
	}
	return s
}

// kustomizeItem finds an image's item: by the name that manifests have, as
// Argo CD does; where the annotations tell no name, else by the image that it
// becomes.
func (e Entry) kustomizeItem(list *yaml.Node) *yaml.Node {
	if list == nil {
		return nil
	}
	var byImage *yaml.Node
	for _, item := range list.Content {
		value := text(item)
		to := imagePart(value)
		name := strings.TrimSuffix(strings.TrimSuffix(value, to), "=")
		bare := bareName(to)
		if name == "" {
			name = bare
		}
		switch {
		case name == e.name() || sameName(name, e.name()):
			return item
		case byImage == nil && e.KustomizeName == "" && sameName(bare, e.Image):
			byImage = item
		}
	}
	return byImage
}

func sameName(a, b string) bool {
	x, errX := image.ParseName(a)
	y, errY := image.ParseName(b)
	return errX == nil && errY == nil && x.SameImage(y)
}

// Set sets or adds the images.
func (KustomizeOverrides) Set(src []byte, entries ...Entry) ([]byte, error) {
	return setOverrides(src, entries, KustomizeOverrides{}.Read, "kustomize", "images", func(s *source, list *yaml.Node, e Entry) ([]splice, []piece, error) {
		item := e.kustomizeItem(list)
		if item == nil {
			value := e.reference(e.Image)
			if e.KustomizeName != "" {
				value = e.KustomizeName + "=" + value
			}
			return nil, []piece{{value: value}}, nil
		}
		old := text(item)
		to := imagePart(old)
		bare := bareName(to)
		if !sameName(bare, e.Image) {
			bare = e.Image
		}
		value := strings.TrimSuffix(old, to) + e.reference(bare)
		if e.KustomizeName != "" && old == to {
			value = e.KustomizeName + "=" + value
		}
		splices, err := s.setScalar(item, value)
		return splices, nil, err
	})
}

// Read returns what the parameters of an image say.
func (HelmOverrides) Read(src []byte, e Entry) (Version, error) {
	_, root, err := values(src)
	if err != nil {
		return Version{}, err
	}
	list, err := overrideList(root, "helm", "parameters")
	if err != nil {
		return Version{}, err
	}
	if e.HelmSpec == "" {
		return version(parameter(list, e.HelmTag)), nil
	}
	got := parameter(list, e.HelmSpec)
	if got == "" {
		return Version{}, nil
	}
	return referenceVersion(got, "the parameter "+e.HelmSpec)
}

func parameter(list *yaml.Node, name string) string {
	_, v := lookup(parameterNode(list, name), "value")
	return text(v)
}

// parameterNode is the last item of a name, which counts for Helm.
func parameterNode(list *yaml.Node, name string) *yaml.Node {
	if list == nil {
		return nil
	}
	var found *yaml.Node
	for _, item := range list.Content {
		if _, v := lookup(item, "name"); v != nil && text(v) == name {
			found = item
		}
	}
	return found
}

// Set sets or adds the parameters.
func (h HelmOverrides) Set(src []byte, entries ...Entry) ([]byte, error) {
	return setOverrides(src, entries, h.Read, "helm", "parameters", func(s *source, list *yaml.Node, e Entry) ([]splice, []piece, error) {
		wanted := []setting{{KeyPath(e.HelmName), e.spelt(parameter(list, e.HelmName))}, {KeyPath(e.HelmTag), image.Version(e.Tag, e.Digest)}}
		if e.HelmSpec != "" {
			wanted = []setting{{KeyPath(e.HelmSpec), e.reference(e.Image)}}
		}
		var splices []splice
		var missing []piece
		for _, want := range wanted {
			node := parameterNode(list, string(want.key))
			if node == nil {
				missing = append(missing, piece{fields: []field{
					{"name", piece{value: string(want.key)}}, {"value", piece{value: want.value}}, {h.force(), piece{value: "true", truth: true}}}})
				continue
			}
			set, err := s.setParameter(node, want.value, h.force())
			if err != nil {
				return nil, nil, fmt.Errorf("parameter %s: %w", want.key, err)
			}
			splices = append(splices, set...)
		}
		return splices, missing, nil
	})
}

func (s *source) setParameter(node *yaml.Node, value, forceKey string) ([]splice, error) {
	_, force := lookup(node, "forcestring") // Argo CD takes both spellings in a file
	if force == nil {
		_, force = lookup(node, "forceString")
	}
	_, have := lookup(node, "value")
	var splices []splice
	var err error
	if have != nil {
		splices, err = s.setScalar(have, value)
	} else {
		var added splice
		added, err = s.addField(node, false, field{"value", piece{value: value}})
		splices = []splice{added}
	}
	switch {
	case err != nil || text(have) == value:
	case force == nil:
		var added splice
		added, err = s.addField(node, false, field{forceKey, piece{value: "true", truth: true}})
		splices = append(splices, added)
	case force.Value != "true":
		start, end, spanErr := s.valueSpan(force)
		splices, err = append(splices, splice{start, end, "true"}), spanErr
	}
	return splices, err
}

// setScalar replaces one plain value that nothing else takes over.
func (s *source) setScalar(node *yaml.Node, value string) ([]splice, error) {
	if text(node) == value {
		return nil, nil
	}
	if len(s.aliases(node)) > 0 {
		return nil, fmt.Errorf("line %d: another place takes over this value as *%s; write it out there", node.Line, node.Anchor)
	}
	start, end, err := s.valueSpan(node)
	return []splice{{start, end, scalar(value, node.Style, s.quote())}}, err
}

// overrideList is the list at two keys, nil where it is not there.
func overrideList(root *yaml.Node, outer, inner string) (*yaml.Node, error) {
	_, section := lookup(root, outer)
	_, list := lookup(section, inner)
	for _, n := range []*yaml.Node{section, list} {
		if n != nil && n.Kind == yaml.AliasNode {
			return nil, fmt.Errorf("%w: line %d: an alias stands where %s.%s is expected; write it out", ErrShape, n.Line, outer, inner)
		}
	}
	if section != nil && section.Kind != yaml.MappingNode && section.Tag != yaml.NodeTagNull ||
		list != nil && list.Kind != yaml.SequenceNode && list.Tag != yaml.NodeTagNull {
		return nil, fmt.Errorf("%w: %s.%s is no list", ErrShape, outer, inner)
	}
	if list == nil || list.Kind != yaml.SequenceNode {
		return nil, nil
	}
	return list, nil
}

// setOverrides edits the list at two keys with one entry after the other.
func setOverrides(src []byte, entries []Entry, read func([]byte, Entry) (Version, error), outer, inner string, edit func(*source, *yaml.Node, Entry) ([]splice, []piece, error)) ([]byte, error) {
	result := src
	for _, e := range entries {
		s, root, err := values(result)
		if err != nil {
			return nil, err
		}
		list, err := overrideList(root, outer, inner)
		if err != nil {
			return nil, err
		}
		splices, missing, err := edit(s, list, e)
		if err == nil && len(missing) > 0 {
			var added []splice
			added, err = s.addOverrides(root, outer, inner, missing)
			splices = append(splices, added...)
		}
		if err != nil {
			return nil, fmt.Errorf("%w: %s.%s: %w", ErrShape, outer, inner, err)
		}
		if len(splices) > 0 {
			result = s.apply(splices)
		}
	}
	for _, e := range entries {
		if v, err := read(result, e); err != nil || v.Tag != e.Tag || v.Digest != e.Digest {
			return nil, fmt.Errorf("%w: after the edit %s.%s does not say %s for %s; two images may have one place there", ErrShape, outer, inner, image.Version(e.Tag, e.Digest), e.Image)
		}
	}
	if err := verifyOverrides(src, result, outer, inner); err != nil {
		return nil, err
	}
	return result, nil
}

// addOverrides puts items into the list at two keys, and makes both.
func (s *source) addOverrides(root *yaml.Node, outer, inner string, items []piece) ([]splice, error) {
	key, section := lookup(root, outer)
	both := piece{fields: []field{{inner, piece{items: items}}}}
	switch {
	case section == nil:
		one, err := s.addField(root, true, field{outer, both})
		return []splice{one}, err
	case len(section.Content) == 0:
		return s.fill(root, key, section, both)
	}
	return s.addToList(section, false, inner, items)
}

// verifyOverrides sees to it that nothing but the list changed, and that its
// items are of their kind still.
func verifyOverrides(before, after []byte, outer, inner string) error {
	was, err := decoded(before)
	if err != nil {
		return err
	}
	is, err := decoded(after)
	if err != nil {
		return fmt.Errorf("%w: after the edit %w", ErrShape, err)
	}
	for _, all := range []map[string]any{was, is} {
		section, _ := all[outer].(map[string]any)
		delete(section, inner)
		if len(section) == 0 {
			delete(all, outer)
		}
	}
	if !reflect.DeepEqual(was, is) {
		return fmt.Errorf("%w: %w", ErrShape, errors.New("the edit would change more than the image; simplify the file by hand"))
	}
	return nil
}
