package permission

import (
	"os"
	"strings"
	"testing"
	"time"

	"sigs.k8s.io/kustomize/kyaml/yaml"

	"github.com/liverty-music/image-writeback/internal/spec"
)

const deploy = "https://git.corp/o/deploy"

// story is one of testdata/permission/write.yaml.
type story struct {
	Story        string      `yaml:"story"`
	Allow        []writeRule `yaml:"allow"`
	Applications yaml.Node   `yaml:"applications"` // its order is that of their age
	Writes       []write     `yaml:"writes"`
}

type writeRule struct {
	Project      string   `yaml:"project"`
	Repositories []string `yaml:"repositories"`
	Branches     []string `yaml:"branches"`
	Paths        []string `yaml:"paths"`
}

type write struct {
	Application string `yaml:"application"`
	Branch      string `yaml:"branch"`
	Write       string `yaml:"write"`
	Named       *bool  `yaml:"named"`
	Allowed     string `yaml:"allowed"`
	Refused     string `yaml:"refused"`
	Because     string `yaml:"because"`
}

func (s story) rules() *Rules {
	r := &Rules{Namespace: "argocd"}
	for _, a := range s.Allow {
		r.Writes = append(r.Writes, WriteRule{
			Project: a.Project, Repositories: a.Repositories, Branches: a.Branches, Paths: a.Paths,
		})
	}

	return r
}

func (s story) apps(t *testing.T) map[string]spec.Application {
	t.Helper()
	apps := map[string]spec.Application{}
	for i := 0; i < len(s.Applications.Content); i += 2 {
		var asked struct {
			Project  string   `yaml:"project"`
			Paths    []string `yaml:"paths"`
			Values   []string `yaml:"values"`
			Revision string   `yaml:"revision"`
		}
		if err := s.Applications.Content[i+1].Decode(&asked); err != nil {
			t.Fatal(err)
		}

		app := spec.Application{
			Namespace: "argocd", Name: s.Applications.Content[i].Value, Project: asked.Project,
			Created: time.Unix(int64(i), 0), Target: spec.Target{Repository: deploy},
		}
		for _, path := range asked.Paths {
			app.Sources = append(app.Sources, spec.Source{
				Repository: deploy + ".git", Path: path, Revision: asked.Revision,
			})
		}
		for _, path := range asked.Values {
			app.Sources = append(app.Sources, spec.Source{
				Repository: "https://charts.corp", Chart: true,
				Values: []spec.ValuesFile{{Repository: deploy, Path: path}},
			})
		}
		apps[app.Name] = app
	}

	return apps
}

func (w write) place(app spec.Application) Place {
	at := Place{
		Repository: deploy, Path: w.Allowed + w.Refused, Base: w.Branch, Write: w.Write,
		Named: w.Named == nil || *w.Named, Default: "main",
	}
	for _, source := range app.Sources {
		if branch := source.Branch(); branch != "" {
			at.Tracked = append(at.Tracked, branch)
		} else {
			at.Tracked = append(at.Tracked, at.Default)
		}
	}
	if at.Base == "" {
		at.Base = "main"
	}

	return at
}

// TestWrite runs the stories of testdata/permission/write.yaml.
func TestWrite(t *testing.T) {
	var stories []story
	readVectors(t, "write.yaml", &stories)

	for _, s := range stories {
		t.Run(s.Story, func(t *testing.T) {
			apps := s.apps(t)
			var all []spec.Application
			for _, app := range apps {
				all = append(all, app)
			}
			territory := NewTerritory(all)

			for _, w := range s.Writes {
				app, ok := apps[w.Application]
				if !ok {
					t.Fatalf("no Application %s", w.Application)
				}
				got := s.rules().Write(app, w.place(app), territory)
				switch {
				case w.Allowed != "" && got != nil:
					t.Errorf("%s on %s: %s is refused: %v", w.Application, w.Branch, w.Allowed, got)
				case w.Refused != "" && got == nil:
					t.Errorf("%s on %s: %q is allowed", w.Application, w.Branch, w.Refused)
				case w.Refused != "" && !strings.Contains(got.Error(), w.Because):
					t.Errorf("%s: %v\nwant %s", w.Refused, got, w.Because)
				}
			}
		})
	}
}

// TestProtocolsOfOneRepository holds that a folder belongs to its project by whichever
// protocol and port somebody else names the repository.
func TestProtocolsOfOneRepository(t *testing.T) {
	app := func(name, project, repository, folder string) spec.Application {
		return spec.Application{
			Namespace: "argocd", Name: name, Project: project, Target: spec.Target{Repository: repository},
			Sources: []spec.Source{{Repository: repository, Path: folder}},
		}
	}
	const file = "apps/victim/kustomization.yaml"
	for _, of := range []string{
		"ssh://git@git.corp:2222/o/deploy.git", "git@git.corp:o/deploy", "https://git.corp:8443/O/deploy", deploy,
	} {
		victim := app("victim", "a", of, "apps/victim")
		for _, by := range []string{deploy, "ssh://git@GIT.corp:7999/o/deploy", "http://git.corp:8080/o/deploy.git"} {
			stranger := app("stranger", "b", by, "apps/stranger")
			territory := NewTerritory([]spec.Application{victim, stranger})
			at := Place{Repository: by, Path: file, Base: "main", Default: "main", Tracked: []string{"main"}}
			if (&Rules{}).Write(stranger, at, territory) == nil {
				t.Errorf("%s may be written by way of %s", of, by)
			}
			at.Repository = of
			if refusal := (&Rules{}).Write(victim, at, territory); refusal != nil {
				t.Errorf("%s: %v", of, refusal)
			}
		}
	}
}

// TestLiteralGlobs holds that what refusals suggest matches what was refused, and that
// alone.
func TestLiteralGlobs(t *testing.T) {
	for text, other := range map[string]string{ // what the text as a glob would match
		"apps/[x]/dev/k.yaml": "apps/x/dev/k.yaml", "a*b?c": "aybyc", "{a,b}.yaml": "a.yaml", "**/x": "y/x",
		"[!a]": "b", "a}b": "ab", "it's": "its", "[]": "", "[[": "[", "a]b": "ab", "feature/{{x}}": "feature/x",
		"!a": "b",
	} {
		var list []string
		if err := yaml.Unmarshal([]byte("- "+literalGlob(text)), &list); err != nil || len(list) != 1 {
			t.Fatalf("%s: %v", text, err)
		}
		if !globMatches(list[0], text) {
			t.Errorf("%s does not match %s", list[0], text)
		}
		if globMatches(list[0], other) {
			t.Errorf("%s matches %s", list[0], other)
		}
	}
}

// TestRepositories runs testdata/permission/repositories.yaml.
func TestRepositories(t *testing.T) {
	var vectors []struct {
		Source     string   `yaml:"source"`
		Repository string   `yaml:"repository"`
		Projects   []string `yaml:"projects"`
		Allow      []string `yaml:"allow"`
		Allowed    bool     `yaml:"allowed"`
		Because    string   `yaml:"because"`
	}
	readVectors(t, "repositories.yaml", &vectors)

	for _, v := range vectors {
		app := spec.Application{
			Namespace: "argocd", Name: "app", Project: "team",
			Sources: []spec.Source{{Repository: v.Source, Path: "a"}},
			Target:  spec.Target{Repository: v.Repository},
			Bounds: spec.Bounds{
				Known: true, Exists: true, Project: spec.Project{Name: "team", SourceRepos: v.Projects},
			},
		}
		if v.Projects == nil {
			app.Bounds.Project.SourceRepos = []string{"*"}
		}
		r := &Rules{Namespace: "argocd", Projects: &Projects{}}
		if v.Allow != nil {
			r.Writes = []WriteRule{{Repositories: v.Allow}}
		}

		got := r.Application(app)
		if v.Allowed != (got == nil) || got != nil && !strings.Contains(got.Error(), v.Because) {
			t.Errorf("%s: %v\nwant %v %s", v.Repository, got, v.Allowed, v.Because)
		}
	}
}

// TestOwner holds whose a file is that several Applications want to write.
func TestOwner(t *testing.T) {
	app := func(name, project, path string, created int64) spec.Application {
		return spec.Application{
			Namespace: "argocd", Name: name, Project: project, Created: time.Unix(created, 0),
			Sources: []spec.Source{{Repository: deploy, Path: path}},
		}
	}
	overlay, root := app("overlay", "a", "k8s/overlays/prod", 5), app("root", "b", ".", 1)
	other, same := app("other", "a", "k8s/other", 2), app("same", "c", "k8s/overlays/prod", 6)
	twin := app("twin", "a", "k8s/overlays/prod", 7)

	for name, c := range map[string]struct {
		apps []spec.Application
		want int
	}{
		"the longest path":              {[]spec.Application{root, overlay, other}, 1},
		"of two projects, the oldest":   {[]spec.Application{same, overlay}, 1},
		"of one project, nobody":        {[]spec.Application{twin, overlay}, -1},
		"two images of one Application": {[]spec.Application{overlay, overlay}, 0},
		"nobody holds it":               {[]spec.Application{other}, -1},
	} {
		t.Run(name, func(t *testing.T) {
			got := NewTerritory(c.apps).Owner(c.apps, deploy, "k8s/overlays/prod/kustomization.yaml")
			if got != c.want {
				t.Errorf("%d; want %d", got, c.want)
			}
		})
	}
}

func readVectors(t *testing.T, file string, into any) {
	t.Helper()
	data, err := os.ReadFile("../../testdata/permission/" + file)
	if err == nil {
		err = yaml.Unmarshal(data, into)
	}
	if err != nil {
		t.Fatal(err)
	}
}
