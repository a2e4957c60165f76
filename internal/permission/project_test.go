package permission

import (
	"bytes"
	"math/rand/v2"
	"os"
	"strings"
	"testing"

	"github.com/argoproj/argo-cd/v2/pkg/apis/application/v1alpha1"
	"sigs.k8s.io/kustomize/kyaml/yaml"

	"github.com/liverty-music/image-writeback/internal/spec"
)

const argoCD = "argocd"

// projectVector is one row of testdata/permission/projects.yaml; the README says what the
// fields mean.
type projectVector struct {
	Name              string   `yaml:"name"`
	Repos             []string `yaml:"repos"`
	Namespaces        []string `yaml:"namespaces"`
	Permits           []string `yaml:"permits"`
	Refuses           []string `yaml:"refuses"`
	PermitsNamespaces []string `yaml:"permitsNamespaces"`
	RefusesNamespaces []string `yaml:"refusesNamespaces"`
}

// TestProjects compares what projects permit with the vectors, and with what Argo CD's
// own types say.
func TestProjects(t *testing.T) {
	data, err := os.ReadFile("../../testdata/permission/projects.yaml")
	if err != nil {
		t.Fatal(err)
	}

	var vectors []projectVector
	decoder := yaml.NewDecoder(bytes.NewReader(data))
	decoder.KnownFields(true)
	if err := decoder.Decode(&vectors); err != nil {
		t.Fatal(err)
	}

	for _, v := range vectors {
		t.Run(v.Name, func(t *testing.T) { v.check(t) })
	}
}

func (v projectVector) check(t *testing.T) {
	var projects Projects
	ours := &spec.Project{Name: "p", SourceRepos: v.Repos, SourceNamespaces: v.Namespaces}

	for want, repositories := range map[bool][]string{true: v.Permits, false: v.Refuses} {
		for _, r := range repositories {
			got, theirs := projects.PermitsRepository(ours, r), repositoryInArgoCD(v.Repos, r)
			if got != want || theirs != want {
				t.Errorf("%q: %v, Argo CD says %v; want %v", r, got, theirs, want)
			}
		}
	}

	for want, namespaces := range map[bool][]string{true: v.PermitsNamespaces, false: v.RefusesNamespaces} {
		for _, n := range namespaces {
			got, theirs := projects.PermitsNamespace(ours, n, argoCD), namespaceInArgoCD(v.Namespaces, n)
			if got != want || theirs != want {
				t.Errorf("namespace %q: %v, Argo CD says %v; want %v", n, got, theirs, want)
			}
		}
	}
}

// repositoryInArgoCD is what Argo CD says of a repository.
func repositoryInArgoCD(patterns []string, repository string) bool {
	project := v1alpha1.AppProject{Spec: v1alpha1.AppProjectSpec{SourceRepos: patterns}}

	return project.IsSourcePermitted(v1alpha1.ApplicationSource{RepoURL: repository})
}

// namespaceInArgoCD is what Argo CD says of a namespace.
func namespaceInArgoCD(patterns []string, namespace string) bool {
	project := v1alpha1.AppProject{Spec: v1alpha1.AppProjectSpec{SourceNamespaces: patterns}}
	app := &v1alpha1.Application{}
	app.Namespace = namespace

	return project.IsAppNamespacePermitted(app, argoCD)
}

// made makes texts at random.
type made struct{ *rand.Rand }

// of returns up to most of some parts, one after the other.
func (m made) of(parts []string, most int) string {
	var b strings.Builder
	for range m.IntN(most + 1) {
		b.WriteString(parts[m.IntN(len(parts))])
	}

	return b.String()
}

// TestPatternsLikeArgoCD compares answers with Argo CD's for patterns at random, made of
// all that its language has. What is left out, that library reads in its own way: braces
// with wildcards inside, more than two stars, and ? and [!…] for an empty text.
func TestPatternsLikeArgoCD(t *testing.T) {
	m := made{rand.New(rand.NewPCG(1, 2))}
	segments := []string{"a", "b", "ab", "-", "/", "*", "**/", "a*", "[ab]", "[!a]", "[a-b]", "a?b", "%", ".git", "\\a"}
	starts := []string{"", "!", "https://", "git@h:", "!git@h:", "ssh://git@h/", "*", "**"}
	plain := []string{"a", "b", "ab", "-", "/", ".git", "c"}
	names := []string{"a", "b", "-", "ab"}
	globs := []string{"a", "b", "-", "*", "a?b", "[ab]", "[!b]", "[a-b]", "{a,b}", "{ab,-}", "\\*", "[", "]", "}", ","}

	answers := map[bool]int{}
	for range 20000 {
		var repos, namespaces []string
		for range 1 + m.IntN(3) {
			repos = append(repos, starts[m.IntN(len(starts))]+m.of(segments, 5))
			namespaces = append(namespaces, "x"+m.of(globs, 5))
		}
		repos = append(repos[:len(repos)-1], strings.ReplaceAll(repos[len(repos)-1], "***", "**"))
		namespaces[0] = strings.ReplaceAll(namespaces[0], "***", "**")

		var projects Projects
		ours := &spec.Project{SourceRepos: repos, SourceNamespaces: namespaces}
		for range 5 {
			repository := starts[2+m.IntN(4)] + "h/" + m.of(plain, 5)
			want := repositoryInArgoCD(repos, repository)
			if got := projects.PermitsRepository(ours, repository); got != want {
				t.Errorf("%q of %q: %v, Argo CD says %v", repository, repos, got, want)
			}
			answers[want]++

			namespace := "x" + m.of(names, 6)
			want = namespaceInArgoCD(namespaces, namespace)
			if got := projects.PermitsNamespace(ours, namespace, argoCD); got != want {
				t.Errorf("namespace %q of %q: %v, Argo CD says %v", namespace, namespaces, got, want)
			}
			answers[want]++
		}
	}

	if answers[true] < 20000 || answers[false] < 20000 {
		t.Errorf("%d were permitted and %d refused: the patterns are too much alike", answers[true], answers[false])
	}
}

// TestProjectsHaveLimits holds what is beyond the limits: it permits nothing, and denies
// what it may mean to deny, in a time that does not grow with it.
func TestProjectsHaveLimits(t *testing.T) {
	long := "https://github.com/o/" + strings.Repeat("r", longestPattern)
	wild := "https://github.com/o/*" + strings.Repeat("r*", longestPattern/2-20)
	deep := strings.Repeat("{", mostBraces+1) + "a"
	many := make([]string, 2*expressions/len(wild))
	for i := range many {
		many[i] = wild
	}

	for name, c := range map[string]struct {
		repos      []string
		repository string
		want       bool
	}{
		"a long pattern":                  {[]string{long}, long, false},
		"a long pattern that denies":      {[]string{"*", "!" + long}, "https://github.com/o/r", false},
		"a long repository":               {[]string{"*"}, "https://h/" + strings.Repeat("r", longestText), false},
		"many wildcards":                  {[]string{wild}, "https://github.com/o/" + strings.Repeat("r", 1000), true},
		"many patterns":                   {append(many, "https://github.com/*/x"), "https://github.com/o/x", false},
		"many patterns, and one of text":  {append(many, "https://github.com/o/x"), "https://github.com/o/x", true},
		"many patterns, and one denies":   {append(many, "!https://github.com/p/*", "*"), "h:a", false},
		"many patterns, and one for all":  {append(many, "*"), "https://github.com/o/x", true},
		"a pattern that Argo CD dies of":  {[]string{"h:{a,b}{"}, "h:a", true},
		"no project at all":               {nil, "https://github.com/o/r", false},
		"a nested pattern":                {[]string{"h:" + strings.Repeat("{", mostBraces) + "a"}, "h:a", true},
		"a nested pattern, too deep":      {[]string{"h:" + deep}, "h:a", false},
		"too deep, and denies everything": {[]string{"*", "!h:" + deep}, "h:b", false},
	} {
		var projects Projects
		if got := projects.PermitsRepository(&spec.Project{SourceRepos: c.repos}, c.repository); got != c.want {
			t.Errorf("%s: %v, want %v", name, got, c.want)
		}
	}

	var projects Projects
	if projects.PermitsRepository(nil, "https://github.com/o/r") || projects.PermitsNamespace(nil, argoCD, argoCD) {
		t.Error("a project that does not exist permits something")
	}
}

// TestSlowExpressions holds that the first expression of a project that takes too long is
// the last one that is asked, and that other projects are not affected.
func TestSlowExpressions(t *testing.T) {
	slow := make([]string, 1000)
	for i := range slow {
		slow[i] = "/^(a+)+$/"
	}

	var projects Projects
	bad := &spec.Project{SourceNamespaces: append(slow, "/team/", "team-*")}
	endless := strings.Repeat("a", 60) + "-team"
	if projects.PermitsNamespace(bad, endless, argoCD) || len(projects.slow) != 1 {
		t.Error("an expression that takes too long does not end the project's expressions")
	}
	if projects.PermitsNamespace(bad, "a-team", argoCD) || !projects.PermitsNamespace(bad, "team-a", argoCD) {
		t.Error("after that, globs count and expressions do not")
	}
	good := &spec.Project{SourceNamespaces: []string{"/team/"}}
	if !projects.PermitsNamespace(good, endless, argoCD) {
		t.Error("another project is affected")
	}
}

// TestProjectsAreAskedOnce holds that an answer is kept: thousands of Applications share
// a project.
func TestProjectsAreAskedOnce(t *testing.T) {
	project := &spec.Project{SourceRepos: []string{"https://github.com/*/r", "!https://github.com/p/*"}}
	var projects Projects
	projects.PermitsRepository(project, "https://github.com/o/r")
	projects.PermitsNamespace(project, "team", argoCD)

	if n := testing.AllocsPerRun(100, func() {
		projects.PermitsRepository(project, "https://github.com/o/r")
		projects.PermitsNamespace(project, "team", argoCD)
	}); n != 0 {
		t.Errorf("an answer that is known costs %v allocations", n)
	}

	for i := range 3 * keptPatterns / longestPattern {
		pattern := strings.Repeat("x", longestPattern-10) + strings.Repeat("y", i%9) + string(rune('a'+i%26)) + "*"
		projects.PermitsRepository(&spec.Project{SourceRepos: []string{pattern}}, "https://github.com/o/r")
	}
	if projects.kept > keptPatterns {
		t.Errorf("patterns of %d bytes are kept", projects.kept)
	}
}

// FuzzGlob compares our globs with the library's through Argo CD, for patterns that the
// library reads as it is documented, and looks for those that we cannot read at all.
func FuzzGlob(f *testing.F) {
	for _, pattern := range []string{"team-*", "a[!b-c]?", "{a,b}\\*", "***", "[a", "{a,b}{"} {
		f.Add(pattern, "team-a")
	}

	f.Fuzz(func(t *testing.T, pattern, text string) {
		if len(pattern) > longestPattern || len(text) > longestText {
			return
		}

		_, err := compileGlob(pattern, '/')
		if err != nil || strings.ContainsAny(pattern, "{}?[\x00") || strings.Contains(pattern, "***") ||
			strings.ContainsRune(text, '\ufffd') || text == "" {
			return
		}
		theirs := v1alpha1.AppProject{Spec: v1alpha1.AppProjectSpec{SourceNamespaces: []string{pattern}}}
		app := &v1alpha1.Application{}
		app.Namespace = text
		if strings.HasPrefix(pattern, "/") && strings.HasSuffix(pattern, "/") {
			return // a regular expression
		}

		ours, _ := compileGlob(pattern, noSeparator)
		if got, want := ours.match(text), theirs.IsAppNamespacePermitted(app, ""); got != want {
			t.Errorf("%q of %q: %v, Argo CD says %v", text, pattern, got, want)
		}
	})
}
