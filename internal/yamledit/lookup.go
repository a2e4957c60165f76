package yamledit

import "sigs.k8s.io/kustomize/kyaml/yaml"

// looked is what has been found out about the nodes of a file, and how many
// steps that took.
type looked struct {
	budget  budget
	keys    map[*yaml.Node]map[string]int // position of each key in a large map
	aliases map[*yaml.Node][]*yaml.Node   // of each anchored node, in the order of the file
}

// largeMap is the number of keys from which on a map gets an index.
const largeMap = 16

// lookup is [Lookup] for a map in which many keys are looked up.
func (f *File) lookup(mapping *yaml.Node, key string) (k, v *yaml.Node) {
	if mapping == nil || mapping.Kind != yaml.MappingNode || len(mapping.Content) < 2*largeMap {
		return Lookup(mapping, key)
	}

	index, ok := f.keys[mapping]
	if !ok {
		index = make(map[string]int, len(mapping.Content)/2)
		for i := len(mapping.Content) - 2; i >= 0; i -= 2 { // of several, the first
			index[mapping.Content[i].Value] = i
		}
		if f.keys == nil {
			f.keys = map[*yaml.Node]map[string]int{}
		}
		f.keys[mapping] = index
	}
	i, ok := index[key]
	if !ok {
		return nil, nil
	}
	return mapping.Content[i], mapping.Content[i+1]
}

// lookupMerged looks for a key in a map, then in the maps that it merges by <<.
// Each of them is looked at once.
func (f *File) lookupMerged(mapping *yaml.Node, name string) (key, value *yaml.Node, merged bool, err error) {
	if key, value = f.lookup(mapping, name); key != nil {
		return key, value, false, nil
	}
	if _, merge := f.lookup(mapping, "<<"); merge == nil {
		return nil, nil, false, nil
	}

	search := mergedSearch{file: f, name: name, seen: map[*yaml.Node]bool{mapping: true}}
	err = search.in(mapping, deepestNesting)
	return search.key, search.value, search.key != nil, err
}

// mergedSearch looks for a key in the maps that a map merges.
type mergedSearch struct {
	file       *File
	name       string
	seen       map[*yaml.Node]bool
	key, value *yaml.Node
}

func (s *mergedSearch) in(mapping *yaml.Node, left int) error {
	_, merge := s.file.lookup(mapping, "<<")
	if merge == nil {
		return nil
	}
	if left == 0 {
		return errTooDeep
	}

	sources := []*yaml.Node{merge}
	if merge.Kind == yaml.SequenceNode {
		sources = merge.Content
	}
	for _, source := range sources {
		if err := s.file.budget.node(1); err != nil {
			return err
		}
		if source.Kind == yaml.AliasNode {
			source = source.Alias
		}
		if s.seen[source] {
			continue
		}
		s.seen[source] = true

		if s.key, s.value = s.file.lookup(source, s.name); s.key != nil {
			return nil
		}
		if err := s.in(source, left-1); err != nil || s.key != nil {
			return err
		}
	}
	return nil
}

// aliasesOf returns the aliases of an anchored node, in the order of the file.
func (f *File) aliasesOf(node *yaml.Node) []*yaml.Node {
	if node.Anchor == "" {
		return nil
	}
	if f.aliases == nil {
		f.aliases = map[*yaml.Node][]*yaml.Node{}
		for _, doc := range f.docs {
			walk(doc, func(n *yaml.Node) {
				if n.Kind == yaml.AliasNode {
					f.aliases[n.Alias] = append(f.aliases[n.Alias], n)
				}
			})
		}
	}
	return f.aliases[node]
}
