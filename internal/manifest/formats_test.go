package manifest

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"sigs.k8s.io/kustomize/kyaml/yaml"

	"github.com/liverty-music/image-writeback/internal/image"
	"github.com/liverty-music/image-writeback/internal/yamledit"
)

// allFormats are the formats of all kinds, by form and type of source.
func allFormats() map[string]Format {
	all := map[string]Format{}
	for _, k := range kinds {
		all[string(k.Form)+" "+k.Source] = k.Format
	}
	return all
}

// TestNamed holds what a write-back-target means.
func TestNamed(t *testing.T) {
	for target, want := range map[string]string{
		"kustomization":         "kustomization, kustomization.yaml",
		"kustomization:../base": "kustomization, ../base/kustomization.yaml",
		"helmvalues":            "helmvalues, values.yaml",
		"helmvalues:/a/b.yaml":  "helmvalues, /a/b.yaml",
		"argocd-source":         "none",
		"application":           "none",
		"overrides.yaml":        "none",
		"other:x":               "none",
	} {
		got := "none"
		if kind, file, ok := Named(target); ok {
			got = string(kind.Form) + ", " + kind.Files(file, file).Path()
		}
		if got != want {
			t.Errorf("%s: %s; want %s", target, got, want)
		}
	}
}

// TestKinds holds what each row of the table must have.
func TestKinds(t *testing.T) {
	for _, k := range kinds {
		got, ok := For(k.Form, k.Source)
		if !ok || got.Format != k.Format {
			t.Errorf("%s for %s: found %+v", k.Form, k.Source, got)
		}
		if k.Create && k.Names != nil {
			t.Errorf("%s for %s: is created, but under which of its names?", k.Form, k.Source)
		}
		if k.Usage != "" && !strings.HasPrefix(k.Usage, string(k.Form)) {
			t.Errorf("%s: the usage %s does not begin with its name", k.Form, k.Usage)
		}
	}
	for names, want := range map[string]string{
		"a.yaml Kustomization Chart.yaml": SourceKustomize,
		"Chart.yaml values.yaml":          SourceHelm,
		"a.yaml":                          "",
	} {
		if got := SourceOf(strings.Fields(names)); got != want {
			t.Errorf("%s: %q; want %q", names, got, want)
		}
	}
}

// TestHostileFiles holds that no file makes a format hang, crash or make half
// of an edit. The edits themselves are in testdata.
func TestHostileFiles(t *testing.T) {
	e := Entry{Image: "app", Version: image.Version{Tag: "2"}, HelmName: "image.name", HelmTag: "image.tag"}
	for name, src := range map[string]string{
		"a map that takes over itself":  "image: &a\n  <<: *a\n  name: app\n",
		"a list that takes over itself": "image: &a\n  <<: [*a, *a]\n",
		"an alias of nothing":           "image: *none\n",
		"a map of itself":               "image: &a {x: *a}\n",
		"several documents":             "a: 1\n---\nb: 2\n",
		"no map":                        "- a\n",
		"a value alone":                 "text\n",
		"tabs":                          "image:\n\ttag: 1\n",
		"no UTF-8":                      "image: \xff\n",
		"a key that is a map":           "? {a: b}\n: c\n",
		"kustomize is a list":           "kustomize: [a]\nhelm: [a]\nimages: a\nimage: [a]\n",
		"images are maps": "kustomize: {images: [{a: b}]}\nhelm: {parameters: [{name: {a: b}}]}\n" +
			"images: [[a]]\nimage: {tag: {a: b}}\n",
		"the same key twice":             "image: {tag: 1}\nimage: {tag: 2}\n",
		"a tag over several lines":       "image:\n  name: app\n  tag: |\n    1\n",
		"an anchored empty value":        "image: {name: app, tag: &t }\nother: *t\n",
		"a value with a type of its own": "image: {name: app, tag: !mine 1}\n",
	} {
		for kind, f := range allFormats() {
			got, err := f.Set([]byte(src), e)
			if err != nil {
				if got != nil || !errors.Is(err, yamledit.ErrShape) && !errors.Is(err, yamledit.ErrUnreadable) {
					t.Errorf("%s, %s: %q, %v", kind, name, got, err)
				}
				continue
			}
			if v, err := Read(f, got, e); err != nil || v.Tag != "2" {
				t.Errorf("%s, %s: %+v, %v, from\n%s", kind, name, v, err, got)
			}
		}
	}
}

// TestTwoVersionsUnderOneKey holds that a format refuses two different versions
// under one key, in every spelling of a name, and accepts equal ones.
func TestTwoVersionsUnderOneKey(t *testing.T) {
	e := Entry{Image: "nginx", Version: image.Version{Tag: "2"}, HelmName: "image.name", HelmTag: "image.tag"}
	same, other := e, e
	same.Image = "docker.io/library/nginx"
	other.Image, other.Version.Tag = same.Image, "3"
	for _, src := range []string{"", "images:\n- name: nginx\n  newTag: '1'\nimage: {name: nginx, tag: '1'}\n" +
		"kustomize: {images: ['nginx:1']}\nhelm: {parameters: [{name: image.tag, value: '1'}]}\n"} {
		for kind, f := range allFormats() {
			if got, err := f.Set([]byte(src), e, other); !errors.Is(err, yamledit.ErrShape) {
				t.Errorf("%s: %q, %v", kind, got, err)
			}
			got, err := f.Set([]byte(src), e, same)
			if err != nil {
				t.Errorf("%s: %v", kind, err)
			}
			if v, err := Read(f, got, e); err != nil || v.Tag != "2" {
				t.Errorf("%s: %+v, %v, from\n%s", kind, v, err, got)
			}
		}
	}
}

// TestLargeFiles holds that an Application with as many images as it may have can
// be set in a file that is as large as it may be, of any format, without steps that
// grow with the square of the size: each image looks at each item of a list.
func TestLargeFiles(t *testing.T) {
	var entries []Entry
	for i := range 200 {
		name := fmt.Sprintf("ghcr.io/o/app%d", i*100)
		entries = append(entries, Entry{Image: name, Version: image.Version{Tag: "2"},
			HelmName: fmt.Sprintf("n%d", i*100), HelmTag: fmt.Sprintf("t%d", i*100)})
	}

	var src strings.Builder
	for _, part := range []struct{ head, item string }{
		{"images:\n", "- {name: ghcr.io/o/app%d, newTag: '1'}\n"},
		{"kustomize:\n  images:\n", "  - ghcr.io/o/app%d:1\n"},
		{"helm:\n  parameters:\n", "  - {name: t%d, value: '1'}\n"},
	} {
		src.WriteString(part.head)
		for i := range 10_000 {
			fmt.Fprintf(&src, part.item, i)
		}
	}
	for kind, f := range allFormats() {
		got, err := f.Set([]byte(src.String()), entries...)
		if err != nil {
			t.Errorf("%s: %v", kind, err)
			continue
		}
		images, err := f.Open(got)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range entries {
			if v, err := images.Version(e); err != nil || v.Tag != "2" {
				t.Errorf("%s: %+v, %v", kind, v, err)
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
		for kind, f := range allFormats() {
			got, err := f.Set(src, e)
			if err != nil {
				continue
			}
			if v, err := Read(f, got, e); err != nil || v.Tag != tag {
				t.Fatalf("%s: read back %+v, %v from %q", kind, v, err, got)
			}
			if again, err := f.Set(got, e); err != nil || !bytes.Equal(again, got) {
				t.Fatalf("%s: %q, and once more %q, %v", kind, got, again, err)
			}
		}
	})
}
