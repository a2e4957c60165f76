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

// Read returns the value of the parameter of an image.
func (HelmOverrides) Read(src []byte, e Entry) (Version, error) {
	list, err := helmParameters.read(src)
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

// Set sets or adds the parameters.
func (h HelmOverrides) Set(src []byte, entries ...Entry) ([]byte, error) {
	return helmParameters.set(h, src, entries)
}

func (h HelmOverrides) edit(
	f *yamledit.File, list *yaml.Node, e Entry,
) (splices []yamledit.Splice, missing []yamledit.Value, err error) {
	wanted := []namedValue{
		{e.HelmName, e.spelt(parameter(list, e.HelmName))},
		{e.HelmTag, e.Version.String()},
	}
	if e.HelmSpec != "" {
		wanted = []namedValue{{e.HelmSpec, e.reference(e.Image)}}
	}

	for _, want := range wanted {
		node := parameterNode(list, want.name)
		if node == nil {
			missing = append(missing, h.parameter(want))
			continue
		}
		set, err := h.setParameter(f, node, want.value)
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

// parameter is the value of a parameter, empty where there is none.
func parameter(list *yaml.Node, name string) string {
	_, v := yamledit.Lookup(parameterNode(list, name), "value")
	return yamledit.Text(v)
}

// parameterNode is the last item with a name, which is the one that Helm uses.
func parameterNode(list *yaml.Node, name string) *yaml.Node {
	if list == nil {
		return nil
	}

	var found *yaml.Node
	for _, item := range list.Content {
		if _, v := yamledit.Lookup(item, "name"); v != nil && yamledit.Text(v) == name {
			found = item
		}
	}
	return found
}
