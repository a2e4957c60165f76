package policy

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"sigs.k8s.io/kustomize/kyaml/yaml"

	"github.com/liverty-music/image-writeback/internal/image"
)

// vector is one row of testdata/policy; its README tells what the fields mean.
type vector struct {
	Name       string            `yaml:"name"`
	Strategy   string            `yaml:"strategy"`
	Constraint string            `yaml:"constraint"`
	Allow      string            `yaml:"allow"`
	Ignore     string            `yaml:"ignore"`
	Tags       []string          `yaml:"tags"`
	Want       string            `yaml:"want"`
	Reason     string            `yaml:"reason"`
	Dropped    map[string]string `yaml:"dropped"`
	Error      string            `yaml:"error"`
}

func (v vector) policy() (Policy, error) {
	strategy, err := ParseStrategy(v.Strategy)
	if err != nil {
		return Policy{}, err
	}
	allow, err := ParseAllow(v.Allow)
	if err != nil {
		return Policy{}, err
	}
	ignore, err := ParseIgnore(v.Ignore)
	if err != nil {
		return Policy{}, err
	}
	p := Policy{Strategy: strategy, Constraint: v.Constraint, Allow: allow, Ignore: ignore}
	return p, p.Validate()
}

func parseTag(t *testing.T, s string) image.Tag {
	t.Helper()
	fields := strings.Fields(s)
	tag := image.Tag{Name: fields[0]}
	for i := 1; i+1 < len(fields); i += 2 {
		at, err := time.Parse(time.RFC3339Nano, fields[i+1])
		switch {
		case fields[i] == "rank":
			_, _ = fmt.Sscan(fields[i+1], &tag.Rank)
			continue
		case fields[i] == "digest":
			tag.Digest = fields[i+1]
			continue
		case err != nil:
			t.Fatalf("tag %q: %v", s, err)
		case fields[i] == "built":
			tag.Created = at
		case fields[i] == "uploaded":
			tag.Uploaded = at
		}
	}
	return tag
}

func TestVectors(t *testing.T) {
	files, err := filepath.Glob("../../testdata/policy/*.yaml")
	if err != nil || len(files) == 0 {
		t.Fatalf("no vectors: %v", err)
	}
	total := 0
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		var vectors []vector
		decoder := yaml.NewDecoder(bytes.NewReader(data))
		decoder.KnownFields(true)
		if err := decoder.Decode(&vectors); err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		total += len(vectors)
		for _, v := range vectors {
			t.Run(filepath.Base(file)+"/"+v.Name, func(t *testing.T) { checkVector(t, v) })
		}
	}
	if total < 60 {
		t.Errorf("%d vectors, at least 60 are kept", total)
	}
}

func checkVector(t *testing.T, v vector) {
	p, err := v.policy()
	if v.Error != "" {
		if err == nil || !strings.Contains(err.Error(), v.Error) {
			t.Fatalf("error %v, want one with %q", err, v.Error)
		}
		return
	}
	if err != nil {
		t.Fatal(err)
	}
	tags := make([]image.Tag, len(v.Tags))
	for i, s := range v.Tags {
		tags[i] = parseTag(t, s)
	}
	choice := p.Choose(p.Standing(tags))
	if choice.Tag.Name != v.Want || choice.Found != (v.Want != "") {
		t.Fatalf("winner %q, want %q (%s)", choice.Tag.Name, v.Want, choice.Reason)
	}
	if v.Reason != "" && choice.Reason != v.Reason {
		t.Errorf("reason %q, want %q", choice.Reason, v.Reason)
	}
	if choice.Reason == "" {
		t.Error("no reason given")
	}
	seen := map[string]string{}
	for _, d := range choice.Dropped {
		seen[d.Tag.Name] = d.Rule + ": " + d.Why
	}
	for tag, want := range v.Dropped {
		if seen[tag] != want {
			t.Errorf("%s dropped for %q, want %q", tag, seen[tag], want)
		}
	}
	// Every tag is accounted for exactly once.
	if choice.Found {
		seen[choice.Tag.Name] = "won"
	}
	if len(seen) != len(tags) {
		t.Errorf("%d of %d tags accounted for", len(seen), len(tags))
	}
}

// TestExpressionsAreBounded holds that an expression which would take much memory, or a
// long time for each tag, is refused, and an honest one is not.
func TestExpressionsAreBounded(t *testing.T) {
	for expression, fine := range map[string]bool{
		"^[0-9a-f]{40}$":                      true,
		`^(main|release-\d+)-[0-9a-f]{7,40}$`: true,
		strings.Repeat("x{1000}", 100):        false,
		strings.Repeat("(.?){1000}", 20):      false,
		strings.Repeat("x", 1025):             false,
		"((a{100}){100}){10}":                 false,
	} {
		if _, err := ParseAllow("regexp:" + expression); (err == nil) != fine {
			t.Errorf("%.40s: %v", expression, err)
		}
	}
}
