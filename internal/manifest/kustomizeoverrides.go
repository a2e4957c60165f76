package manifest

import (
	"strings"

	"sigs.k8s.io/kustomize/kyaml/yaml"

	"github.com/liverty-music/image-writeback/internal/yamledit"
)

// KustomizeOverrides is the format of Argo CD's .argocd-source files for a
// Kustomize source, and of spec.source itself: a list kustomize.images of
// [name=]image[:tag][@digest].
type KustomizeOverrides struct{}

var kustomizeImages = overrideList{"kustomize", "images"}

// Key is the name of the entry.
func (KustomizeOverrides) Key(e Entry) string { return e.name() }

// Read returns the version in the item of an image.
func (KustomizeOverrides) Read(src []byte, e Entry) (Version, error) {
	list, err := kustomizeImages.read(src)
	if err != nil {
		return Version{}, err
	}
	item := e.kustomizeItem(list)
	if item == nil {
		return Version{}, nil
	}
	return referenceVersion(imagePart(yamledit.Text(item)), kustomizeImages.String())
}

// Set sets or adds the images.
func (k KustomizeOverrides) Set(src []byte, entries ...Entry) ([]byte, error) {
	return kustomizeImages.set(k, src, entries)
}

func (KustomizeOverrides) edit(
	f *yamledit.File, list *yaml.Node, e Entry,
) (splices []yamledit.Splice, missing []yamledit.Value, err error) {
	item := e.kustomizeItem(list)
	if item == nil {
		value := e.reference(e.Image)
		if e.KustomizeName != "" {
			value = e.KustomizeName + "=" + value
		}
		return nil, []yamledit.Value{{Text: value}}, nil
	}

	old := yamledit.Text(item)
	to := imagePart(old)
	bare := bareName(to)
	if !sameName(bare, e.Image) {
		bare = e.Image
	}
	value := strings.TrimSuffix(old, to) + e.reference(bare)
	if e.KustomizeName != "" && old == to {
		value = e.KustomizeName + "=" + value
	}

	splices, err = f.SetText(item, value)
	return splices, nil, err
}

// kustomizeItem finds an image's item: by the name that manifests use, as Argo
// CD does; where the annotations have no such name, else by the image that
// replaces it.
func (e Entry) kustomizeItem(list *yaml.Node) *yaml.Node {
	if list == nil {
		return nil
	}

	var byImage *yaml.Node
	for _, item := range list.Content {
		value := yamledit.Text(item)
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

// imagePart is what follows the name in [name=]image.
func imagePart(s string) string {
	if _, after, ok := strings.Cut(s, "="); ok {
		return after
	}
	return s
}
