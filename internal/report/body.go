package report

import (
	"bytes"
	"fmt"
	"strings"
	"time"

	"github.com/liverty-music/image-writeback/internal/escape"
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
	bytes.Buffer
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

	for _, part := range []func(){b.table, b.reasons, b.running, b.commits, b.diffs} {
		before := b.Len()
		if part(); b.Len() > longestBody-roomForEnd {
			b.Truncate(before)
			b.printf("\n… more than can be shown here; see the commits.\n")
		}
	}
	b.instructions()

	return t.render(t.Templates.Body, b.String(), changes, form{longestBody, escape.Markdown})
}

func (b *body) printf(format string, args ...any) { _, _ = fmt.Fprintf(b, format, args...) }

func (b *body) table() {
	apps := b.text.Proposal.Applications
	names := make([]string, 0, len(apps))
	for _, app := range apps[:min(len(apps), maxItems)] {
		names = append(names, escape.Code(app.String()))
	}
	kind := "Argo CD Application"
	if len(apps) > 1 {
		kind = fmt.Sprintf("%d Argo CD Applications", len(apps))
	}

	b.printf("Newer images for the %s %s.\n\n", kind, strings.Join(names, ", "))
	b.printf("| image | old | new | digest | built |\n| --- | --- | --- | --- | --- |\n")
	for _, e := range b.entries {
		newer := escape.Cell(e.New.String())
		if ref, err := image.ParseName(e.Image); err == nil {
			newer = escape.Link(newer, registryLink(ref, e.facts.Tag))
		}
		b.printf("| %s | %s | %s | %s | %s |\n", escape.Cell(e.Image), escape.Cell(e.Before()), newer,
			digestText(e.facts.Tag.Digest), timeText(e.facts.Tag.Created))
	}
	if b.total > len(b.entries) {
		b.printf("\n… and %d more; see the changed files.\n", b.total-len(b.entries))
	}
}

func digestText(digest string) string {
	return escape.Cell(digest[:min(len(digest), len("sha256:")+12)])
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
		reason := escape.Cut(e.image.Choice.Reason, longestReason)
		b.printf("- **%s**: %s is the %s.\n",
			escape.Markdown(e.Alias), escape.Code(e.New.String()), escape.Markdown(reason))
	}
}

// running shows where the image runs already, and how healthy it is there.
func (b *body) running() {
	b.printf("\n### Where it already runs\n\n")
	for _, e := range b.entries {
		found := b.text.Running.of(e.image, e.app.String())
		if len(found) == 0 {
			b.printf("- **%s**: in no other Application that Image Writeback follows.\n", escape.Markdown(e.Alias))
		}
		for _, at := range found[:min(len(found), maxItems)] {
			b.printf("- **%s** in %s: %s\n",
				escape.Markdown(e.Alias), escape.Code(at.application), escape.Markdown(healthText(at.health)))
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

	b.printf("\n**%s** %s%s\n", escape.Markdown(e.Alias),
		escape.Link(escape.Code(e.Before())+" → "+escape.Code(e.New.String()), between.URL), count)
	for i, commit := range between.Commits {
		if i == 0 {
			b.printf("\n")
		}
		b.printf("- %s %s\n", escape.Link(escape.Code(fmt.Sprintf("%.7s", commit.SHA)), commit.URL),
			escape.Code(escape.Cut(commit.Subject, longestSubject)))
	}
	if more := between.Total - len(between.Commits); len(between.Commits) > 0 && more > 0 {
		b.printf("- … and %d older ones\n", more)
	}
}

func (b *body) diffs() {
	b.printf("\n### Changed files\n")

	files, room := b.text.Proposal.Files, maxDiff
	for i, f := range files {
		block := escape.Block("diff", f.Diff)
		if room -= len(block); room < 0 {
			b.printf("\n… and %d more files; see the commits.\n", len(files)-i)
			return
		}

		b.printf("\n%s\n", block)
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
		"  ```sh\n  kubectl -n %s annotate application %s \\\n    %s\n  ```\n",
		escape.Shell(first.app.Namespace), escape.Shell(first.app.Name),
		escape.Shell(spec.Prefix+first.Alias+".ignore-tags="+first.facts.Tag.Name))
	b.printf("\nImage Writeback updates this branch when a newer version appears, and when the file changes on " +
		"the base branch, unless somebody else pushes to it.\n")
}
