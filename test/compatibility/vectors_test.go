package compatibility

import (
	"fmt"
	"maps"
	"os"
	"path"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/yaml"

	"github.com/liverty-music/image-writeback/internal/plan"
)

// vector is one row of testdata/compat; its README describes the fields.
type vector struct {
	Name        string              `json:"name"`
	Annotations map[string]any      `json:"annotations"`
	Namespace   string              `json:"namespace"`
	Type        string              `json:"type"`
	Path        string              `json:"path"`
	Spec        map[string]any      `json:"spec"`
	Status      map[string]any      `json:"status"`
	Live        []string            `json:"live"`
	Tags        map[string][]string `json:"tags"`
	Files       map[string]string   `json:"files"`
	File        string              `json:"file"`
	Before      string              `json:"before"`
	After       *string             `json:"after"`
	Branch      string              `json:"branch"`
	SpecAfter   map[string]any      `json:"specAfter"`
	Plan        []string            `json:"plan"`
	Says        []string            `json:"says"`

	topic, id string
}

// defaultsOf are the configurations that vectors run under, by the beginning
// of their file's name: ours, else what users of Argo CD Image Updater set.
func defaultsOf(topic string) string {
	if strings.HasPrefix(topic, "ours") {
		return ""
	}
	return "defaults: {writeBackMethod: argocd, writeBackTarget: argocd-source}\n"
}

func readVectors(t *testing.T) map[string][]vector {
	t.Helper()
	files, err := filepath.Glob("../../testdata/compat/*.yaml")
	if err != nil {
		t.Fatal(err)
	}

	byDefaults := map[string][]vector{}
	count := 0
	for _, file := range files {
		topic := strings.TrimSuffix(filepath.Base(file), ".yaml")
		if topic == "differences" {
			continue
		}
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		var raw []any
		if err := yaml.Unmarshal(data, &raw); err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		for i, fields := range raw {
			one, err := yaml.Marshal(fields)
			if err != nil {
				t.Fatal(err)
			}
			v := vector{topic: topic, id: fmt.Sprintf("%s-%d", topic, i)}
			text := strings.NewReplacer(placeholders(v.id)...).Replace(string(one))
			if err := yaml.UnmarshalStrict([]byte(text), &v); err != nil {
				t.Fatalf("%s: %v", v.id, err)
			}
			byDefaults[defaultsOf(topic)] = append(byDefaults[defaultsOf(topic)], v)
			count++
		}
	}

	if count < 150 {
		t.Errorf("%d vectors, at least 150 are kept", count)
	}

	t.Logf("%d vectors", count)

	return byDefaults
}

// placeholders are what vectors write for names that must be their own, and
// for digests.
func placeholders(id string) []string {
	pairs := []string{"REG/", watchedRegistry + "/" + id + "/", "HUB", "hub-" + id}
	for n := 1; n < 10; n++ {
		pairs = append(pairs, fmt.Sprintf("DIGEST%d", n), digestOf(n))
	}
	return pairs
}

// TestVectors puts the Applications of testdata/compat into a cluster, with
// their repositories and tags, plans, runs once, and compares what the plan
// said and what the files and Applications hold then. What was edited is given
// to kustomize and Helm themselves.
func TestVectors(t *testing.T) {
	for settings, vectors := range readVectors(t) {
		c := newCompat(t, settings)
		if err := c.kubernetes.Create(t.Context(), "",
			"apiVersion: v1\nkind: Namespace\nmetadata: {name: apps}\n"); err != nil {
			t.Fatal(err)
		}
		if err := c.kubernetes.SetProject(t.Context(), "default", `{sourceRepos: ["*"], sourceNamespaces: [apps],
  destinations: [{server: "*", namespace: "*"}]}`); err != nil {
			t.Fatal(err)
		}
		for i := range vectors {
			c.stage(&vectors[i])
		}
		plan := c.plan()
		c.updater("run", "--once")
		for _, v := range vectors {
			t.Run(v.topic+"/"+v.Name, func(t *testing.T) {
				c.checkPlan(t, v, plan[v.id])
				c.checkFile(t, v)
				c.checkSpec(t, v)
			})
		}
		if again := c.updater("run", "--once"); strings.Contains(again.Stderr, "msg=committed") ||
			strings.Contains(again.Stderr, "msg=\"Application changed\"") {
			t.Errorf("a second cycle writes:\n%s", again.Stderr)
		}
	}
}

// stage creates what a vector begins with.
func (c *compat) stage(v *vector) {
	c.t.Helper()
	if v.Path == "" {
		v.Path = "app"
	}

	if v.Namespace == "" {
		v.Namespace = "argocd"
	}

	files := map[string]string{v.Path + "/README.md": v.Name + "\n"}
	maps.Copy(files, v.Files)
	if v.File != "" && v.Before != "" {
		files[v.File] = v.Before
	}

	for file, content := range files {
		if strings.Contains(content, "deployment.yaml") {
			files[path.Join(path.Dir(file), "deployment.yaml")] = deploymentOf(v.Tags)
		}
	}

	if err := c.git.Create(v.id, true, files); err != nil {
		c.t.Fatal(err)
	}

	begin := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	for name, tags := range v.Tags {
		repository := strings.TrimPrefix(strings.TrimPrefix(name, watchedRegistry+"/"), "docker.io/")
		for i, tag := range tags {
			c.registry.Announce(repository, tag, digestOf(i+1), begin.Add(time.Duration(i)*time.Hour))
		}
	}

	spec := map[string]any{"source": map[string]any{"path": v.Path, "targetRevision": "main"}}
	if v.Spec != nil {
		spec = v.Spec
	}

	c.fillSources(*v, spec)
	status := map[string]any{"summary": map[string]any{"images": v.Live}}
	if v.Type != "" {
		status["sourceType"] = v.Type
	}

	maps.Copy(status, v.Status)
	c.application(v.Namespace, v.id, v.Annotations, spec, status)
}

// fillSources gives sources the repository of their vector.
func (c *compat) fillSources(v vector, spec map[string]any) {
	sources, _ := spec["sources"].([]any)
	for _, source := range append(sources, spec["source"]) {
		if fields, ok := source.(map[string]any); ok && fields["repoURL"] == nil {
			fields["repoURL"] = c.git.URLOf(v.id)
		}
	}

	if url, ok := v.Annotations["git-repository"].(string); ok {
		v.Annotations["git-repository"] = strings.ReplaceAll(url, "REPOSITORY", c.git.URLOf(v.id))
	}
}

// digestOf is the digest of the nth tag of a vector: 64 times its number.
func digestOf(n int) string { return "sha256:" + strings.Repeat(fmt.Sprintf("%x", n%16), 64) }

// deploymentOf runs every image that a vector has tags for, and "short".
func deploymentOf(tags map[string][]string) string {
	var b strings.Builder
	b.WriteString("apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: d}\nspec:\n  template:\n    spec:\n    " +
		"  containers:\n      - {name: short, image: short}\n")
	for i, name := range slices.Sorted(maps.Keys(tags)) {
		fmt.Fprintf(&b, "      - {name: c%d, image: %s}\n", i, name)
	}

	return b.String()
}

func (c *compat) checkPlan(t *testing.T, v vector, app plan.Application) {
	t.Helper()
	var lines, said []string
	for _, img := range app.Images {
		line := fmt.Sprintf("%s: %s", img.Label(), img.Action)
		if img.Action == plan.ActionUpdate || img.Action == plan.ActionUpToDate {
			line += fmt.Sprintf(" %s -> %s", img.Current, img.Candidate)
		}
		lines = append(lines, line)
		said = append(said, img.Reason)
	}

	said = append(said, app.Problems...)
	if got, want := strings.Join(lines, "\n"), strings.Join(v.Plan, "\n"); got != want {
		t.Errorf("the plan is\n%s\nwant\n%s\n%s", got, want, strings.Join(said, "\n"))
	}

	for _, text := range v.Says {
		if !strings.Contains(strings.Join(said, "\n"), text) {
			t.Errorf("no message has %q:\n%s", text, strings.Join(said, "\n"))
		}
	}
}

func (c *compat) checkFile(t *testing.T, v vector) {
	t.Helper()
	branch := v.Branch
	if branch == "" {
		branch = "main"
	}

	names, err := c.git.Run(v.id, "ls-tree", "-r", "--name-only", branch)
	if err != nil {
		t.Fatal(err)
	}

	for name := range strings.FieldsSeq(names) {
		got, err := c.git.Show(v.id, branch, name)
		if err != nil {
			t.Fatal(err)
		}
		want, existed := v.Files[name]
		switch {
		case name == v.File && v.After != nil:
			want, existed = *v.After, true
		case name == v.File:
			want, existed = v.Before, v.Before != ""
		case path.Base(name) == "deployment.yaml" || path.Base(name) == "README.md":
			continue
		}
		if !existed || got != want {
			t.Errorf("%s holds\n%s\nwant\n%s", name, got, want)
		}
	}

	if v.After == nil {
		return
	}

	if !strings.Contains("\n"+names, "\n"+v.File+"\n") {
		t.Fatalf("there is no %s, but\n%s", v.File, names)
	}

	agree(t, v, *v.After)
}

func (c *compat) checkSpec(t *testing.T, v vector) {
	t.Helper()
	applications := c.kubernetes.Dynamic.Resource(schema.GroupVersionResource{Group: "argoproj.io",
		Version: "v1alpha1", Resource: "applications"}).Namespace(v.Namespace)
	app, err := applications.Get(t.Context(), v.id, metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}

	spec, _ := app.Object["spec"].(map[string]any)
	delete(spec, "destination")
	delete(spec, "project")
	want := v.SpecAfter
	if want == nil {
		want = v.Spec
	}

	if want == nil {
		want = map[string]any{"source": map[string]any{"path": v.Path, "targetRevision": "main"}}
	}

	c.fillSources(v, want)
	delete(want, "destination")
	delete(want, "project")
	if got, wanted := text(spec), text(want); !reflect.DeepEqual(jsonOf(t, got), jsonOf(t, wanted)) {
		t.Errorf("the spec is\n%s\nwant\n%s", got, wanted)
	}
}

func jsonOf(t *testing.T, s string) any {
	t.Helper()
	var out any
	if err := yaml.Unmarshal([]byte(s), &out); err != nil {
		t.Fatal(err)
	}
	return out
}
