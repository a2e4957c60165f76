package permission

import (
	"bytes"
	"cmp"
	"os"
	"strings"
	"testing"

	"sigs.k8s.io/kustomize/kyaml/yaml"

	"github.com/liverty-music/image-writeback/internal/spec"
)

// signatureVector is one row of testdata/permission/signatures.yaml; the README says what
// the fields mean.
type signatureVector struct {
	Name     string `yaml:"name"`
	Policies []struct {
		Repos []string `yaml:"repos"`
		Mode  string   `yaml:"mode"`
		Keys  []string `yaml:"keys"`
	} `yaml:"policies"`
	Repository string   `yaml:"repository"`
	Writes     string   `yaml:"writes"`
	Signing    string   `yaml:"signing"`
	Method     string   `yaml:"method"`
	Delivery   string   `yaml:"delivery"`
	Says       []string `yaml:"says"`
}

func TestSignatureAdvice(t *testing.T) {
	data, err := os.ReadFile("../../testdata/permission/signatures.yaml")
	if err != nil {
		t.Fatal(err)
	}

	var vectors []signatureVector
	decoder := yaml.NewDecoder(bytes.NewReader(data))
	decoder.KnownFields(true)
	if err := decoder.Decode(&vectors); err != nil {
		t.Fatal(err)
	}

	for _, v := range vectors {
		t.Run(v.Name, func(t *testing.T) { v.check(t) })
	}
}

func (v signatureVector) check(t *testing.T) {
	app := spec.Application{
		Project: "team",
		Sources: []spec.Source{{Repository: "oci://example.com/o/r", Chart: true}, {Repository: v.Repository}},
		Target:  spec.Target{Method: v.Method, Repository: cmp.Or(v.Writes, v.Repository)},
		Bounds:  spec.Bounds{Known: true, Exists: true},
	}
	for _, p := range v.Policies {
		app.Bounds.Project.Signatures = append(app.Bounds.Project.Signatures,
			spec.SignaturePolicy{Repositories: p.Repos, Mode: p.Mode, Keys: p.Keys})
	}

	var projects Projects
	method, key, _ := strings.Cut(v.Signing, " ")
	got := projects.SignatureAdvice(app, Signing{method, key}, cmp.Or(v.Delivery, spec.DeliverCommit))
	if (got == "") != (len(v.Says) == 0) {
		t.Errorf("it says %q", got)
	}
	for _, piece := range v.Says {
		if !strings.Contains(got, piece) {
			t.Errorf("it says %q; %q is not in it", got, piece)
		}
	}

	app.Bounds = spec.Bounds{}
	if got := projects.SignatureAdvice(app, Signing{}, spec.DeliverCommit); got != "" {
		t.Errorf("a project that is not known demands something: %s", got)
	}
}
