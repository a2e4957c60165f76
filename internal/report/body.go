package report

import (
	"fmt"
	"strings"
	"time"

	"github.com/liverty-music/image-writeback/internal/image"
	"github.com/liverty-music/image-writeback/internal/plan"
	"github.com/liverty-music/image-writeback/internal/spec"
)

// entry is a change with all that the body shows of it.
type entry struct {
	image.Change
	app   *plan.Application
	image *plan.Image
	facts Facts
}

// body is the text under way.
type body struct {
	strings.Builder
	text    *Text
	entries []entry
	total   int // of changes
}

// Body returns the text of the pull request in Markdown, with the facts of the
// images that [Text.Images] returns for the same changes.
func (t *Text) Body(changes []image.Change, facts map[*plan.Image]Facts) string {
	b := &body{text: t, total: len(changes)}
	for _, c := range changes[:min(len(changes), maxItems)] {
		if app, img := t.find(c); img != nil {
			b.entries = append(b.entries, entry{c, app, img, facts[img]})
		}
	}

	b.table()
	b.reasons()
	b.running()
	b.commits()
	b.diffs()
	b.instructions()

	return t.render(t.Templates.Body, b.String(), changes)
}

func (b *body) printf(format string, args ...any) { _, _ = fmt.Fprintf(b, format, args...) }

func (b *body) table() {
	apps := b.text.Proposal.Applications
	names := make([]string, 0, len(apps))
	for _, app := range apps[:min(len(apps), maxItems)] {
		names = append(names, "`"+app.String()+"`")
	}
	kind := "Argo CD Application"
	if len(apps) > 1 {
		kind = fmt.Sprintf("%d Argo CD Applications", len(apps))
	}

	b.printf("Newer images for the %s %s.\n\n", kind, strings.Join(names, ", "))
	b.printf("| image | old | new | digest | built |\n| --- | --- | --- | --- | --- |\n")
	for _, e := range b.entries {
		newer := "`" + e.New.String() + "`"
		if ref, err := image.ParseName(e.Image); err == nil {
			if link := registryLink(ref, e.facts.Tag); link != "" {
				newer = "[" + newer + "](" + link + ")"
			}
		}
		b.printf("| `%s` | `%s` | %s | %s | %s |\n",
			e.Image, e.Before(), newer, digestText(e.facts.Tag.Digest), timeText(e.facts.Tag.Created))
	}
	if b.total > len(b.entries) {
		b.printf("\n… and %d more; see the changed files.\n", b.total-len(b.entries))
	}
}

func digestText(digest string) string {
	if digest == "" {
		return "–"
	}

	return "`" + digest[:min(len(digest), len("sha256:")+12)] + "`"
}

func timeText(at time.Time) string {
	if at.IsZero() {
		return "–"
	}

	return at.UTC().Format("2006-01-02 15:04 UTC")
}

func (b *body) reasons() {
	b.printf("\n### Why this tag\n\n")
	for _, e := range b.entries {
		b.printf("- **%s**: `%s` is the %s.\n", e.Alias, e.New, escape(e.image.Choice.Reason))
	}
}

// running shows where the image runs already, and how healthy it is there.
func (b *body) running() {
	b.printf("\n### Where it already runs\n\n")
	for _, e := range b.entries {
		found := b.text.Running.of(e.image, e.app.String())
		if len(found) == 0 {
			b.printf("- **%s**: in no other Application that Image Writeback follows.\n", e.Alias)
		}
		for _, at := range found[:min(len(found), maxItems)] {
			b.printf("- **%s** in `%s`: %s\n", e.Alias, at.application, healthText(at.health))
		}
	}
}

// commits shows what was done between the two builds, if the images say what
// they were built from.
func (b *body) commits() {
	listed := map[string]bool{}
	for _, e := range b.entries {
		url := e.facts.Comparison.URL
		if url == "" || listed[url] {
			continue
		}

		if len(listed) == 0 {
			b.printf("\n### What is new\n")
		}
		listed[url] = true
		b.comparison(e)
	}
}

func (b *body) comparison(e entry) {
	between := e.facts.Comparison
	count := ""
	if between.Total > 0 {
		count = fmt.Sprintf(" (%d commits)", between.Total)
	}

	b.printf("\n**%s** [`%s` → `%s`](%s)%s\n", e.Alias, e.Before(), e.New, between.URL, count)
	for i, commit := range between.Commits {
		if i == 0 {
			b.printf("\n")
		}
		b.printf("- [`%.7s`](%s) %s\n", commit.SHA, commit.URL, code(commit.Subject))
	}
	if more := between.Total - len(between.Commits); len(between.Commits) > 0 && more > 0 {
		b.printf("- … and %d older ones\n", more)
	}
}

func (b *body) diffs() {
	b.printf("\n### Changed files\n")

	files, room := b.text.Proposal.Files, maxDiff
	for i, f := range files {
		if room -= len(f.Diff); room < 0 {
			b.printf("\n… and %d more files; see the commits.\n", len(files)-i)
			return
		}

		fence := "```"
		for strings.Contains(f.Diff, fence) {
			fence += "`"
		}
		b.printf("\n%sdiff\n%s\n%s\n", fence, strings.TrimRight(f.Diff, "\n"), fence)
	}
}

func (b *body) instructions() {
	b.printf("\n### Merge, skip or hold\n\n" +
		"- **Merge** this pull request, and Argo CD deploys it.\n" +
		"- **Skip** these versions: close this pull request without merging. Newer versions are still proposed.\n")
	if len(b.entries) == 0 {
		return
	}

	first := b.entries[0]
	b.printf("- **Hold** an image, or exclude one tag for good, with an annotation:\n\n"+
		"  ```sh\n  kubectl -n %s annotate application %s \\\n    %s%s.ignore-tags='%s'\n  ```\n",
		first.app.Namespace, first.app.Name, spec.Prefix, first.Alias, first.facts.Tag.Name)
	b.printf("\nImage Writeback updates this branch when a newer version appears, and when the file changes on " +
		"the base branch, unless somebody else pushes to it.\n")
}

// escape makes a text say nothing to Markdown.
func escape(s string) string {
	return strings.NewReplacer("<", "&lt;", "@", "@\u200b", "#", "#\u200b", "*", `\*`, "_", `\_`, "|", `\|`, "`", "'").
		Replace(s)
}

// code shows a text as it is: no mention, no reference and no closing word in
// it counts.
func code(s string) string { return "`" + strings.ReplaceAll(s, "`", "'") + "`" }
