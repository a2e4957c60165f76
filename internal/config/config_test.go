package config

import (
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"sigs.k8s.io/kustomize/kyaml/yaml"
)

// TestTheSampleIsTheDefault holds the promise of the sample's first line.
func TestTheSampleIsTheDefault(t *testing.T) {
	data, err := os.ReadFile("../../config.yaml")
	if err != nil {
		t.Fatal(err)
	}
	got, problems := Read("config.yaml", data)
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	want := Default()
	empty := func(s []string) []string { return append([]string{}, s...) }
	want.Applications.Namespaces, want.Applications.Names = empty(nil), empty(nil)
	pr := &want.GitHub.PullRequest
	pr.Labels, pr.Reviewers, pr.Assignees = empty(nil), empty(nil), empty(nil)
	want.Registries, want.Git.Delivery.Rules, want.Git.Allow = []Registry{}, []DeliveryRule{}, []GitAllow{}
	want.Annotations = Annotations{Secrets: []AnnotationSecret{}, Credentials: empty(nil)}
	want.Images.Allow, want.Network.Allow, want.Network.Deny = empty(nil), empty(nil), empty(nil)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-default +sample):\n%s", diff)
	}
	// The examples in comments are true as well.
	example := string(data)
	for _, key := range []string{"registries: []", "rules: []", "secrets: []", "  allow: []                 # where"} {
		example = strings.Replace(example, key, strings.Replace(key, "[]", "  ", 1), 1)
	}
	example = strings.NewReplacer("# - ", "- ", "#   ", "  ").Replace(example)
	got, problems = Read("config.yaml", []byte(example))
	if len(problems) > 0 || len(got.Registries) != 1 || len(got.Git.Delivery.Rules) != 1 ||
		len(got.Annotations.Secrets) != 1 || len(got.Git.Allow) != 1 {
		t.Errorf("the examples: %v, %+v", problems, got)
	}
	if !got.Git.Delivery.Rules[0].Enforce {
		t.Error("the sample does not enforce pull requests for prod")
	}
}

// TestTheWholeContractIsRead reads every key of the contract at a value that
// stands in this version.
func TestTheWholeContractIsRead(t *testing.T) {
	data, err := os.ReadFile("../../testdata/config/all.yaml")
	if err != nil {
		t.Fatal(err)
	}
	all := string(data)
	if _, problems := Read("config.yaml", []byte(all)); len(problems) > 0 {
		t.Error(problems)
	}
	served := strings.Replace(all, `web: {listen: ""`, `web: {listen: ":8080"`, 1)
	if _, problems := Read("config.yaml", []byte(served)); len(problems) > 0 {
		t.Error(problems)
	}
	for _, empty := range []string{"", "# nothing\n", "---\n", "{}\n"} {
		got, problems := Read("config.yaml", []byte(empty))
		if len(problems) > 0 || !reflect.DeepEqual(got, Default()) {
			t.Errorf("%q: %+v, %v", empty, got, problems)
		}
	}
}

// TestProblems checks what is said about configurations that are not valid.
func TestProblems(t *testing.T) {
	data, err := os.ReadFile("../../testdata/config/problems.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var vectors []struct {
		Config  string `yaml:"config"`
		Problem string `yaml:"problem"`
	}
	if err := yaml.Unmarshal(data, &vectors); err != nil || len(vectors) < 40 {
		t.Fatalf("%d vectors, %v", len(vectors), err)
	}

	for _, v := range vectors {
		_, problems := Read("c.yaml", []byte(v.Config))
		says := func(p Problem) bool { return strings.Contains(p.Error(), v.Problem) }
		if !slices.ContainsFunc(problems, says) {
			t.Errorf("%s%v\nwant %s", v.Config, problems, v.Problem)
		}
	}
}

func TestReadRegistries(t *testing.T) {
	file := filepath.Join(t.TempDir(), "registries.conf")
	read := func(content string) ([]Registry, []Problem) {
		t.Helper()
		if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		registries, problems, err := ReadRegistries(file)
		if err != nil {
			t.Fatal(err)
		}
		return registries, problems
	}
	got, problems := read(`registries:
- name: Docker Hub
  api_url: https://registry-1.docker.io
  ping: yes
  credentials: secret:foo/bar#creds
  defaultns: library
- name: Amazon
  api_url: https://123456789.dkr.ecr.eu-west-1.amazonaws.com
  prefix: 123456789.dkr.ecr.eu-west-1.amazonaws.com
  ping: yes
  insecure: no
  credentials: ext:/scripts/auth1.sh
  credsexpire: 10h
  tagsortmode: latest-first
  limit: 10
`)
	want := []Registry{
		{
			Name: "Docker Hub", Prefix: "docker.io", APIURL: "https://registry-1.docker.io", Ping: true,
			Credentials: "secret:foo/bar#creds", DefaultNS: "library",
		},
		{
			Name: "Amazon", Prefix: "123456789.dkr.ecr.eu-west-1.amazonaws.com",
			APIURL: "https://123456789.dkr.ecr.eu-west-1.amazonaws.com", Ping: true,
			Credentials: "ext:/scripts/auth1.sh", CredsExpire: Duration(10 * time.Hour),
			TagSortMode: "latest-first", Limit: 10,
		},
	}
	if diff := cmp.Diff(want, got); diff != "" || len(problems) > 0 {
		t.Errorf("%v (-want +got):\n%s", problems, diff)
	}

	_, problems = read("registries: []\ninterval: 1m\n")
	if len(problems) != 1 || !strings.Contains(problems[0].Message, "unknown key interval") {
		t.Errorf("another key: %v", problems)
	}
	_, problems = read("registries:\n- {name: x, prefix: x, credsexpire: soon}\n")
	if len(problems) != 1 || problems[0].Line != 2 {
		t.Errorf("a duration that is not one: %v", problems)
	}
}
