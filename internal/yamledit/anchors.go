package yamledit

import (
	"fmt"

	"sigs.k8s.io/kustomize/kyaml/yaml"
)

// reached says which nodes the settings of one step reach, and with which values.
type reached struct {
	byAlias  map[nodeValue]bool // the aliases on the way, or at its end
	directly map[nodeValue]bool // the values that are reached without an alias
}

type nodeValue struct {
	node  *yaml.Node
	value string
}

// reach finds the nodes that settings reach. Those that lead nowhere are left out.
func (f *File) reach(all []Setting) reached {
	r := reached{byAlias: map[nodeValue]bool{}, directly: map[nodeValue]bool{}}
	for _, setting := range all {
		p, err := f.find(setting.Key)
		if err != nil {
			continue
		}

		for _, alias := range p.via {
			r.byAlias[nodeValue{alias, setting.Value}] = true
		}
		switch {
		case p.node == nil:
		case p.node.Kind == yaml.AliasNode:
			r.byAlias[nodeValue{p.node, setting.Value}] = true
		case len(p.via) == 0 && !p.merged:
			r.directly[nodeValue{p.node, setting.Value}] = true
		}
	}
	return r
}

// checkShared refuses to change a map, or a map around it, that other places
// use as a whole by an alias, unless they are to get the same value.
func (f *File) checkShared(p *location, want Setting, others reached) error {
	for _, container := range p.above {
		for _, alias := range f.aliasesOf(container) {
			if !others.byAlias[nodeValue{alias, want.Value}] {
				return fmt.Errorf("line %d uses this part of the file by an alias and would change with it; "+
					"write the values out in one of the two places", alias.Line)
			}
		}
	}
	return nil
}

// override gives a key of its own to a map that is an alias: "image: *default"
// becomes a map with "<<: *default" and the key. A map that includes others
// by << gets the key beside them.
func (f *File) override(p *location, field Field) (change, error) {
	if len(p.via) == 0 {
		return f.addTo(p.mapping, field)
	}

	alias := p.via[len(p.via)-1]
	if len(p.via) > 1 || alias.Kind != yaml.AliasNode || p.merged || alias.Alias != p.mapping || p.holder == nil {
		return change{}, errAliased(p)
	}

	start, end, err := f.valueSpan(alias)
	if err != nil {
		return change{}, err
	}
	star := string(f.text[start:end])
	one := Value{Fields: []Field{field}}
	if isFlow(p.holder) {
		return only(Splice{start, end, "{<<: " + star + ", " + f.inlineContent(one, 0) + "}"}), nil
	}

	from := start
	for from > 0 && f.text[from-1] == ' ' {
		from--
	}
	indent := margin(p.holder) + f.step()
	lines := append([]string{indent + "<<: " + star}, f.block(one, indent, f.step())...)
	return only(Splice{from, end, ""}, f.insertLines(f.lineEnd(end), lines...)), nil
}

// errAliased is the error for a value that is an alias of another place and
// cannot be overridden where it stands.
func errAliased(p *location) error {
	line := 0
	for _, n := range append(p.via, p.node) {
		if n != nil {
			line = n.Line
		}
	}
	return fmt.Errorf("the value on line %d is an alias of a shared value; "+
		"replace the alias with the value itself", line)
}
