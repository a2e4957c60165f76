package manifest

import (
	"errors"
	"fmt"
	"slices"

	"sigs.k8s.io/kustomize/kyaml/yaml"

	"github.com/liverty-music/image-writeback/internal/image"
	"github.com/liverty-music/image-writeback/internal/yamledit"
)

// KustomizationNames are the file names that kustomize looks for, in its order.
var KustomizationNames = []string{"kustomization.yaml", "kustomization.yml", "Kustomization"}

// Kustomization is the format of kustomization.yaml: an entry of images: with
// newTag, with digest for a digest, and with newName where manifests call the
// image something else.
type Kustomization struct{}

// Key is the name of the entry.
func (Kustomization) Key(e Entry) string { return e.name() }

// Open parses a kustomization.
func (Kustomization) Open(src []byte) (Images, error) {
	k, err := parseKustomization(src)
	return k, err
}

// Set sets the entries.
func (Kustomization) Set(src []byte, entries ...Entry) ([]byte, error) {
	edits := make([]kustomizeImage, len(entries))
	for i, e := range entries {
		edits[i] = kustomizeImage{Name: e.name(), NewTag: e.Version.Tag, Digest: e.Version.Digest}
		if e.name() != e.Image {
			edits[i].NewName = e.Image
		}
	}
	return setKustomizeImages(src, edits...)
}

// kustomizeImage is one entry of the images: list of a kustomization.
type kustomizeImage struct {
	Name string // what manifests call the image; the entry is found by it
	// NewName replaces Name. In an edit, empty leaves the entry's as it is.
	NewName string
	NewTag  string
	Digest  string // in an edit, empty removes the entry's digest, which kustomize prefers to NewTag
}

// kustomization is a kustomization.yaml that was parsed.
type kustomization struct {
	*yamledit.File
	root    *yaml.Node                         // the map to edit; nil if there is none
	entries map[spelling]map[string]*yaml.Node // of images:
}

// spelling is how the name of an entry is compared with that of an image.
type spelling int

// The spellings, the preferred one first.
const (
	exactly    spelling = iota
	withoutTag          // the name of the entry has a tag
	sameImage           // another spelling of the same image
)

func parseKustomization(src []byte) (*kustomization, error) {
	f, err := yamledit.Parse(src)
	if err != nil {
		return nil, err
	}

	k := &kustomization{File: f}
	k.root = k.findRoot()
	k.entries = entriesOf(k.root)
	return k, nil
}

// entriesOf returns the entries of images: by their names; of several with one
// name, the last.
func entriesOf(root *yaml.Node) map[spelling]map[string]*yaml.Node {
	entries := map[spelling]map[string]*yaml.Node{exactly: {}, withoutTag: {}, sameImage: {}}
	_, images := yamledit.Lookup(root, "images")
	if images == nil || images.Kind != yaml.SequenceNode {
		return entries
	}

	for _, node := range images.Content {
		if node.Kind == yaml.AliasNode {
			node = node.Alias
		}
		_, v := yamledit.Lookup(node, "name")
		if v == nil {
			continue
		}

		name := yamledit.Text(v)
		bare, _, _ := image.CutTag(name)
		entries[exactly][name] = node
		if bare != name {
			entries[withoutTag][bare] = node
		}
		entries[sameImage][comparableName(bare)] = node
	}
	return entries
}

// entry finds the node of an image's entry: by its exact name first, then by its
// name without a tag, then by the same image in another spelling; of several, the
// last, whose tag kustomize ends up with. It is nil where there is none.
func (k *kustomization) entry(name string) *yaml.Node {
	for _, found := range []*yaml.Node{
		k.entries[exactly][name], k.entries[withoutTag][name], k.entries[sameImage][comparableName(name)],
	} {
		if found != nil {
			return found
		}
	}
	return nil
}

// Version returns the newTag and the digest of an image's entry.
func (k *kustomization) Version(e Entry) (Version, error) {
	node := k.entry(e.name())
	if node == nil {
		return Version{}, nil
	}
	entry := readEntry(node)
	v := image.Version{Tag: entry.NewTag, Digest: entry.Digest}
	return Version{Version: v, Shown: shown(v, true), Found: true}, nil
}

func readEntry(node *yaml.Node) kustomizeImage {
	get := func(key string) string {
		_, v := yamledit.Lookup(node, key)
		return yamledit.Text(v)
	}
	return kustomizeImage{Name: get("name"), NewName: get("newName"), NewTag: get("newTag"), Digest: get("digest")}
}

// setKustomizeImages sets the entries of all edits, in one step. Entries and
// the list itself are added where they are missing.
func setKustomizeImages(src []byte, edits ...kustomizeImage) ([]byte, error) {
	k, err := parseKustomization(src)
	if err != nil {
		return nil, err
	}

	var splices []yamledit.Splice
	var missing []kustomizeImage
	wanted := k.wantedTags(edits)
	for i, edit := range edits {
		node := k.entry(edit.Name)
		if twin := k.twin(edits[:i], edit, node); twin != nil {
			if twin.NewTag != edit.NewTag || twin.Digest != edit.Digest {
				return nil, fmt.Errorf("%w: images entry %s: two images want different versions there",
					yamledit.ErrShape, edit.Name)
			}
			continue
		}
		if node == nil {
			missing = append(missing, edit)
			continue
		}

		changed, err := k.setEntry(node, edit, wanted)
		if err != nil {
			return nil, fmt.Errorf("%w: images entry %s: %w", yamledit.ErrShape, edit.Name, err)
		}
		splices = append(splices, changed...)
	}

	if len(missing) > 0 {
		added, err := k.addEntries(missing)
		if err != nil {
			return nil, fmt.Errorf("%w: %w", yamledit.ErrShape, err)
		}
		splices = append(splices, added...)
	}

	if len(splices) == 0 {
		return src, nil
	}
	result := k.Apply(splices)
	if err := k.verify(result, edits); err != nil {
		return nil, fmt.Errorf("%w: %w", yamledit.ErrShape, err)
	}
	return result, nil
}

// twin returns the edit that sets the same entry as edit, whose node is given.
func (k *kustomization) twin(earlier []kustomizeImage, edit kustomizeImage, node *yaml.Node) *kustomizeImage {
	i := slices.IndexFunc(earlier, func(e kustomizeImage) bool {
		return e.Name == edit.Name || sameName(e.Name, edit.Name) || node != nil && k.entry(e.Name) == node
	})
	if i < 0 {
		return nil
	}
	return &earlier[i]
}

// findRoot returns the map of the document to edit: the first that has images:,
// else the first that is a map.
func (k *kustomization) findRoot() *yaml.Node {
	var first *yaml.Node
	for i := range k.Documents() {
		root := k.Root(i)
		if root == nil || root.Kind != yaml.MappingNode {
			continue
		}
		if _, v := yamledit.Lookup(root, "images"); v != nil {
			return root
		}
		if first == nil {
			first = root
		}
	}
	return first
}

// setEntry makes an edit of an existing entry.
func (k *kustomization) setEntry(
	entry *yaml.Node, edit kustomizeImage, wanted map[*yaml.Node]string,
) ([]yamledit.Splice, error) {
	_, name := yamledit.Lookup(entry, "name")
	var splices []yamledit.Splice
	after := name // new keys follow the last one before them, in kustomize's own order
	for _, field := range []struct {
		key, value string
		keep       bool // an empty value leaves what is there
	}{
		{"newName", edit.NewName, true},
		{"newTag", edit.NewTag, false},
		{"digest", edit.Digest, false},
	} {
		key, node := yamledit.Lookup(entry, field.key)
		var p []yamledit.Splice
		var err error
		switch {
		case field.value == "" && field.keep:
		case yamledit.Text(node) == field.value && (node != nil || field.value == ""):
		case node != nil && node.Kind == yaml.AliasNode && wanted[node.Alias] == field.value:
			// It changes with its anchor.
		case node == nil:
			p, err = k.AddFieldAfter(entry, after, field.key, field.value)
		case field.value == "":
			p, err = k.RemoveField(entry, key, node)
		default:
			p, err = k.SetValue(key, node, field.value, wanted)
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

// wantedTags maps the newTag nodes of all edited entries to their new values.
func (k *kustomization) wantedTags(edits []kustomizeImage) map[*yaml.Node]string {
	wanted := map[*yaml.Node]string{}
	for _, edit := range edits {
		if _, v := yamledit.Lookup(k.entry(edit.Name), "newTag"); v != nil {
			wanted[v] = edit.NewTag
		}
	}
	return wanted
}

// addEntries adds entries to the images: list, and the list where there is
// none, in the style and indentation of the file.
func (k *kustomization) addEntries(entries []kustomizeImage) ([]yamledit.Splice, error) {
	root := k.root
	if first := k.Root(0); root == nil && first != nil && first.Tag != yaml.NodeTagNull {
		return nil, errors.New("it is not a kustomization; expected a map with images")
	}

	var items []yamledit.Value
	for _, e := range entries {
		items = append(items, e.value())
	}
	return k.AddItems(root, []string{"images"}, items)
}

// value has the keys of an entry that have a value, in kustomize's order.
func (e kustomizeImage) value() yamledit.Value {
	var v yamledit.Value
	for _, field := range []struct{ key, value string }{
		{"name", e.Name},
		{"newName", e.NewName},
		{"newTag", e.NewTag},
		{"digest", e.Digest},
	} {
		if field.value != "" {
			v.Fields = append(v.Fields, yamledit.Field{Key: field.key, Value: yamledit.Value{Text: field.value}})
		}
	}
	return v
}

// verify parses the result of an edit and compares it with what was there:
// the edited entries have the values that were asked for, and nothing else
// differs.
func (k *kustomization) verify(result []byte, edits []kustomizeImage) error {
	after, err := parseKustomization(result)
	if err != nil {
		return fmt.Errorf("after the edit, %w", err)
	}

	edited := map[*yaml.Node]bool{}
	for _, edit := range edits {
		node := after.entry(edit.Name)
		if err := verifyEntry(node, edit); err != nil {
			return fmt.Errorf("after the edit, %w", err)
		}
		edited[node] = true
		if old := k.entry(edit.Name); old != nil {
			edited[old] = true
		}
	}

	if !k.sameDocuments(after, edited) {
		return errors.New("the edit would change more than the image; simplify the images: list by hand")
	}
	return nil
}

// verifyEntry compares an entry with the edit that was made.
func verifyEntry(node *yaml.Node, edit kustomizeImage) error {
	if node == nil {
		return fmt.Errorf("there is no entry for %s", edit.Name)
	}
	got := readEntry(node)
	if got.NewTag != edit.NewTag || got.Digest != edit.Digest || edit.NewName != "" && got.NewName != edit.NewName {
		return fmt.Errorf("the entry for %s does not have the version that was set", edit.Name)
	}
	for _, key := range []string{"newTag", "digest", "newName"} {
		_, v := yamledit.Lookup(node, key)
		if v != nil && v.Kind == yaml.ScalarNode && v.Tag != yaml.NodeTagString {
			return fmt.Errorf("%s of %s is not a string", key, edit.Name)
		}
	}
	return nil
}

// sameDocuments compares all but the edited entries. A document or a list
// that was not there before counts as an empty one.
func (k *kustomization) sameDocuments(after *kustomization, edited map[*yaml.Node]bool) bool {
	a, b := k.root, after.root
	for i := range max(k.Documents(), after.Documents()) {
		x, y := k.Root(i), after.Root(i)
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
		if !yamledit.Equal(x, y, nil) {
			return false
		}
	}
	return true
}

func sameKustomization(a, b *yaml.Node, edited map[*yaml.Node]bool) bool {
	if a == nil || b == nil {
		return a == nil && b != nil
	}
	return yamledit.Equal(withoutImages(a), withoutImages(b), edited) &&
		yamledit.Equal(otherImages(a, edited), otherImages(b, edited), edited)
}

// withoutImages is a kustomization without its images: list.
func withoutImages(root *yaml.Node) *yaml.Node {
	out := &yaml.Node{Kind: root.Kind}
	key, list := yamledit.Lookup(root, "images")
	for _, n := range root.Content {
		if key == nil || n != key && n != list {
			out.Content = append(out.Content, n)
		}
	}
	return out
}

// otherImages is the images: list without the edited entries; a missing list
// and null are the empty list.
func otherImages(root *yaml.Node, edited map[*yaml.Node]bool) *yaml.Node {
	_, list := yamledit.Lookup(root, "images")
	out := &yaml.Node{Kind: yaml.SequenceNode}
	if list == nil || list.Tag == yaml.NodeTagNull {
		return out
	}

	out.Kind = list.Kind
	for _, n := range list.Content {
		if !edited[n] {
			out.Content = append(out.Content, n)
		}
	}
	return out
}
