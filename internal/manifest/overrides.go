package manifest

import (
	"fmt"

	"sigs.k8s.io/kustomize/kyaml/yaml"

	"github.com/liverty-music/image-writeback/internal/yamledit"
)

// overrideList names a list in a file of overrides, in which Argo CD keeps
// what differs from the repository: kustomize.images or helm.parameters.
type overrideList struct{ section, list string }

func (l overrideList) String() string { return l.section + "." + l.list }

// overrides is a file of overrides that was parsed. The list is nil where the
// file does not have it.
type overrides struct {
	file *yamledit.File
	root *yaml.Node
	list *yaml.Node
}

// item is an item that a list does not have yet, with the name that it is found
// by, the same for all spellings.
type item struct {
	name  string
	value yamledit.Value
}

// overrideItems are the images of a file of overrides: the items of its list.
type overrideItems interface {
	Images
	// edit returns the edits of the items that an entry has in the list, and
	// the items that it does not have yet.
	edit(e Entry) (splices []yamledit.Splice, missing []item, err error)
}

// items are the items of the list.
func (o overrides) items() []*yaml.Node {
	if o.list == nil {
		return nil
	}
	return o.list.Content
}

// open parses a file and finds its list.
func (l overrideList) open(src []byte) (o overrides, err error) {
	if o.file, o.root, err = yamledit.ParseMap(src); err != nil {
		return o, err
	}

	_, section := yamledit.Lookup(o.root, l.section)
	_, list := yamledit.Lookup(section, l.list)
	for _, n := range []*yaml.Node{section, list} {
		if n != nil && n.Kind == yaml.AliasNode {
			return o, fmt.Errorf("%w: line %d: %s is an alias; write it out", yamledit.ErrShape, n.Line, l)
		}
	}

	if section != nil && section.Kind != yaml.MappingNode && section.Tag != yaml.NodeTagNull ||
		list != nil && list.Kind != yaml.SequenceNode && list.Tag != yaml.NodeTagNull {
		return o, fmt.Errorf("%w: %s is not a list", yamledit.ErrShape, l)
	}
	if list != nil && list.Kind == yaml.SequenceNode {
		o.list = list
	}
	return o, nil
}

// set edits the list for all entries, and verifies the result. items reads the
// list of a file.
func (l overrideList) set(items func(overrides) overrideItems, src []byte, entries []Entry) ([]byte, error) {
	before, err := l.open(src)
	if err != nil {
		return nil, err
	}
	splices, err := l.edits(items(before), before, entries)
	if err != nil {
		return nil, fmt.Errorf("%w: %s: %w", yamledit.ErrShape, l, err)
	}
	result := src
	if len(splices) > 0 {
		result = before.file.Apply(splices)
	}

	after, err := l.open(result)
	if err != nil {
		return nil, fmt.Errorf("%w: after the edit, %w", yamledit.ErrShape, err)
	}
	have := items(after)
	for _, e := range entries {
		if v, err := have.Version(e); err != nil || v.Version != e.Version {
			return nil, fmt.Errorf("%w: after the edit, %s does not have %s for %s; two images may share an item",
				yamledit.ErrShape, l, e.Version, e.Image)
		}
	}
	if err := yamledit.SameExcept(before.file, after.file, l.section, l.list); err != nil {
		return nil, err
	}
	return result, nil
}

// edits returns the edits for all entries. Entries that are found by one name,
// or in one item, must want the same.
func (l overrideList) edits(items overrideItems, o overrides, entries []Entry) ([]yamledit.Splice, error) {
	var splices []yamledit.Splice
	var added []yamledit.Value
	names := map[string]bool{}

	for _, e := range entries {
		changed, missing, err := items.edit(e)
		if err != nil {
			return nil, err
		}
		if splices, err = yamledit.Join(splices, changed); err != nil {
			return nil, fmt.Errorf("%s: %w", e.Image, err)
		}
		for _, m := range missing {
			if !names[m.name] {
				names[m.name] = true
				added = append(added, m.value)
			}
		}
	}

	if len(added) == 0 {
		return splices, nil
	}
	more, err := o.file.AddItems(o.root, []string{l.section, l.list}, added)
	return append(splices, more...), err
}
