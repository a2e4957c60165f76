package argo

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/liverty-music/image-writeback/internal/limit"
	"github.com/liverty-music/image-writeback/internal/spec"
)

const applicationA = `apiVersion: argoproj.io/v1alpha1
kind: Application
metadata:
  name: a
  labels: {team: x}
  annotations:
    argocd-image-updater.argoproj.io/image-list: nginx
    argocd-image-updater.argoproj.io/force-update: true
spec:
  source: {repoURL: https://example.com/o/r.git, path: a}
`

func writeFiles(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, content := range files {
		if err := os.MkdirAll(filepath.Join(dir, filepath.Dir(name)), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func TestFilesOfAllKinds(t *testing.T) {
	annotated := func(name, namespace string) string {
		return `{"apiVersion":"argoproj.io/v1alpha1","kind":"Application",` +
			`"metadata":{"name":"` + name + `","namespace":"` + namespace + `",` +
			`"annotations":{"argocd-image-updater.argoproj.io/image-list":"nginx"}},` +
			`"spec":{"source":{"repoURL":"https://example.com/o/r.git","path":"x"}}}`
	}
	dir := writeFiles(t, map[string]string{
		"a.yaml": "# first\n---\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\n---\n" +
			applicationA + "---\n",
		"deep/b.json": annotated("b", "teams"),
		"deep/list.yml": `{"apiVersion":"v1","kind":"List","items":[` +
			annotated("c", "argocd") + `,` + annotated("d", "argocd") + `]}`,
		"none.yaml":   "apiVersion: argoproj.io/v1alpha1\nkind: Application\nmetadata: {name: quiet}\nspec: {}\n",
		"broken.yaml": "apiVersion: argoproj.io/v1alpha1\nkind: Application\nmetadata: [\n",
		"typed.yaml": "apiVersion: argoproj.io/v1alpha1\nkind: Application\n" +
			"metadata: {name: e}\nspec: {source: {path: [1]}}\n",
		"twice.yaml": annotated("b", "teams"),
		"notes.txt":  "kind: Application\n",
	})
	files := &Files{Paths: []string{dir}, Defaults: defaults, Namespace: "argocd"}
	found, err := files.List(t.Context())
	apps, problems := found.Applications, found.Problems
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, app := range apps {
		names = append(names, app.String())
	}
	if got := strings.Join(names, " "); got != "argocd/a argocd/c argocd/d teams/b" {
		t.Errorf("Applications %s", got)
	}
	if !strings.HasSuffix(apps[0].Origin, "a.yaml:7") {
		t.Errorf("origin %s", apps[0].Origin)
	}
	var said []string
	for _, p := range problems {
		said = append(said, strings.TrimPrefix(p.Where, dir+"/")+": "+p.Error())
	}
	all := strings.Join(said, "\n")
	for _, want := range []string{
		"a.yaml:14: annotation argocd-image-updater.argoproj.io/force-update = \"true\": annotations must be strings",
		"broken.yaml: the file cannot be read: line",
		"typed.yaml:1: the Application is not valid",
		"twice.yaml:1: the Application was already read from",
	} {
		if !strings.Contains(all, want) {
			t.Errorf("no problem %q in:\n%s", want, all)
		}
	}
	if len(problems) != 4 {
		t.Errorf("problems:\n%s", all)
	}
}

func TestSelection(t *testing.T) {
	dir := writeFiles(t, map[string]string{"a.yaml": applicationA})
	for name, c := range map[string]struct {
		namespaces []string
		selector   string
		names      []string
		want       int
	}{
		"all":             {nil, "", nil, 1},
		"its namespace":   {[]string{"x", "argocd"}, "", nil, 1},
		"another":         {[]string{"x"}, "", nil, 0},
		"its label":       {nil, "team in (x,y)", nil, 1},
		"another label":   {nil, "team=y", nil, 0},
		"its name":        {nil, "", []string{"b", "a*"}, 1},
		"another's name":  {nil, "", []string{"b*"}, 0},
		"all but a match": {[]string{"argocd"}, "team=x", []string{"b*"}, 0},
	} {
		selection, err := NewSelection(c.namespaces, c.selector, c.names)
		if err != nil {
			t.Fatal(err)
		}
		files := &Files{Paths: []string{dir}, Defaults: defaults, Namespace: "argocd", Selection: selection}
		found, err := files.List(t.Context())
		apps := found.Applications
		if err != nil || len(apps) != c.want {
			t.Errorf("%s: %d Applications, %v", name, len(apps), err)
		}
	}
	if _, err := NewSelection(nil, "team in", nil); err == nil {
		t.Error("a broken selector is accepted")
	}
	if _, err := NewSelection(nil, "", []string{"["}); err == nil {
		t.Error("a broken glob is accepted")
	}
	if _, err := (&Files{Paths: []string{filepath.Join(dir, "none")}}).List(t.Context()); err == nil {
		t.Error("a path that is not there is accepted")
	}
}

// TestImageUpdatersInFiles holds that an ImageUpdater selects Applications in
// other files too, and is named with its line if it is not valid.
func TestImageUpdatersInFiles(t *testing.T) {
	quiet := strings.NewReplacer(
		"  annotations:\n", "",
		"    argocd-image-updater.argoproj.io/image-list: nginx\n", "",
		"    argocd-image-updater.argoproj.io/force-update: true\n", "",
	).Replace(applicationA)
	dir := writeFiles(t, map[string]string{
		"a.yaml": quiet,
		"u.yaml": "apiVersion: argocd-image-updater.argoproj.io/v1alpha1\nkind: ImageUpdater\n" +
			"metadata: {name: all}\n" +
			"spec: {applicationRefs: [{namePattern: a, images: [{alias: web, imageName: 'nginx:^1'}]}]}\n" +
			"---\napiVersion: argocd-image-updater.argoproj.io/v1alpha1\nkind: ImageUpdater\n" +
			"metadata: {name: bad}\nspec: {applicationRefs: [{namePattern: [a]}]}\n",
	})
	found, err := (&Files{Paths: []string{dir}, Defaults: defaults, Namespace: "argocd"}).List(t.Context())
	apps, problems := found.Applications, found.Problems
	if err != nil || len(apps) != 1 ||
		apps[0].Images[0].Alias != "web" || !strings.HasSuffix(apps[0].Origin, "a.yaml:1") {
		t.Errorf("Applications %+v, %v", apps, err)
	}
	if len(problems) != 1 || !strings.Contains(problems[0].Where, "u.yaml:6") ||
		!strings.Contains(problems[0].Error(), "the ImageUpdater is not valid") {
		t.Errorf("problems %+v", problems)
	}
}

// TestLargeFiles holds that a large file without Applications is passed over, and one
// that may have some is named.
func TestLargeFiles(t *testing.T) {
	padding := "kind: ConfigMap\ndata: {x: " + strings.Repeat("x", maxManifest-6) + "}\n"
	dir := writeFiles(t, map[string]string{
		"a.yaml":     applicationA,
		"large.yaml": padding,
		"apps.yaml":  padding + "---\n" + applicationA,
		"split.yaml": strings.Repeat(" ", maxManifest-3) + "argoproj.io",
		"late.yaml":  strings.Repeat("# x\n", maxManifest) + applicationA,
	})
	files := &Files{Paths: []string{dir}, Defaults: defaults, Namespace: "argocd"}
	found, err := files.List(t.Context())
	apps, problems := found.Applications, found.Problems
	if err != nil || len(apps) != 1 {
		t.Fatalf("%d Applications, %v", len(apps), err)
	}
	named := 0
	for _, p := range problems {
		if strings.Contains(p.Error(), "it is larger than 4 MiB; put its Applications into smaller files") {
			named++
		}
	}
	if named != 3 {
		t.Errorf("%+v", problems)
	}
}

// TestAliasesOfAliases holds that a document whose aliases multiply is refused.
func TestAliasesOfAliases(t *testing.T) {
	var bomb strings.Builder
	bomb.WriteString("apiVersion: argoproj.io/v1alpha1\nkind: Application\nmetadata: {name: bomb}\nspec:\n")
	bomb.WriteString("  a0: &a0 [x]\n")
	for i := range 20 {
		at := strconv.Itoa(i)
		bomb.WriteString("  a" + strconv.Itoa(i+1) + ": &a" + strconv.Itoa(i+1) + " [" +
			strings.Repeat("*a"+at+", ", 9) + "*a" + at + "]\n")
	}
	dir := writeFiles(t, map[string]string{"a.yaml": applicationA, "bomb.yaml": bomb.String()})
	files := &Files{Paths: []string{dir}, Defaults: defaults, Namespace: "argocd"}
	found, err := files.List(t.Context())
	apps, problems := found.Applications, found.Problems
	if err != nil || len(apps) != 1 || !strings.Contains(problems[len(problems)-1].Error(), "aliasing") {
		t.Errorf("%d Applications, %v, %+v", len(apps), err, problems)
	}
}

// TestImagesAreLimited holds that one Application cannot ask for any number of images,
// and that its problems are short.
func TestImagesAreLimited(t *testing.T) {
	limited := defaults
	limited.Images = limit.Limit{Max: 200, Raise: "raise IMAGES"}
	read := func(list string, more ...string) spec.Application {
		app := &Stored{}
		app.Name, app.Namespace = "a", "argocd"
		app.Annotations = map[string]string{spec.Prefix + imageList: list}
		for _, name := range more {
			app.Annotations[spec.Prefix+name] = "x"
		}
		app.Spec.Source = &StoredSource{RepoURL: "https://example.com/o/r.git", Path: "a"}
		return Read(app, limited)
	}

	many := strings.TrimSuffix(strings.Repeat("nginx,", 200), ",")
	if app := read(many); len(app.Images) != 200 || len(app.Broken()) > 0 {
		t.Errorf("%d images, %v", len(app.Images), app.Problems)
	}
	app := read(many + ",redis")
	const want = "the Application has more than 200 images; divide the Application, or raise IMAGES"
	if len(app.Images) != 0 || len(app.Broken()) != 1 || !strings.Contains(app.Problems[0].Error(), want) {
		t.Errorf("%d images, %v", len(app.Images), app.Problems)
	}

	var unknown []string
	for i := range 1000 {
		unknown = append(unknown, "unknown"+strconv.Itoa(i))
	}
	app = read(strings.Repeat("x", 100_000)+strings.Repeat(",A", 150), unknown...)
	text := 0
	for _, p := range app.Problems {
		text += len(p.Error())
	}
	if len(app.Broken()) != 151 || text > 200_000 {
		t.Errorf("%d problems, %d of them no advice, with %d characters", len(app.Problems), len(app.Broken()), text)
	}
}
