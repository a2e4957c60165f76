package reconcile

import (
	"context"
	"fmt"
	"strings"
	"text/template"
	"time"

	"github.com/liverty-music/image-writeback/internal/image"
	"github.com/liverty-music/image-writeback/internal/spec"
)

// pullText says how a pull request reads.
type pullText struct {
	proposal
	settings PullRequests
	runs     running
	facts    func(ctx context.Context, img Image) facts
}

// Bounds, so that a body stays within what GitHub and GitLab take (65,536
// characters): so many changes, and so many bytes of diff, are told of.
const (
	maxTold = 50
	maxDiff = 20_000
)

// TemplateData is what github.pullRequest.title and .body are made with.
type TemplateData struct {
	// Default is the title or the body as it is without a template.
	Default      string
	Applications []TemplateApplication
	Changes      []TemplateChange
}

// TemplateApplication is one of the Applications that a pull request is for.
type TemplateApplication struct{ Namespace, Name string }

// TemplateChange is one image that a pull request sets.
type TemplateChange struct {
	Application  string
	Image, Alias string
	Old, New     string
	Reason       string
	File         string
}

// ParseTemplate reads a title or a body over TemplateData. The error is for
// one that cannot be read or fails.
func ParseTemplate(key, text string) (*template.Template, error) {
	if text == "" {
		return nil, nil //nolint:nilnil // no template is a valid one
	}
	parsed, err := template.New(key).Option("missingkey=error").Parse(text)
	if err == nil {
		err = parsed.Execute(&strings.Builder{}, TemplateData{Default: "x", Applications: []TemplateApplication{{"argocd", "app"}}, Changes: []TemplateChange{{New: "2"}}})
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", key, err)
	}
	return parsed, nil
}

// title is "backend-prod: server v1.4.2 → v1.5.0".
func (t *pullText) title(changes []image.Change) string {
	names := make([]string, len(t.applications))
	for i, app := range t.applications {
		names[i] = app.Name
	}
	title := strings.Join(names, ", ")
	if len(names) > 3 {
		title = fmt.Sprintf("%d Applications", len(names))
	}
	var parts []string
	seen := map[string]bool{}
	for _, c := range changes {
		if part := fmt.Sprintf("%s %s → %s", c.Alias, short(c.Before()), short(c.New.String())); !seen[part] {
			seen[part] = true
			parts = append(parts, part)
		}
	}
	if len(parts) > 3 {
		parts = []string{fmt.Sprintf("%d images", len(changes))}
	}
	return t.rendered(t.settings.Title, title+": "+strings.Join(parts, ", "), changes)
}

// short leaves out most of a digest and of a commit's hash.
func short(version string) string {
	tag, digest, ok := strings.Cut(version, "@")
	if strings.HasPrefix(version, "sha256:") {
		tag, digest, ok = "", version, true
	}
	if ok {
		digest = strings.TrimPrefix(digest, "sha256:")
		return strings.TrimPrefix(tag+"@"+digest[:min(len(digest), 7)], "@")
	}
	if len(version) == 40 && strings.Trim(version, "0123456789abcdef") == "" {
		return version[:10]
	}
	return version
}

// rendered is a text as a template makes it, or as it is.
func (t *pullText) rendered(with *template.Template, text string, changes []image.Change) string {
	if with == nil {
		return text
	}
	data := TemplateData{Default: text}
	for _, app := range t.applications {
		data.Applications = append(data.Applications, TemplateApplication{app.Namespace, app.Name})
	}
	for _, c := range changes {
		one := TemplateChange{Image: c.Image, Alias: c.Alias, Old: c.Before(), New: c.New.String(), File: c.File}
		if app, img := t.find(c); img != nil {
			one.Application, one.Reason = app.Name, img.choice.Reason
		}
		data.Changes = append(data.Changes, one)
	}
	var b strings.Builder
	if err := with.Execute(&b, data); err != nil || strings.TrimSpace(b.String()) == "" {
		return text // it was tried when it was read; a pull request is worth more than its looks
	}
	return strings.TrimSpace(b.String())
}

// find is the image of the plan that a change was made for.
func (t *pullText) find(c image.Change) (*Application, *Image) {
	for _, app := range t.applications {
		for i := range app.Images {
			if img := &app.Images[i]; img.Image == c.Image && img.File == c.File && img.Label() == c.Alias {
				return app, img
			}
		}
	}
	return nil, nil
}

// told is a change with all that is told of it.
type told struct {
	image.Change
	app   *Application
	image *Image
	facts facts
}

func (t *pullText) body(ctx context.Context, changes []image.Change) string {
	var all []told
	for _, c := range changes[:min(len(changes), maxTold)] {
		if app, img := t.find(c); img != nil {
			all = append(all, told{c, app, img, t.facts(ctx, *img)})
		}
	}
	var b strings.Builder
	t.table(&b, all, len(changes))
	t.why(&b, all)
	t.elsewhere(&b, all)
	t.commits(&b, all)
	t.diffs(&b)
	t.howTo(&b, all)
	return t.rendered(t.settings.Body, b.String(), changes)
}

func (t *pullText) table(b *strings.Builder, all []told, total int) {
	names := make([]string, 0, len(t.applications))
	for _, app := range t.applications[:min(len(t.applications), maxTold)] {
		names = append(names, "`"+app.String()+"`")
	}
	kind := "Argo CD Application"
	if len(t.applications) > 1 {
		kind = fmt.Sprintf("%d Argo CD Applications", len(t.applications))
	}
	fmt.Fprintf(b, "Newer images for the %s %s.\n\n| image | old | new | digest | built |\n| --- | --- | --- | --- | --- |\n", kind, strings.Join(names, ", "))
	for _, c := range all {
		newer := "`" + c.New.String() + "`"
		if ref, err := image.ParseName(c.Image); err == nil {
			if link := registryLink(ref, c.facts.tag); link != "" {
				newer = "[" + newer + "](" + link + ")"
			}
		}
		fmt.Fprintf(b, "| `%s` | `%s` | %s | %s | %s |\n", c.Image, c.Before(), newer, digestCell(c.facts.tag.Digest), timeCell(c.facts.tag.Created))
	}
	if total > len(all) {
		fmt.Fprintf(b, "\n… and %d more; see the changes of files.\n", total-len(all))
	}
}

func digestCell(digest string) string {
	if digest == "" {
		return "–"
	}
	return "`" + digest[:min(len(digest), len("sha256:")+12)] + "`"
}

func timeCell(at time.Time) string {
	if at.IsZero() {
		return "–"
	}
	return at.UTC().Format("2006-01-02 15:04 UTC")
}

func (t *pullText) why(b *strings.Builder, all []told) {
	b.WriteString("\n### Why this tag\n\n")
	for _, c := range all {
		fmt.Fprintf(b, "- **%s**: `%s` is the %s.\n", c.Alias, c.New, plain(c.image.choice.Reason))
	}
}

// elsewhere tells where the image runs already, and how it fares there.
func (t *pullText) elsewhere(b *strings.Builder, all []told) {
	b.WriteString("\n### Where it runs already\n\n")
	for _, c := range all {
		found := t.where(*c.image, c.app.String())
		if len(found) == 0 {
			fmt.Fprintf(b, "- **%s**: in no other Application that Image Writeback sees.\n", c.Alias)
		}
		for _, s := range found[:min(len(found), maxTold)] {
			fmt.Fprintf(b, "- **%s** in `%s`: %s\n", c.Alias, s.application, fares(s.health))
		}
	}
}

// fares says how an Application fares, with the sign that Argo CD's users know.
func fares(h spec.Health) string {
	sign := map[string]string{"Healthy": "💚", "Progressing": "🔵", "Degraded": "💔", "Suspended": "⏸️", "Missing": "👻"}[h.Status]
	switch {
	case h.Status == "":
		return "its health is not known"
	case h.Since.IsZero():
		return strings.TrimSpace(sign + " " + h.Status)
	}
	return strings.TrimSpace(sign+" "+h.Status) + " since " + timeCell(h.Since)
}

// commits tells what was done between the two builds, where the images say
// what they were built from.
func (t *pullText) commits(b *strings.Builder, all []told) {
	seen := map[string]bool{}
	for _, c := range all {
		between := c.facts.comparison
		if between.URL == "" || seen[between.URL] {
			continue
		}
		if len(seen) == 0 {
			b.WriteString("\n### What is new in it\n")
		}
		seen[between.URL] = true
		count := ""
		if between.Total > 0 {
			count = fmt.Sprintf(" (%d commits)", between.Total)
		}
		fmt.Fprintf(b, "\n**%s** [`%s` → `%s`](%s)%s\n", c.Alias, c.Before(), c.New, between.URL, count)
		for i, commit := range between.Commits {
			if i == 0 {
				b.WriteString("\n")
			}
			fmt.Fprintf(b, "- [`%.7s`](%s) %s\n", commit.SHA, commit.URL, code(commit.Subject))
		}
		if more := between.Total - len(between.Commits); len(between.Commits) > 0 && more > 0 {
			fmt.Fprintf(b, "- … and %d older ones\n", more)
		}
	}
}

func (t *pullText) diffs(b *strings.Builder) {
	b.WriteString("\n### What changes\n")
	room := maxDiff
	for i, f := range t.files {
		fence := "```"
		for strings.Contains(f.Diff, fence) {
			fence += "`"
		}
		if room -= len(f.Diff); room < 0 {
			fmt.Fprintf(b, "\n… and %d more files; see the commits.\n", len(t.files)-i)
			return
		}
		fmt.Fprintf(b, "\n%sdiff\n%s\n%s\n", fence, strings.TrimRight(f.Diff, "\n"), fence)
	}
}

func (t *pullText) howTo(b *strings.Builder, all []told) {
	b.WriteString("\n### Merge, skip or hold\n\n- **Merge** this, and Argo CD deploys it.\n- **Skip** these versions: close this without merging. The next pull request comes with a newer version.\n")
	if len(all) == 0 {
		return
	}
	c := all[0]
	fmt.Fprintf(b, "- **Hold** an image at what it is, or leave out one tag for good, by an annotation:\n\n  ```sh\n  kubectl -n %s annotate application %s \\\n    %s%s.ignore-tags='%s'\n  ```\n", c.app.Namespace, c.app.Name, spec.Prefix, c.Alias, c.facts.tag.Name)
	b.WriteString("\nAs long as nobody else pushes to this branch, it is kept up to date: newer versions and a base that has changed the file bring it a new commit.\n")
}

// plain has a text of people's making say nothing to Markdown.
func plain(s string) string {
	return strings.NewReplacer("<", "&lt;", "@", "@\u200b", "#", "#\u200b", "*", `\*`, "_", `\_`, "|", `\|`, "`", "'").Replace(s)
}

// code shows a text as it is: no mention, no reference and no closing word in
// it counts.
func code(s string) string { return "`" + strings.ReplaceAll(s, "`", "'") + "`" }
