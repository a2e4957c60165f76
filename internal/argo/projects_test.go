package argo

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/argoproj/argo-cd/v2/pkg/apis/application/v1alpha1"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/liverty-music/image-writeback/internal/spec"
)

const storedProject = `{"apiVersion": "argoproj.io/v1alpha1", "kind": "AppProject",
  "metadata": {"name": "team", "namespace": "argocd", "labels": {"l": "m"}, "annotations": {"a": "b"}},
  "spec": {"sourceRepos": ["https://github.com/o/*"], "sourceNamespaces": ["team-*"],
    "signatureKeys": [{"keyID": "4AEE18F83AFDEB23"}], "roles": [{"name": "r"}]},
  "status": {"jwtTokensByRole": {"r": {}}}}`

// TestStoredProjectIsAsArgoCDHasIt reads an AppProject by Argo CD's own types and by ours.
func TestStoredProjectIsAsArgoCDHasIt(t *testing.T) {
	var theirs v1alpha1.AppProject
	if err := json.Unmarshal([]byte(storedProject), &theirs); err != nil {
		t.Fatal(err)
	}

	data, err := json.Marshal(theirs)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(TrimProject(data), TrimProject([]byte(storedProject))); diff != "" {
		t.Errorf("Argo CD's (-) and ours (+):\n%s", diff)
	}

	want := spec.Project{
		Name: "team", SourceRepos: theirs.Spec.SourceRepos, SourceNamespaces: theirs.Spec.SourceNamespaces,
		Signatures: []spec.SignaturePolicy{
			{Repositories: []string{"*"}, Mode: spec.VerifyHead, Keys: []string{theirs.Spec.SignatureKeys[0].KeyID}},
		},
	}
	if diff := cmp.Diff(want, TrimProject([]byte(storedProject)).project()); diff != "" {
		t.Errorf("want (-) and have (+):\n%s", diff)
	}

	for _, wrong := range []string{`{"metadata": {"name": "team"}, "spec": {"sourceRepos": "*"}}`,
		`{"metadata": {"name": "team"}, "spec": {"sourceRepos": ["*", 1]}}`} {
		if got := TrimProject([]byte(wrong)).project(); got.Name != "team" || got.SourceRepos != nil {
			t.Errorf("a project that cannot be read: %+v", got)
		}
	}
}

// TestSignatures holds what a project demands of commits. Argo CD has source integrity from
// 3.5 on.
func TestSignatures(t *testing.T) {
	const keys = `"signatureKeys": [{"keyID": "A"}, {"keyID": "B"}]`
	policy := func(mode, repos, keys string) spec.SignaturePolicy {
		return spec.SignaturePolicy{Mode: mode, Repositories: strings.Fields(repos), Keys: strings.Fields(keys)}
	}
	ofKeys := []spec.SignaturePolicy{policy(spec.VerifyHead, "*", "A B")}
	for name, c := range map[string]struct {
		spec string
		want []spec.SignaturePolicy
	}{
		"nothing": {`{}`, nil},
		"keys":    {`{` + keys + `}`, ofKeys},
		"policies": {`{"sourceIntegrity": {"git": {"policies": [
			{"repos": [{"url": "a"}, {"url": "!b"}], "gpg": {"mode": "strict", "keys": ["A"]}},
			{"repos": [{"url": "c"}]}]}}}`,
			[]spec.SignaturePolicy{policy(spec.VerifyStrict, "a !b", "A"), policy(spec.VerifyNone, "c", "")}},
		"policies replace keys": {`{` + keys + `, "sourceIntegrity": {"git": {"policies": []}}}`, nil},
		"no policies for git":   {`{` + keys + `, "sourceIntegrity": {}}`, ofKeys},
	} {
		got := TrimProject([]byte(`{"metadata": {"name": "p"}, "spec": ` + c.spec + `}`)).project().Signatures
		if diff := cmp.Diff(c.want, got, cmpopts.EquateEmpty()); diff != "" {
			t.Errorf("%s: want (-) and have (+):\n%s", name, diff)
		}
	}
}

// TestGlobalProjects holds which sourceRepos global projects add to others.
func TestGlobalProjects(t *testing.T) {
	var stored []*StoredProject
	for _, one := range []string{
		`{"metadata": {"name": "a", "labels": {"team": "x"}}, "spec": {"sourceRepos": ["a"]}}`,
		`{"metadata": {"name": "b"}, "spec": {"sourceRepos": ["b"]}}`,
		`{"metadata": {"name": "org", "labels": {"team": "x"}},
		  "spec": {"sourceRepos": ["o", "!p"], "sourceNamespaces": ["*"]}}`,
		`{"metadata": {"name": "all"}, "spec": {"sourceRepos": ["all"]}}`,
	} {
		stored = append(stored, TrimProject([]byte(one)))
	}

	const everywhere = "- {projectName: all}\n"
	const teamX = "- {projectName: org, labelSelector: {matchLabels: {team: x}}}\n"
	for name, c := range map[string]struct {
		globals string
		want    string // the sourceRepos of each project
		fails   bool
	}{
		"none":                      {"", "a=a all=all b=b org=o,!p", false},
		"by label":                  {teamX, "a=a,o,!p all=all b=b org=o,!p", false},
		"without selector":          {everywhere, "a=a,all all=all b=b,all org=o,!p,all", false},
		"both":                      {teamX + everywhere, "a=a,o,!p,all all=all b=b,all org=o,!p,all", false},
		"what is added is as it is": {everywhere + teamX, "a=a,all,o,!p all=all b=b,all org=o,!p,all", false},
		"by expression": {"- projectName: org\n" +
			"  labelSelector: {matchExpressions: [{key: team, operator: DoesNotExist}]}\n",
			"a=a all=all,o,!p b=b,o,!p org=o,!p", false},
		"one that is not there ends the list": {"- {projectName: none}\n- {projectName: all}\n",
			"a=a all=all b=b org=o,!p", false},
		"a wrong selector ends the list": {teamX + "- projectName: all\n" +
			"  labelSelector: {matchExpressions: [{key: k, operator: x}]}\n" + teamX,
			"a=a,o,!p all=all b=b org=o,!p", false},
		"not a list":  {"projectName: all\n", "a=a all=all b=b org=o,!p", true},
		"not in YAML": {"{", "a=a all=all b=b org=o,!p", true},
	} {
		projects, err := withGlobals(stored, c.globals)
		var got []string
		for _, one := range []string{"a", "all", "b", "org"} {
			got = append(got, one+"="+strings.Join(projects[one].SourceRepos, ","))
		}
		if all := strings.Join(got, " "); all != c.want || (err != nil) != c.fails {
			t.Errorf("%s: %s, %v; want %s", name, all, err, c.want)
		}
		if len(projects["a"].SourceNamespaces) > 0 {
			t.Errorf("%s: namespaces were added", name)
		}
	}
}

// TestProjectsOfFiles holds which AppProjects of files count.
func TestProjectsOfFiles(t *testing.T) {
	const team = "apiVersion: argoproj.io/v1alpha1\nkind: AppProject\n" +
		"metadata: {name: team}\nspec: {sourceRepos: [a]}\n"
	in := func(namespace string) string { return strings.Replace(team, "team", "team, namespace: "+namespace, 1) }
	application := strings.Replace(applicationA, "spec:\n", "spec:\n  project: team\n", 1)
	known := func(repos ...string) spec.Bounds {
		return spec.Bounds{Known: true, Exists: true, Project: spec.Project{Name: "team", SourceRepos: repos}}
	}

	for name, c := range map[string]struct {
		files, follow, fails string
		want                 spec.Bounds
		problems             int
	}{
		"none":                 {application, FollowAuto, "", spec.Bounds{}, 0},
		"none, required":       {application, FollowRequired, "no AppProject of namespace argocd", spec.Bounds{}, 0},
		"one":                  {application + "---\n" + team, FollowAuto, "", known("a"), 0},
		"one, before":          {team + "---\n" + application, FollowRequired, "", known("a"), 0},
		"not followed":         {application + "---\n" + team, FollowOff, "", spec.Bounds{}, 0},
		"of another namespace": {application + "---\n" + in("x"), FollowAuto, "", spec.Bounds{}, 0},
		"of Argo CD's namespace": {application + "---\n" + in("argocd"), FollowAuto, "",
			known("a"), 0},
		"another one": {application + "---\n" + strings.Replace(team, "team", "x", 1), FollowAuto, "",
			spec.Bounds{Known: true}, 0},
		"the default one": {applicationA + "---\n" + team, FollowAuto, "", spec.Bounds{Known: true, Exists: true,
			Project: spec.Project{Name: "default", SourceRepos: []string{"*"}}}, 0},
		"a global one": {application + "---\n" + team + "---\nkind: ConfigMap\nmetadata: {name: argocd-cm}\n" +
			"data: {globalProjects: \"[{projectName: default}]\"}\n", FollowAuto, "", known("a", "*"), 0},
		"wrong global ones": {application + "---\n" + team + "---\nkind: ConfigMap\nmetadata: {name: argocd-cm}\n" +
			"data: {globalProjects: a}\n", FollowAuto, "", known("a"), 1},
		"one that is not valid": {application + "---\n" + strings.Replace(team, "[a]", "a", 1) + "---\n" +
			strings.Replace(team, "team", "x", 1), FollowAuto, "", spec.Bounds{Known: true}, 1},
	} {
		files := &Files{Paths: []string{writeFiles(t, map[string]string{"a.yaml": c.files})}, Namespace: "argocd",
			Defaults: Defaults{WriteBackMethod: "git", Namespace: "argocd"}, Follow: c.follow, Setting: "the setting"}
		found, err := files.List(t.Context())
		apps, problems := found.Applications, found.Problems
		if c.fails != "" {
			if err == nil || !strings.Contains(err.Error(), c.fails) ||
				!strings.Contains(err.Error(), "the setting is required") {
				t.Errorf("%s: %v", name, err)
			}
			continue
		}
		if err != nil || len(apps) != 1 || len(problems) != c.problems+1 { // force-update lacks quotes
			t.Errorf("%s: %d Applications, %v, %v", name, len(apps), problems, err)
			continue
		}
		if diff := cmp.Diff(c.want, apps[0].Bounds, cmpopts.EquateEmpty()); diff != "" {
			t.Errorf("%s: want (-) and have (+):\n%s", name, diff)
		}
	}
}
