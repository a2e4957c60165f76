package manifest

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"sigs.k8s.io/kustomize/kyaml/yaml"

	"github.com/liverty-music/image-writeback/internal/yamledit"
)

const vectorDir = "../../testdata/manifest/kustomization"

type editVector struct {
	Name  string `yaml:"name"`
	Shows string `yaml:"shows"`
	Edits []struct {
		Name    string `yaml:"name"`
		NewName string `yaml:"newName"`
		NewTag  string `yaml:"newTag"`
		Digest  string `yaml:"digest"`
	} `yaml:"edits"`
}

func (v editVector) images() []kustomizeImage {
	var edits []kustomizeImage
	for _, e := range v.Edits {
		edits = append(edits, kustomizeImage(e))
	}
	return edits
}

func readVectors(t testing.TB) []editVector {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(vectorDir, "edits.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	var vectors []editVector
	decoder := yaml.NewDecoder(bytes.NewReader(data))
	decoder.KnownFields(true)
	if err := decoder.Decode(&vectors); err != nil {
		t.Fatal(err)
	}
	return vectors
}

func readVector(t testing.TB, name string) []byte {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(vectorDir, name))
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// readKustomizeImage returns the entry of a file for an image name.
func readKustomizeImage(src []byte, name string) (entry kustomizeImage, found bool, err error) {
	k, err := parseKustomization(src)
	if err != nil {
		return entry, false, err
	}
	node := k.entry(name)
	if node == nil {
		return entry, false, nil
	}
	return readEntry(node), true, nil
}

func TestVectors(t *testing.T) {
	vectors := readVectors(t)
	if len(vectors) < 40 {
		t.Errorf("%d pairs, at least 40 are kept", len(vectors))
	}
	for _, v := range vectors {
		t.Run(v.Name, func(t *testing.T) {
			before, after := readVector(t, v.Name+".before.yaml"), readVector(t, v.Name+".after.yaml")
			got, err := setKustomizeImages(before, v.images()...)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(string(after), string(got)); diff != "" {
				t.Fatalf("%s (-want +got):\n%s", v.Shows, diff)
			}
			again, err := setKustomizeImages(got, v.images()...)
			if err != nil || !bytes.Equal(again, got) {
				t.Errorf("a second edit changes the result again (%v)", err)
			}
			for _, edit := range v.images() {
				entry, found, err := readKustomizeImage(got, edit.Name)
				if err != nil || !found || entry.NewTag != edit.NewTag || entry.Digest != edit.Digest {
					t.Errorf("read back %+v, %v, %v", entry, found, err)
				}
			}
		})
	}
}

func TestWhatCannotBeEditedIsRefused(t *testing.T) {
	unreadable, shape := yamledit.ErrUnreadable, yamledit.ErrShape
	for name, c := range map[string]struct {
		src  string
		want error
		says string
	}{
		"no YAML":              {"images: [\n", unreadable, "line"},
		"a tab as indentation": {"images:\n\t- name: app\n", unreadable, "line 2"},
		"not UTF-8":            {"images:\n- name: app\xff\n", unreadable, "UTF-8"},
		"a list":               {"- name: app\n", shape, "not a kustomization"},
		"images no list":       {"images: {app: v1}\n", shape, "images: expected a list"},
		"a block of text":      {"images:\n- name: app\n  newTag: >-\n    v1\n", shape, "write it on one line"},
		"a value over lines":   {"images:\n- name: app\n  newTag: v1\n    x\n", shape, "write it on one line"},
		"a shared anchor": {"images:\n- name: app\n  newTag: &t v1\n- name: db\n  newTag: *t\n", shape,
			"line 5 uses this value"},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := setKustomizeImages([]byte(c.src), kustomizeImage{Name: "app", NewTag: "v2"})
			if !errors.Is(err, c.want) || !strings.Contains(err.Error(), c.says) {
				t.Errorf("%q, %v; want %v with %q", got, err, c.want, c.says)
			}
		})
	}
}

// FuzzSetKustomizeImages holds the promise for any input: an edit either fails
// or yields a file that says what was asked for and is stable.
func FuzzSetKustomizeImages(f *testing.F) {
	for _, v := range readVectors(f) {
		f.Add(readVector(f, v.Name+".before.yaml"), "1.10")
	}
	f.Fuzz(func(t *testing.T, src []byte, tag string) {
		edit := kustomizeImage{Name: "app", NewTag: tag}
		if tag == "" {
			return
		}
		got, err := setKustomizeImages(src, edit)
		if err != nil {
			return
		}
		entry, found, err := readKustomizeImage(got, "app")
		if err != nil || !found || entry.NewTag != tag {
			t.Fatalf("read back %+v, %v, %v from %q", entry, found, err, got)
		}
	})
}
