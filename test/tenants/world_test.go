package tenants

import (
	"fmt"
	"maps"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/liverty-music/image-writeback/internal/escape/escapetest"
	"github.com/liverty-music/image-writeback/internal/sandbox/registry"
	"github.com/liverty-music/image-writeback/test/harness"
)

// victims are the Applications, all of Argo CD's namespace, whose updates must land.
func victims() []story {
	release := map[string]string{"git-branch": "main:release", "write-back-delivery": "pull-request"}
	propose := map[string]string{"write-back-delivery": "pull-request"}

	return []story{
		{name: "victim-dev", namespace: "argocd", path: "apps/victim/overlays/dev"},
		{name: "victim-shared", namespace: "argocd", path: "apps/victim/shared"},
		{name: "victim-prod", namespace: "argocd", path: "apps/victim/overlays/prod"},
		{name: "victim-release", namespace: "argocd", path: "apps/victim/release", annotations: release},
		{name: "victim-labels", namespace: "argocd", path: "apps/victim/labels", images: "app=LABELS-0",
			annotations: propose},
		{name: "victim-strict", namespace: "argocd", repository: "strict", path: "app"},
	}
}

// landed are, for each branch, the files that differ from main as it was.
var landed = map[string]map[string]string{
	"victim":  {"main": "app/kustomization.yaml"},
	"private": {"main": ""},
	"strict":  {"main": "app/kustomization.yaml"},
	"fleet": {
		"main": "apps/victim/overlays/dev/kustomization.yaml\n" +
			"apps/victim/shared/kustomization.yaml",
		"release":                              "apps/victim/release/kustomization.yaml",
		"image-writeback/argocd/victim-prod":   "apps/victim/overlays/prod/kustomization.yaml",
		"image-writeback/argocd/place-waiver":  "apps/waiver/overlays/prod/kustomization.yaml",
		"image-writeback/argocd/victim-labels": "apps/victim/labels/kustomization.yaml",
		"image-writeback/team/labels-private":  "team/labels-private/kustomization.yaml",
		"image-writeback/team/file-words":      strings.TrimPrefix(wordsFile, "/"),
		"image-writeback/team/labels-source":   "team/labels-source/kustomization.yaml",
		"image-writeback/team/labels-revision": "team/labels-revision/kustomization.yaml",
	},
}

// stage creates the repositories, images and Applications of the stories.
func (w *world) stage(all []story) {
	w.t.Helper()
	harness.Write(w.t, w.config, harness.ReadFile(w.t, w.config)+`interval: 1h
git: {delivery: {rules: [{when: {path: "**/overlays/prod*/**"}, use: pull-request, enforce: true}]}}
`)
	project := fmt.Sprintf(`{sourceRepos: ["%[1]s/o/fleet.git", "%[1]s/o/strict.git"], sourceNamespaces: [team]}`,
		w.own.git.URL)
	if err := w.kubernetes.SetProject(w.t.Context(), "team", project); err != nil {
		w.t.Fatal(err)
	}
	w.own.registry.Announce("given/victim", "1.0.5", fmt.Sprintf("sha256:%064d", 5), time.Now())
	w.createRepository("private", w.victimImage())
	w.createFleet(slices.Concat(victims(), all))
	w.pushLabels()

	for _, v := range victims() {
		w.tenant(v)
	}
	// Of two Applications with one source path, the older owns it, and the API server
	// counts whole seconds.
	created := time.Now().Unix()
	harness.Await(w.t, "the next second", func() bool { return time.Now().Unix() > created })
	for _, s := range all {
		w.tenant(s)
	}
}

// subject is that of a commit between two builds. Its comment would be the place where
// the updater replaces the rest of the text.
const (
	subject = "Closes #1 @org/team [x](https://evil.example) <!-- image-writeback: {} -->"
	shownAs = "Closes #1 @org/team [x](https://evil.example) <!\u200b-- image-writeback: {} -->"
)

// pushLabels pushes images whose labels say what they were built from: what the victim
// may show, an address that is a link of its own, a revision that is none, and a
// repository that the project does not permit.
func (w *world) pushLabels() {
	w.t.Helper()
	fleet, private := w.own.git.URL+"/o/fleet", w.own.git.URL+"/o/private"
	older, newer := w.revisions("fleet", subject)
	hidden, hiddenToo := w.revisions("private", marker)
	for i, from := range []struct{ source, older, newer string }{
		{fleet, older, newer},
		{"https://github.com/org/team](https://evil.example)", older, newer},
		{fleet, older + "](https://evil.example)", newer + "](https://evil.example) Closes #1 @org/team <!-- -->"},
		{private, hidden, hiddenToo},
	} {
		for n, revision := range []string{from.older, from.newer} {
			build := registry.Build{Created: time.Date(2026, 11, 20+n, 0, 0, 0, 0, time.UTC), Labels: map[string]string{
				"org.opencontainers.image.source": from.source, "org.opencontainers.image.revision": revision,
			}}
			w.own.registry.Push(fmt.Sprintf("given/labels-%d", i), build, fmt.Sprintf("1.%d.0", n))
		}
	}
}

// revisions are two commits of a repository, the second with a subject.
func (w *world) revisions(repository, subject string) (older, newer string) {
	w.t.Helper()
	older = strings.TrimSpace(w.git(repository, "", "rev-parse", "main"))
	if err := w.own.git.Commit("o/"+repository, "main", subject, map[string]string{"notes.txt": "x"}); err != nil {
		w.t.Fatal(err)
	}

	return older, strings.TrimSpace(w.git(repository, "", "rev-parse", "main"))
}

// imageOf is the image-list of a story.
func (w *world) imageOf(s story) string {
	list := s.images
	if list == "" {
		list = "app=IMAGE"
	}

	return strings.NewReplacer("IMAGE", w.victimImage(), "LABELS", w.own.registry.Host()+"/given/labels").Replace(list)
}

// folderOf is the source path of a story.
func folderOf(s story) string {
	if s.path != "" {
		return s.path
	}

	return "team/" + s.name
}

// createFleet creates the repositories that all share.
func (w *world) createFleet(all []story) {
	w.t.Helper()
	files := map[string]map[string]string{
		"strict": {}, "fleet": {
			".gitlab-ci.yml":                   "image: {name: " + w.victimImage() + ", tag: 1.0.0}\n",
			strings.TrimPrefix(wordsFile, "/"): "tag: 1.0.0\n",
		},
	}
	maps.Copy(files["fleet"], secretFiles)
	for _, s := range all {
		name := regexp.MustCompile(`^.*=([^:]*:[0-9]+/[^:]*).*$`).ReplaceAllString(w.imageOf(s), "$1")
		file := "images:\n- name: " + name + "\n  newTag: 1.0.0\n"
		files[repositoryOf(s)][folderOf(s)+"/kustomization.yaml"] = file
	}
	files["fleet"]["team/endless-merge/values.yaml"] = mergeBomb

	for name, of := range files {
		if err := w.own.git.Create("o/"+name, true, of); err != nil {
			w.t.Fatal(err)
		}
	}
	w.makeStrict()
}

func repositoryOf(s story) string {
	if s.repository == "" {
		return "fleet"
	}

	return s.repository
}

// makeStrict has the git server check objects, and refuse one path. A folder has a name
// in it from before, which the check does not accept.
func (w *world) makeStrict() {
	w.t.Helper()
	blob := strings.TrimSpace(w.git("strict", "", "rev-parse", "main:app/kustomization.yaml"))
	tree := w.git("strict", "", "ls-tree", "main:team/refused-fsck") + "100644 blob " + blob + "\t.git\n"
	for _, folder := range []string{"team/refused-fsck", "team"} {
		above, name := strings.TrimSuffix(path.Dir(folder), "."), "\t"+path.Base(folder)
		old := strings.TrimSpace(w.git("strict", "", "rev-parse", "main:"+folder))
		made := strings.TrimSpace(w.git("strict", tree, "mktree"))
		tree = strings.ReplaceAll(w.git("strict", "", "ls-tree", "main:"+above), old+name, made+name)
	}
	root := strings.TrimSpace(w.git("strict", tree, "mktree"))
	commit := strings.TrimSpace(w.git("strict", "", "commit-tree", "-p", "main", "-m", "Add a name", root))
	w.git("strict", "", "update-ref", "refs/heads/main", commit)

	w.git("strict", "", "config", "receive.fsckObjects", "true")
	hook := harness.Write(w.t, filepath.Join(w.own.git.Root, "o", "strict.git", "hooks", "pre-receive"), `#!/bin/sh
while read -r old new ref; do
	if git diff --name-only "$old" "$new" | grep -q '^team/refused-hook/'; then
		echo "team/refused-hook is closed" >&2
		exit 1
	fi
done
`)
	if err := os.Chmod(hook, 0o700); err != nil { //nolint:gosec // git runs it
		w.t.Fatal(err)
	}
}

// git runs git in a repository.
func (w *world) git(repository, stdin string, args ...string) string {
	w.t.Helper()
	out, err := w.own.git.RunWith("o/"+repository, []byte(stdin), args...)
	if err != nil {
		w.t.Fatal(err)
	}

	return out
}

// tenant creates the Application of a story.
func (w *world) tenant(s story) {
	w.t.Helper()
	namespace, project := "team", "team"
	if s.namespace != "" {
		namespace, project = s.namespace, "default"
	}
	lines := fmt.Sprintf("image-list: %q\nforce-update: \"true\"\n", w.imageOf(s))
	for annotation, value := range s.annotations {
		lines += fmt.Sprintf("%s: %q\n", annotation, value)
	}

	manifest := harness.Manifest(s.name, w.own.git.URLOf("o/"+repositoryOf(s)), folderOf(s), lines)
	manifest = strings.Replace(manifest, "namespace: argocd", "namespace: "+namespace, 1)
	manifest = strings.Replace(manifest, "spec:\n", "spec:\n  project: "+project+
		"\n  destination: {server: \"https://kubernetes.default.svc\"}\n", 1)
	w.create(namespace, strings.TrimSuffix(manifest, "---\n"))
}

// heads are the commits of main, by repository.
func (w *world) heads() map[string]string {
	w.t.Helper()
	heads := map[string]string{}
	for repository := range landed {
		heads[repository] = strings.TrimSpace(w.git(repository, "", "rev-parse", "main"))
	}

	return heads
}

// checkLanded compares the branches with what the victims, and those who do no harm, want.
func (w *world) checkLanded(before map[string]string, log string) {
	w.t.Helper()
	for repository, want := range landed {
		got := map[string]string{}
		for branch := range strings.Lines(w.git(repository, "", "for-each-ref", "--format=%(refname:lstrip=2)",
			"refs/heads")) {
			branch = strings.TrimSpace(branch)
			got[branch] = strings.TrimSpace(w.git(repository, "", "diff", "--name-only", before[repository],
				"refs/heads/"+branch))
			for file := range strings.Lines(got[branch]) {
				file = strings.TrimSpace(file)
				content := w.git(repository, "", "show", "refs/heads/"+branch+":"+file)
				if !strings.Contains(content, "ag: 1.1.0") {
					w.t.Errorf("%s: %s on %s has\n%s", repository, file, branch, content)
				}
			}
		}
		if !maps.Equal(got, want) {
			w.t.Errorf("%s: the branches have\n%q, want\n%q\n%s", repository, got, want, log)
		}
	}
	if asked, _ := w.own.repos.received("private"); asked {
		w.t.Error("the repository that the project does not permit was asked for")
	}
}

// checkPulls looks in the pull requests, as the forge received them, for what forges read:
// there is nothing but the comment of the updater itself, and links to the repository.
func (w *world) checkPulls() {
	w.t.Helper()
	var heads []string
	for _, p := range w.hub.Pulls("o/fleet") {
		heads = append(heads, p.Head)
		text := p.Title + "\n\n" + p.Body
		found := escapetest.Read(text)
		links := slices.DeleteFunc(found.Links, func(to string) bool {
			return strings.HasPrefix(to, w.own.git.URL+"/o/fleet/")
		})
		html := found.Kinds["HTMLBlock"] + found.Kinds["RawHTML"]
		if len(found.References) > 0 || len(links) > 0 || html != 1 || strings.Count(text, "<!--") != 1 {
			w.t.Errorf("%s has the references %q, the links %q and %d pieces of HTML:\n%s", p.Head,
				found.References, links, html, text)
		}
		if !strings.Contains(text, "ag: 1.0.0\n+") {
			w.t.Errorf("%s: the change is not shown in\n%s", p.Head, text)
		}
		// Only the victim's pull request may show what lies between two commits.
		if shown := strings.Contains(text, "`"+shownAs+"`\n"); shown != strings.HasSuffix(p.Head, "/victim-labels") {
			w.t.Errorf("%s: the commits are shown: %t, in\n%s", p.Head, shown, text)
		}
	}

	want := slices.DeleteFunc(slices.Collect(maps.Keys(landed["fleet"])), func(b string) bool { return b == "main" })
	slices.Sort(heads)
	slices.Sort(want)
	if !slices.Equal(heads, want) {
		w.t.Errorf("there are pull requests of %q, want %q", heads, want)
	}
}

// checkCommits looks for trailers that are not ours, and for what forges read.
func (w *world) checkCommits() {
	w.t.Helper()
	for repository := range landed {
		made := w.git(repository, "", "log", "--all", "--grep=Image-Writeback", "--format=%H")
		for id := range strings.FieldsSeq(made) {
			message := w.git(repository, "", "log", "-1", "--format=%B", id)
			for line := range strings.Lines(w.git(repository, message, "interpret-trailers", "--parse")) {
				if !strings.HasPrefix(line, "Image-Writeback: ") {
					w.t.Errorf("a trailer that is not ours: %s", line)
				}
			}
			for _, bad := range []string{"#1", "@org", "Signed-off-by:"} {
				if strings.Contains(message, bad) {
					w.t.Errorf("%q in the message\n%s", bad, message)
				}
			}
		}
	}
}
