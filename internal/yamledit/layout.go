package yamledit

import (
	"bytes"
	"strings"

	"sigs.k8s.io/kustomize/kyaml/yaml"
)

// margin is the indentation of a map's keys. The first key tells it, since an
// anchor of the map stands elsewhere.
func margin(mapping *yaml.Node) string {
	n := mapping
	if len(n.Content) > 0 {
		n = n.Content[0]
	}
	return strings.Repeat(" ", n.Column-1)
}

// layout keeps what is found out about the style of a file: each answer needs a
// look at the whole file, and each edit needs the answers.
type layout struct {
	mapStep, itemStep    *string
	usualQuote           byte
	endOf, documentEndOf offsets
}

// offsets are offsets that were found for nodes.
type offsets map[*yaml.Node]int

// of returns the offset for a node, and looks for it once.
func (o *offsets) of(n *yaml.Node, find func(*yaml.Node) int) int {
	at, found := (*o)[n]
	if !found {
		at = find(n)
		if *o == nil {
			*o = offsets{}
		}
		(*o)[n] = at
	}
	return at
}

// step is how far the file indents a map within a map; two spaces where the
// file has none.
func (f *File) step() string {
	if f.mapStep == nil {
		step := strings.Repeat(" ", f.findStep())
		f.mapStep = &step
	}
	return *f.mapStep
}

func (f *File) findStep() int {
	step := 0
	f.walkBlockMaps(func(n *yaml.Node) {
		if step > 0 {
			return
		}
		for i := 1; i < len(n.Content); i += 2 {
			child := n.Content[i]
			if child.Kind != yaml.MappingNode || isFlow(child) || len(child.Content) == 0 {
				continue
			}
			if deeper := len(margin(child)) - len(margin(n)); deeper > 0 {
				step = deeper
				return
			}
		}
	})
	if step == 0 {
		step = 2
	}
	return step
}

// listStep is how far the file indents a list below its key; not at all where
// the file has none.
func (f *File) listStep() string {
	if f.itemStep == nil {
		step := strings.Repeat(" ", max(f.findListStep(), 0))
		f.itemStep = &step
	}
	return *f.itemStep
}

func (f *File) findListStep() int {
	step := -1
	f.walkBlockMaps(func(n *yaml.Node) {
		for i := 1; i < len(n.Content) && step < 0; i += 2 {
			if v := n.Content[i]; v.Kind == yaml.SequenceNode && !isFlow(v) && len(v.Content) > 0 {
				step = v.Column - 1 - len(margin(n))
			}
		}
	})
	return step
}

// walkBlockMaps visits the maps that are not in braces.
func (f *File) walkBlockMaps(visit func(*yaml.Node)) {
	for _, doc := range f.docs {
		walk(doc, func(n *yaml.Node) {
			if n.Kind == yaml.MappingNode && !isFlow(n) {
				visit(n)
			}
		})
	}
}

// keysSetOff reports whether a blank line stands above the last top-level key.
func (f *File) keysSetOff(root *yaml.Node) bool {
	if len(root.Content) < 4 {
		return false
	}

	at := f.lineStart(f.offset(root.Content[len(root.Content)-2]))
	for at > 0 {
		start := f.lineStart(at - 1)
		line := bytes.TrimSpace(f.text[start:at])
		if len(line) == 0 {
			return true
		}
		if line[0] != '#' {
			return false
		}
		at = start
	}
	return false
}

// innerStyle is the quoting of the first key in an inline list of maps.
func innerStyle(list *yaml.Node) yaml.Style {
	for _, item := range list.Content {
		if item.Kind == yaml.MappingNode && len(item.Content) > 0 {
			return firstKeyStyle(item)
		}
	}
	return 0
}

func firstKeyStyle(mapping *yaml.Node) yaml.Style {
	if len(mapping.Content) == 0 {
		return 0
	}
	return mapping.Content[0].Style
}
