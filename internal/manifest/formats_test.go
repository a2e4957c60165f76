package manifest

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"sigs.k8s.io/kustomize/kyaml/yaml"

	"github.com/liverty-music/image-writeback/internal/image"
	"github.com/liverty-music/image-writeback/internal/yamledit"
)

// format is what all formats have in common.
type format interface {
	Read(src []byte, e Entry) (Version, error)
	Set(src []byte, entries ...Entry) ([]byte, error)
	Place(e Entry) string
}

var formats = map[string]format{"kustomization": Kustomization{}, "helmvalues": HelmValues{}, "kustomize overrides": KustomizeOverrides{},
	"helm overrides": HelmOverrides{}, "helm parameters": HelmOverrides{InApplication: true}}

// TestHostileFiles holds that no file makes a format hang, crash or write
// something by halves. testdata/compat has what is edited.
func TestHostileFiles(t *testing.T) {
	e := Entry{Image: "app", Version: image.Version{Tag: "2"}, HelmName: "image.name", HelmTag: "image.tag"}
	for name, src := range map[string]string{
		"a map that takes over itself":   "image: &a\n  <<: *a\n  name: app\n",
		"a list that takes over itself":  "image: &a\n  <<: [*a, *a]\n",
		"an alias of nothing":            "image: *none\n",
		"a map of itself":                "image: &a {x: *a}\n",
		"several documents":              "a: 1\n---\nb: 2\n",
		"no map":                         "- a\n",
		"a value alone":                  "text\n",
		"tabs":                           "image:\n\ttag: 1\n",
		"no UTF-8":                       "image: \xff\n",
		"a key that is a map":            "? {a: b}\n: c\n",
		"kustomize is a list":            "kustomize: [a]\nhelm: [a]\nimages: a\nimage: [a]\n",
		"images are maps":                "kustomize: {images: [{a: b}]}\nhelm: {parameters: [{name: {a: b}}]}\nimages: [[a]]\nimage: {tag: {a: b}}\n",
		"the same key twice":             "image: {tag: 1}\nimage: {tag: 2}\n",
		"a tag over several lines":       "image:\n  name: app\n  tag: |\n    1\n",
		"an anchored empty value":        "image: {name: app, tag: &t }\nother: *t\n",
		"a value with a type of its own": "image: {name: app, tag: !mine 1}\n",
	} {
		for kind, f := range formats {
			got, err := f.Set([]byte(src), e)
			if err != nil {
				if got != nil || !errors.Is(err, yamledit.ErrShape) && !errors.Is(err, yamledit.ErrUnreadable) {
					t.Errorf("%s, %s: %q, %v", kind, name, got, err)
				}
				continue
			}
			if v, err := f.Read(got, e); err != nil || v.Tag != "2" {
				t.Errorf("%s, %s: %+v, %v, from\n%s", kind, name, v, err, got)
			}
		}
	}
}

// TestTwoWishesInOnePlace holds that a format refuses what cannot both be, in
// every spelling of a name, and takes what is the same.
func TestTwoWishesInOnePlace(t *testing.T) {
	e := Entry{Image: "nginx", Version: image.Version{Tag: "2"}, HelmName: "image.name", HelmTag: "image.tag"}
	same, other := e, e
	same.Image = "docker.io/library/nginx"
	other.Image, other.Tag = same.Image, "3"
	for _, src := range []string{"", "images:\n- name: nginx\n  newTag: '1'\nimage: {name: nginx, tag: '1'}\nkustomize: {images: ['nginx:1']}\nhelm: {parameters: [{name: image.tag, value: '1'}]}\n"} {
		for kind, f := range formats {
			if got, err := f.Set([]byte(src), e, other); !errors.Is(err, yamledit.ErrShape) {
				t.Errorf("%s: %q, %v", kind, got, err)
			}
			got, err := f.Set([]byte(src), e, same)
			if err != nil {
				t.Errorf("%s: %v", kind, err)
			}
			if v, err := f.Read(got, e); err != nil || v.Tag != "2" {
				t.Errorf("%s: %+v, %v, from\n%s", kind, v, err, got)
			}
		}
	}
}

// FuzzFormats looks for files that an edit would damage: what is set is read
// back, a second edit changes nothing, and what was not to be set is as before.
func FuzzFormats(f *testing.F) {
	files, err := filepath.Glob("../../testdata/compat/*.yaml")
	if err != nil {
		f.Fatal(err)
	}
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		var vectors []struct {
			Before      string            `yaml:"before"`
			Annotations map[string]string `yaml:"annotations"`
		}
		if yaml.Unmarshal(data, &vectors) != nil { // of another shape
			continue
		}
		for _, v := range vectors {
			key := "image.tag"
			for name, value := range v.Annotations {
				if strings.HasSuffix(name, ".helm.image-tag") {
					key = value
				}
			}
			f.Add([]byte(v.Before), key, "1.10")
		}
	}
	f.Fuzz(func(t *testing.T, src []byte, key, tag string) {
		if tag == "" || strings.ContainsAny(tag, "@:/\x00") {
			return
		}
		e := Entry{Image: "app", Version: image.Version{Tag: tag}, HelmName: key + "x", HelmTag: key}
		for kind, f := range formats {
			got, err := f.Set(src, e)
			if err != nil {
				continue
			}
			if v, err := f.Read(got, e); err != nil || v.Tag != tag {
				t.Fatalf("%s: read back %+v, %v from %q", kind, v, err, got)
			}
			if again, err := f.Set(got, e); err != nil || !bytes.Equal(again, got) {
				t.Fatalf("%s: %q, and once more %q, %v", kind, got, again, err)
			}
		}
	})
}
