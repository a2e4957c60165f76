package manifest

import (
	"fmt"

	"sigs.k8s.io/kustomize/kyaml/yaml"

	"github.com/liverty-music/image-writeback/internal/yamledit"
)

// HelmOverrides is the format of Argo CD's .argocd-source files for a Helm
// source, and of spec.source itself: a list helm.parameters of name, value and
// forcestring.
type HelmOverrides struct {
	// InApplication is set for spec.source, which spells it forceString.
	InApplication bool
}

var helmParameters = overrideList{"helm", "parameters"}

// Key is the name of the parameter that holds the version.
func (HelmOverrides) Key(e Entry) string { return e.helmKey() }

// Open parses a file of overrides.
func (h HelmOverrides) Open(src []byte) (Images, error) {
	file, err := helmParameters.open(src)
	return h.items(file), err
}

// Set sets or adds the parameters.
func (h HelmOverrides) Set(src []byte, entries ...Entry) ([]byte, error) {
	return helmParameters.set(h.items, src, entries)
}

// helmParameterList are the parameters of a file.
type helmParameterList struct {
	HelmOverrides
	file   *yamledit.File
	byName map[string]*yaml.Node // the last item with a name, which is the one that Helm uses
}

func (h HelmOverrides) items(o overrides) overrideItems {
	p := helmParameterList{h, o.file, map[string]*yaml.Node{}}
	for _, node := range o.items() {
		if _, v := yamledit.Lookup(node, "name"); v != nil {
			p.byName[yamledit.Text(v)] = node
		}
	}
	return p
}

// value is the value of a parameter, empty where there is none.
func (p helmParameterList) value(name string) string {
	_, v := yamledit.Lookup(p.byName[name], "value")
	return yamledit.Text(v)
}

// Version returns the value of the parameter of an image.
func (p helmParameterList) Version(e Entry) (Version, error) {
	if e.HelmSpec == "" {
		return version(p.value(e.HelmTag), e.HelmTag), nil
	}
	got := p.value(e.HelmSpec)
	if got == "" {
		return Version{}, nil
	}
	return e.referenceVersion(got, "the parameter "+e.HelmSpec)
}

func (p helmParameterList) edit(e Entry) (splices []yamledit.Splice, missing []item, err error) {
	wanted := []namedValue{
		{e.HelmName, e.spelt(p.value(e.HelmName))},
		{e.HelmTag, e.Version.String()},
	}
	if e.HelmSpec != "" {
		wanted = []namedValue{{e.HelmSpec, e.reference(e.Image)}}
	}

	for _, want := range wanted {
		node := p.byName[want.name]
		if node == nil {
			missing = append(missing, item{want.name, p.parameter(want)})
			continue
		}
		set, err := p.setParameter(p.file, node, want.value)
		if err != nil {
			return nil, nil, fmt.Errorf("parameter %s: %w", want.name, err)
		}
		splices = append(splices, set...)
	}
	return splices, missing, nil
}

// namedValue is a parameter as it is to be.
type namedValue struct{ name, value string }

// parameter is a new item of the list.
func (h HelmOverrides) parameter(p namedValue) yamledit.Value {
	return yamledit.Value{Fields: []yamledit.Field{
		{Key: "name", Value: yamledit.Value{Text: p.name}},
		{Key: "value", Value: yamledit.Value{Text: p.value}},
		h.forced(),
	}}
}

// setParameter gives an item a value, which Helm is to read as a string.
func (h HelmOverrides) setParameter(f *yamledit.File, node *yaml.Node, value string) ([]yamledit.Splice, error) {
	_, have := yamledit.Lookup(node, "value")
	if have != nil && yamledit.Text(have) == value {
		return nil, nil
	}

	var splices []yamledit.Splice
	var err error
	if have != nil {
		splices, err = f.SetText(have, value)
	} else {
		splices = make([]yamledit.Splice, 1)
		splices[0], err = f.AddField(node, yamledit.Field{Key: "value", Value: yamledit.Value{Text: value}})
	}
	if err != nil {
		return nil, err
	}

	_, force := yamledit.Lookup(node, "forcestring") // Argo CD accepts both spellings in a file
	if force == nil {
		_, force = yamledit.Lookup(node, "forceString")
	}
	switch {
	case force == nil:
		added, err := f.AddField(node, h.forced())
		return append(splices, added), err
	case force.Value != "true":
		set, err := f.SetTrue(force)
		return append(splices, set...), err
	}
	return splices, nil
}

// forced is the field that makes Helm read the value as a string.
func (h HelmOverrides) forced() yamledit.Field {
	key := "forcestring"
	if h.InApplication {
		key = "forceString"
	}
	return yamledit.Field{Key: key, Value: yamledit.Value{Text: "true", Bool: true}}
}
