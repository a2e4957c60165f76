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

// overrideFormat is a format whose images are the items of an overrideList.
type overrideFormat interface {
	Read(src []byte, e Entry) (Version, error)
	// edit returns the edits of the items that an entry has in the list, and
	// the items that it does not have yet. The list is nil where there is none.
	edit(f *yamledit.File, list *yaml.Node, e Entry) (splices []yamledit.Splice, missing []yamledit.Value, err error)
}

// find returns the list, nil where the file does not have it.
func (l overrideList) find(root *yaml.Node) (*yaml.Node, error) {
	_, section := yamledit.Lookup(root, l.section)
	_, list := yamledit.Lookup(section, l.list)
	for _, n := range []*yaml.Node{section, list} {
		if n != nil && n.Kind == yaml.AliasNode {
			return nil, fmt.Errorf("%w: line %d: %s is an alias; write it out", yamledit.ErrShape, n.Line, l)
		}
	}

	if section != nil && section.Kind != yaml.MappingNode && section.Tag != yaml.NodeTagNull ||
		list != nil && list.Kind != yaml.SequenceNode && list.Tag != yaml.NodeTagNull {
		return nil, fmt.Errorf("%w: %s is not a list", yamledit.ErrShape, l)
	}
	if list == nil || list.Kind != yaml.SequenceNode {
		return nil, nil
	}
	return list, nil
}

// read parses a file and returns its list, nil where the file does not have it.
func (l overrideList) read(src []byte) (*yaml.Node, error) {
	_, root, err := yamledit.ParseMap(src)
	if err != nil {
		return nil, err
	}
	return l.find(root)
}

// set edits the list for one entry after the other, and verifies the result.
func (l overrideList) set(format overrideFormat, src []byte, entries []Entry) ([]byte, error) {
	result := src
	for _, e := range entries {
		var err error
		if result, err = l.setOne(format, result, e); err != nil {
			return nil, err
		}
	}

	for _, e := range entries {
		if v, err := format.Read(result, e); err != nil || v.Version != e.Version {
			return nil, fmt.Errorf("%w: after the edit, %s does not have %s for %s; two images may share an item",
				yamledit.ErrShape, l, e.Version, e.Image)
		}
	}
	if err := yamledit.SameExcept(src, result, l.section, l.list); err != nil {
		return nil, err
	}
	return result, nil
}

func (l overrideList) setOne(format overrideFormat, src []byte, e Entry) ([]byte, error) {
	f, root, err := yamledit.ParseMap(src)
	if err != nil {
		return nil, err
	}
	list, err := l.find(root)
	if err != nil {
		return nil, err
	}

	splices, missing, err := format.edit(f, list, e)
	if err == nil && len(missing) > 0 {
		var added []yamledit.Splice
		added, err = f.AddItems(root, []string{l.section, l.list}, missing)
		splices = append(splices, added...)
	}
	if err != nil {
		return nil, fmt.Errorf("%w: %s: %w", yamledit.ErrShape, l, err)
	}

	if len(splices) == 0 {
		return src, nil
	}
	return f.Apply(splices), nil
}
