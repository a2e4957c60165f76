package forgetest

import (
	"errors"
	"os"
	"strings"
	"testing"

	"sigs.k8s.io/kustomize/kyaml/yaml"

	"github.com/liverty-music/image-writeback/internal/forge"
)

// refusal is a vector of testdata/forge, whose README says what the fields mean.
type refusal struct {
	Name, Request string
	Status        int
	Body          string
	Want          []string
}

// RunRefusals tests what the errors of a forge say, by the vectors in a file.
func RunRefusals(t *testing.T, file string, start func(t *testing.T) *Fixture) {
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	decoder := yaml.NewDecoder(strings.NewReader(string(data)))
	decoder.KnownFields(true)
	var all []refusal
	if err := decoder.Decode(&all); err != nil {
		t.Fatal(err)
	}

	for _, v := range all {
		t.Run(v.Name, func(t *testing.T) {
			f := start(t)
			f.Break(Refuse(v.Request, v.Status, v.Body))
			CheckError(t, Propose(t, f.Repository(t), Proposal()), f.Secret(), v.Want...)
		})
	}
}

// Propose sends the requests of a cycle with a new pull request, and returns the
// first error.
func Propose(t *testing.T, r forge.Repository, p forge.Proposal) error {
	t.Helper()
	if _, err := r.OpenPullRequests(t.Context()); err != nil {
		return err
	}
	pr, err := r.Create(t.Context(), p)
	if err != nil {
		return err
	}
	return r.Complete(t.Context(), pr, p)
}

// CheckError tests that an error says what to do, does not quote a secret, and
// contains what is wanted.
func CheckError(t *testing.T, err error, secret string, want ...string) {
	t.Helper()
	var e *forge.Error
	if !errors.As(err, &e) || e.Remedy == "" || e.Doing == "" || strings.Contains(err.Error(), secret) {
		t.Fatalf("%v is not an error that says what to do, or quotes a secret", err)
	}
	for _, one := range want {
		if !strings.Contains(err.Error(), one) {
			t.Errorf("%v; want %q", err, one)
		}
	}
}
