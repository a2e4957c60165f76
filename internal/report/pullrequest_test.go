package report

import (
	"flag"
	"os"
	"strings"
	"testing"
	"text/template"
	"time"

	"github.com/liverty-music/image-writeback/internal/forge"
	"github.com/liverty-music/image-writeback/internal/image"
	"github.com/liverty-music/image-writeback/internal/plan"
	"github.com/liverty-music/image-writeback/internal/policy"
	"github.com/liverty-music/image-writeback/internal/spec"
)

var update = flag.Bool("update", false, "write testdata again")

const server = "asia-northeast2-docker.pkg.dev/p/backend/server"

const digest = "sha256:2222222222222222222222222222222222222222222222222222222222222222"

// example is a pull request with something in each of its parts.
func example(t testing.TB) (*Text, []image.Change, map[*plan.Image]Facts) {
	t.Helper()
	built := time.Date(2026, 11, 20, 8, 11, 2, 0, time.UTC)
	app := &plan.Application{Namespace: "argocd", Name: "backend-prod", Images: []plan.Image{
		{Alias: "server", Image: server, File: "k.yaml", Candidate: "v1.5.0", Reason: "v1.5.0 waits",
			Basis: plan.Basis{Choice: policy.Choice{
				Found: true, Tag: image.Tag{Name: "v1.5.0", Digest: digest, Created: built},
				Reason: "highest version within ^1.0, of 12 allowed tags",
			}}},
		{Alias: "web", Image: "nginx", File: "k.yaml", Candidate: "1.27",
			Basis: plan.Basis{Choice: policy.Choice{
				Found: true, Tag: image.Tag{Name: "1.27"},
				Reason: "highest version, of 2 allowed tags (allow-tags regexp:^[0-9.]+$|x)",
			}}},
	}}
	healthy := spec.Health{Status: "Healthy", Since: built.Add(time.Hour)}
	text := &Text{
		Running: RunningIn([]spec.Application{
			{Namespace: "argocd", Name: "backend-dev",
				Running: []string{server + ":v1.5.0", "nginx:1.25"}, Health: healthy},
			{Namespace: "argocd", Name: "backend-stage", Running: []string{server + ":v1.5.0@" + digest},
				Health: spec.Health{Status: "Degraded"}},
			{Namespace: "argocd", Name: "moved",
				Running: []string{server + ":v1.5.0@" + strings.Replace(digest, "2", "3", 1)},
				Health:  spec.Health{Status: "Healthy"}},
			{Namespace: "argocd", Name: "backend-prod", Running: []string{server + ":v1.5.0"}},
		}),
		Proposal: &plan.Proposal{Applications: []*plan.Application{app}, Files: []plan.FileDiff{{
			File: "k.yaml",
			Diff: "--- a/k.yaml\n+++ b/k.yaml\n@@ -1 +1 @@\n-  newTag: v1.4.2\n+  newTag: v1.5.0\n",
		}}},
	}
	changes := []image.Change{
		{File: "k.yaml", Image: server, Alias: "server",
			Old: image.ParseVersion("v1.4.2"), New: image.ParseVersion("v1.5.0")},
		{File: "k.yaml", Image: "nginx", Alias: "web", New: image.ParseVersion("1.27")},
	}
	facts := map[*plan.Image]Facts{}
	for _, img := range text.Images(changes) {
		f := Facts{Tag: img.Choice.Tag}
		if img.Alias == "server" {
			f.Comparison = forge.Comparison{
				URL: "https://github.com/o/server/compare/1111111...2222222", Total: 23,
				Commits: []forge.ComparedCommit{
					{SHA: "2222222222", Subject: "Fix the login of @ada, closes #7",
						URL: "https://github.com/o/server/commit/2222222222"},
					{SHA: "3333333333", Subject: "Use `slog`", URL: "https://github.com/o/server/commit/3333333333"},
				},
			}
		}
		facts[img] = f
	}

	return text, changes, facts
}

// TestPullRequestBody holds what reviewers read; see testdata/report/pullrequest.md.
func TestPullRequestBody(t *testing.T) {
	text, changes, facts := example(t)
	got := text.Body(changes, facts)
	const file = "../../testdata/report/pullrequest.md"
	if *update {
		if err := os.WriteFile(file, []byte(got), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil || got != string(want) {
		t.Errorf("%v; got:\n%s", err, got)
	}
}

func TestPullRequestTitle(t *testing.T) {
	prod, web := &plan.Application{Name: "prod"}, &plan.Application{Name: "web"}
	long := "0123456789abcdef0123456789abcdef01234567"
	one := image.Change{Alias: "app", Old: image.ParseVersion(long), New: image.ParseVersion("v1.5.0")}
	two := image.Change{Alias: "web", New: image.ParseVersion("latest@" + digest)}
	three := image.Change{Alias: "a", Old: image.ParseVersion("1"), New: image.ParseVersion("2")}
	four := image.Change{Alias: "b", Old: image.ParseVersion("1"), New: image.ParseVersion("2")}
	for want, c := range map[string]struct {
		applications []*plan.Application
		changes      []image.Change
	}{
		"prod: app 0123456789 → v1.5.0, web (none) → latest@2222222": {
			[]*plan.Application{prod}, []image.Change{one, two},
		},
		"prod: 4 images":                     {[]*plan.Application{prod}, []image.Change{one, two, three, four}},
		"prod, web: app 0123456789 → v1.5.0": {[]*plan.Application{prod, web}, []image.Change{one, one}},
		"4 Applications: a 1 → 2":            {[]*plan.Application{prod, web, prod, web}, []image.Change{three}},
	} {
		text := &Text{Proposal: &plan.Proposal{Applications: c.applications}}
		if got := text.Title(c.changes); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}

func TestPullRequestTemplates(t *testing.T) {
	text, changes, facts := example(t)
	parse := func(key, text string) *template.Template {
		t.Helper()
		parsed, err := ParseTemplate(key, text)
		if err != nil {
			t.Fatal(err)
		}

		return parsed
	}
	text.Templates.Title = parse("github.pullRequest.title",
		"chore(deps): {{range .Changes}}{{.Alias}} {{.New}} {{end}}")
	text.Templates.Body = parse("github.pullRequest.body",
		"Ask {{range .Applications}}{{.Name}}{{end}}.\n\n{{.Default}}")
	if got := text.Title(changes); got != "chore(deps): server v1.5.0 web 1.27" {
		t.Errorf("title %q", got)
	}
	if got := text.Body(changes, facts); !strings.HasPrefix(got, "Ask backend-prod.\n\nNewer images") {
		t.Errorf("body %q", got)
	}
	for text, want := range map[string]string{
		"{{.Nope}}": "can't evaluate field Nope", "{{": "github.pullRequest.title",
	} {
		_, err := ParseTemplate("github.pullRequest.title", text)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v", text, err)
		}
	}
}

// TestPullRequestKey holds what makes the text of an open pull request be written again: its
// health elsewhere and the change itself, but not since when or how many tags
// there are.
func TestPullRequestKey(t *testing.T) {
	text, _, _ := example(t)
	before := text.Key()
	same, _, _ := example(t)
	same.Proposal.Applications[0].Images[0].Choice.Reason = "highest version within ^1.0, of 13 allowed tags"
	for _, all := range same.Running {
		for i := range all {
			all[i].health.Since = time.Time{}
		}
	}
	if same.Key() != before {
		t.Error("the text is written again for nothing")
	}
	for what, change := range map[string]func(*Text){
		"health": func(t *Text) {
			t.Running["asia-northeast2-docker.pkg.dev/p/backend/server"][0].health.Status = "Degraded"
		},
		"diff": func(t *Text) { t.Proposal.Files[0].Diff += " x\n" },
		"template": func(p *Text) {
			p.Templates.Body, _ = ParseTemplate("github.pullRequest.body", "x")
		},
	} {
		other, _, _ := example(t)
		change(other)
		if other.Key() == before {
			t.Errorf("%s: the text stays as it is", what)
		}
	}
}

// TestPullRequestBodyFits holds that no number of changes makes a body that
// GitHub refuses.
func TestPullRequestBodyFits(t *testing.T) {
	text, changes, facts := example(t)
	var many []image.Change
	for range 1000 {
		many = append(many, changes...)
		text.Proposal.Applications = append(text.Proposal.Applications, text.Proposal.Applications[0])
		text.Proposal.Files = append(text.Proposal.Files, text.Proposal.Files[0])
	}
	if got := len(text.Body(many, facts)); got > 65_536-16_384 { // the rest is for our mark
		t.Errorf("%d bytes", got)
	}
}

func TestRegistryLink(t *testing.T) {
	for name, want := range map[string]string{
		server:              "https://" + server + ":1",
		"nginx":             "https://hub.docker.com/_/nginx/tags?name=1",
		"o/app":             "https://hub.docker.com/r/o/app/tags?name=1",
		"quay.io/o/app":     "https://quay.io/repository/o/app?tab=tags&tag=1",
		"ghcr.io/o/app":     "https://ghcr.io/o/app:1",
		"eu.gcr.io/p/app":   "https://eu.gcr.io/p/app:1",
		"registry.corp/app": "",
	} {
		ref, err := image.ParseName(name)
		if err != nil {
			t.Fatal(err)
		}
		if got := registryLink(ref, image.Tag{Name: "1"}); got != want {
			t.Errorf("%s: %q", name, got)
		}
	}
}
