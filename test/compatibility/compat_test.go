// Package compatibility holds that annotations, arguments and credentials of Argo
// CD Image Updater mean what they mean there, but for the differences that
// docs/migrating.md names. The cases are in testdata/compat.
package compatibility

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"sigs.k8s.io/yaml"

	"github.com/liverty-music/image-writeback/internal/plan"
	"github.com/liverty-music/image-writeback/internal/sandbox"
	"github.com/liverty-music/image-writeback/internal/sandbox/git"
	"github.com/liverty-music/image-writeback/internal/sandbox/kube"
	"github.com/liverty-music/image-writeback/internal/sandbox/registry"
	"github.com/liverty-music/image-writeback/internal/spec"
	"github.com/liverty-music/image-writeback/test/harness"
)

// compat is a cluster, a git server and a registry with Applications of which
// it is known what Argo CD Image Updater does with them.
type compat struct {
	t          *testing.T
	kubernetes *kube.Cluster
	git        *git.Server
	registry   *registry.Server
	config     string
}

func newCompat(t *testing.T, settings string) *compat {
	t.Helper()
	k := harness.NewKubernetes(t)
	git := harness.NewGit(t)
	registry := harness.NewRegistry(t)
	config := fmt.Sprintf(sandbox.Network+"registries:\n- {prefix: reg.example.com, api_url: %s, limit: 10000}\n"+
		"- {prefix: "+
		"docker.io, api_url: %s, limit: 10000}\n%s", registry.URL, registry.URL, settings)
	return &compat{t, k, git, registry, harness.Write(t, filepath.Join(t.TempDir(), "config.yaml"), config)}
}

// application creates an Application with its repository and its tags.
func (c *compat) application(namespace, name string, annotations, fields, status map[string]any) {
	c.t.Helper()
	prefixed := map[string]any{}
	for key, value := range annotations {
		prefixed[spec.Prefix+key] = value
	}

	fields["project"] = "default"
	fields["destination"] = map[string]any{"server": "https://kubernetes.default.svc"}
	object := map[string]any{"apiVersion": "argoproj.io/v1alpha1", "kind": "Application",
		"metadata": map[string]any{"namespace": namespace, "name": name,
			"annotations": prefixed}, "spec": fields, "status": status}
	data, err := json.Marshal(object)
	if err == nil {
		err = c.kubernetes.Create(c.t.Context(), namespace, string(data))
	}

	if err != nil {
		c.t.Fatalf("%s: %v", name, err)
	}
}

// updater runs a command on the whole cluster.
func (c *compat) updater(args ...string) harness.Result {
	c.t.Helper()
	return harness.Run(c.t, append(args, "--config", c.config, "--kubeconfig", c.kubernetes.Kubeconfig,
		"--argocd-namespace", "argocd")...)
}

// plan is what the updater would do, by Application.
func (c *compat) plan() map[string]plan.Application {
	c.t.Helper()
	var printed plan.Plan
	got := c.updater("plan", "-o", "json")
	if err := json.Unmarshal([]byte(got.Stdout), &printed); err != nil {
		c.t.Fatalf("%v\n%s\n%s", err, got.Stdout, got.Stderr)
	}

	found := map[string]plan.Application{}
	for _, app := range printed.Applications {
		found[app.Name] = app
	}

	return found
}

// watched is an Application that Argo CD Image Updater 0.18.0 was seen to
// work on.
type watched struct {
	Name        string                    `json:"name"`
	SourceType  string                    `json:"sourceType"`
	Path        string                    `json:"path"`
	Annotations map[string]any            `json:"annotations"`
	LiveImages  []string                  `json:"liveImages"`
	Tags        map[string][]watchedTag   `json:"tags"`
	Before      map[string]map[string]any `json:"before"`
	After       map[string]map[string]any `json:"after"`
}

type watchedTag struct {
	Name    string `json:"name"`
	Created int64  `json:"created"`
	Digest  string `json:"digest"`
}

const watchedRegistry = "reg.example.com"

func readWatched(t *testing.T) []watched {
	t.Helper()
	var all []watched
	for _, file := range []string{"seed101.json", "seed102.json"} {
		data, err := os.ReadFile(filepath.Join("../../testdata/compat", file))
		if err != nil {
			t.Fatal(err)
		}
		var some []watched
		seed := strings.TrimSuffix(file, ".json")
		if err := json.Unmarshal(bytes.ReplaceAll(data, []byte("REG/"),
			[]byte(watchedRegistry+"/"+seed+"/")), &some); err != nil {
			t.Fatal(err)
		}
		for _, w := range some { // there, the Applications had no seed in their names
			overrides := w.Path + "/.argocd-source-%s.yaml"
			if content, ok := w.After[fmt.Sprintf(overrides, w.Path)]; ok {
				w.After[fmt.Sprintf(overrides, w.Name)] = content
				delete(w.After, fmt.Sprintf(overrides, w.Path))
			}
		}
		all = append(all, some...)
	}

	return all
}

// TestWatchedCases puts the Applications that Argo CD Image Updater was
// watched with before the updater, under the defaults that its users keep. The
// files say the same after, but for the differences of migrating.md.
func TestWatchedCases(t *testing.T) {
	cases := readWatched(t)
	if len(cases) != 120 {
		t.Fatalf("%d cases", len(cases))
	}

	c := newCompat(t, "defaults: {writeBackMethod: argocd, writeBackTarget: argocd-source}\n")
	differences := readDifferences(t)
	for _, w := range cases {
		c.stageWatched(w)
	}

	c.updater("run", "--once")
	same, explained := 0, 0
	for _, w := range cases {
		t.Run(w.Name, func(t *testing.T) {
			after := c.filesAfter(t, w)
			difference, known := differences[w.Name]
			switch equal := reflect.DeepEqual(values(after), values(w.After)); {
			case equal && !known:
				same++
			case !equal && known && reflect.DeepEqual(values(after), values(difference.After)):
				explained++
			case equal && known:
				t.Errorf("it is a difference on purpose (%s), but the same", difference.Kinds)
			default:
				t.Errorf("annotations %s\ngot  %s\nwant %s", text(w.Annotations), text(after), text(w.After))
			}
		})
	}

	t.Logf("%d of %d cases are the same, %d are differences on purpose", same, len(cases), explained)
	if again := c.updater("run", "--once"); strings.Contains(again.Stderr, "msg=committed") {
		t.Errorf("a second cycle commits:\n%s", again.Stderr)
	}
}

// stageWatched creates the repository, the tags and the Application of a case.
func (c *compat) stageWatched(w watched) {
	c.t.Helper()
	files := map[string]string{w.Path + "/README.md": "# " + w.Name + "\n"}
	for file, content := range w.Before {
		data, err := yaml.Marshal(content)
		if err != nil {
			c.t.Fatal(err)
		}
		files[file] = string(data)
	}

	if err := c.git.Create(w.Name, true, files); err != nil {
		c.t.Fatal(err)
	}

	for image, tags := range w.Tags {
		for _, tag := range tags {
			c.registry.Announce(strings.TrimPrefix(image, watchedRegistry+"/"), tag.Name, tag.Digest,
				time.Unix(tag.Created, 0))
		}
	}

	c.application("argocd", w.Name, w.Annotations,
		map[string]any{"source": map[string]any{"repoURL": c.git.URLOf(w.Name), "path": w.Path,
			"targetRevision": "main"}},
		map[string]any{"sourceType": w.SourceType, "summary": map[string]any{"images": w.LiveImages}})
}

// filesAfter reads the files of a case that are in git now: those that it had, those
// that are expected, and those that nobody expects.
func (c *compat) filesAfter(t *testing.T, w watched) map[string]map[string]any {
	t.Helper()
	after := map[string]map[string]any{}
	for file := range merged(w.Before, w.After, c.written(w)) {
		var content map[string]any
		if text, err := c.git.Show(w.Name, "main", file); err == nil {
			if err := yaml.Unmarshal([]byte(text), &content); err != nil {
				t.Fatal(err)
			}
			after[file] = content
		}
	}

	return after
}

// written are the files that a case's repository has now, for those that
// nobody expects.
func (c *compat) written(w watched) map[string]map[string]any {
	c.t.Helper()
	names, err := c.git.Run(w.Name, "ls-tree", "-r", "--name-only", "main")
	if err != nil {
		c.t.Fatal(err)
	}

	found := map[string]map[string]any{}
	for name := range strings.FieldsSeq(names) {
		if strings.HasSuffix(name, ".yaml") {
			found[name] = nil
		}
	}

	return found
}

func merged(all ...map[string]map[string]any) map[string]bool {
	names := map[string]bool{}
	for _, m := range all {
		for name := range maps.Keys(m) {
			names[name] = true
		}
	}

	return names
}

// values makes what JSON and YAML read comparable, and lists of images, whose
// order says nothing, sorted.
func values(files map[string]map[string]any) map[string]any {
	data, err := json.Marshal(files)
	out := map[string]any{}
	if err == nil {
		err = json.Unmarshal(data, &out)
	}

	if err != nil {
		panic(err)
	}

	for _, file := range out {
		content, _ := file.(map[string]any)
		if list, ok := content["images"].([]any); ok {
			sortByText(list)
		}
		if section, ok := content["kustomize"].(map[string]any); ok {
			if list, ok := section["images"].([]any); ok {
				sortByText(list)
			}
		}
	}

	return out
}

func sortByText(list []any) {
	slices.SortFunc(list, func(a, b any) int { return strings.Compare(text(a), text(b)) })
}

func text(value any) string {
	data, err := json.Marshal(value)
	if err != nil {
		return err.Error()
	}
	return string(data)
}

// difference is a case in which we differ on purpose.
type difference struct {
	Case string `json:"case"`
	// Kinds are lines of docs/migrating.md that tell of it.
	Kinds []string                  `json:"kinds"`
	After map[string]map[string]any `json:"after"`
}

func readDifferences(t *testing.T) map[string]difference {
	t.Helper()
	data, err := os.ReadFile("../../testdata/compat/differences.yaml")
	if err != nil {
		t.Fatal(err)
	}

	var list []difference
	if err := yaml.UnmarshalStrict(bytes.ReplaceAll(data, []byte("REG/"),
		[]byte(watchedRegistry+"/")), &list); err != nil {
		t.Fatal(err)
	}

	guide, err := os.ReadFile("../../docs/migrating.md")
	if err != nil {
		t.Fatal(err)
	}

	found := map[string]difference{}
	for _, d := range list {
		for _, kind := range d.Kinds {
			if !strings.Contains(string(guide), "| "+kind+" |") {
				t.Errorf("docs/migrating.md does not tell of %q", kind)
			}
		}
		found[d.Case] = d
	}

	return found
}
