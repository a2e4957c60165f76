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

// Open parses a file of overrides.
func (k KustomizeOverrides) Open(src []byte) (Images, error) {
	file, err := kustomizeImages.open(src)
	return k.items(file), err
}

// Set sets or adds the images.
func (k KustomizeOverrides) Set(src []byte, entries ...Entry) ([]byte, error) {
	return kustomizeImages.set(k.items, src, entries)
}

// kustomizeImageList are the images of a file: for each name, in the spelling of
// [comparableName], the first item.
type kustomizeImageList struct {
	file    *yamledit.File
	byName  map[string]*yaml.Node // by the name that manifests use
	byImage map[string]*yaml.Node // by the image that replaces it
}

func (KustomizeOverrides) items(o overrides) overrideItems {
	l := kustomizeImageList{o.file, map[string]*yaml.Node{}, map[string]*yaml.Node{}}
	for _, node := range o.items() {
		value := yamledit.Text(node)
		to := imagePart(value)
		bare := comparableName(bareName(to))
		name := bare
		if named := strings.TrimSuffix(strings.TrimSuffix(value, to), "="); named != "" {
			name = comparableName(named)
		}

		if l.byName[name] == nil {
			l.byName[name] = node
		}
		if l.byImage[bare] == nil {
			l.byImage[bare] = node
		}
	}
	return l
}

// find returns an image's item: by the name that manifests use, as Argo CD does;
// where the annotations have no such name, else by the image that replaces it.
func (l kustomizeImageList) find(e Entry) *yaml.Node {
	if node := l.byName[comparableName(e.name())]; node != nil || e.KustomizeName != "" {
		return node
	}
	return l.byImage[comparableName(e.Image)]
}

// Version returns the version in the item of an image.
func (l kustomizeImageList) Version(e Entry) (Version, error) {
	node := l.find(e)
	if node == nil {
		return Version{}, nil
	}
	v, err := e.referenceVersion(imagePart(yamledit.Text(node)), kustomizeImages.String())
	v.Shown = shown(v.Version, true) // the list has nothing but images
	return v, err
}

func (l kustomizeImageList) edit(e Entry) (splices []yamledit.Splice, missing []item, err error) {
	node := l.find(e)
	if node == nil {
		value := e.reference(e.Image)
		if e.KustomizeName != "" {
			value = e.KustomizeName + "=" + value
		}
		return nil, []item{{comparableName(e.name()), yamledit.Value{Text: value}}}, nil
	}

	old := yamledit.Text(node)
	to := imagePart(old)
	bare := bareName(to)
	if !sameName(bare, e.Image) {
		bare = e.Image
	}
	value := strings.TrimSuffix(old, to) + e.reference(bare)
	if e.KustomizeName != "" && old == to {
		value = e.KustomizeName + "=" + value
	}

	splices, err = l.file.SetText(node, value)
	return splices, nil, err
}

// imagePart is what follows the name in [name=]image.
func imagePart(s string) string {
	if _, after, ok := strings.Cut(s, "="); ok {
		return after
	}
	return s
}
