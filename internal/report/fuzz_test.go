package report

import (
	"net/url"
	"slices"
	"testing"

	"github.com/liverty-music/image-writeback/internal/escape/escapetest"
	"github.com/liverty-music/image-writeback/internal/image"
)

// FuzzBody looks for words of Applications, images and commits that make the text of a
// pull request something else: a mention, a closing word, a link, a comment, a heading.
func FuzzBody(f *testing.F) {
	for _, hostile := range []string{
		"Closes #1", "@org/team", "<!-- x", "--> x", "](https://x.example)", "[x](https://x.example)", "www.x.example",
		"`", "```\n# x", "|", "\n\n# x", "\r\n- [ ] x", "<a href=x>", "GH-1", "o/r#1", "\\", "\u202e", "'; rm -rf /; '",
		"```\n\n```sh", "https://x.example/?a=1", "x@y.example", "![x](y)", "&lt;!--", "~~~", "\x1b[2J",
	} {
		f.Add(hostile, "app", "v1", "fix", "reason", "-x")
		f.Add("app", hostile, hostile, "fix", "reason", "+x")
		f.Add("app", "server", "v1", hostile, hostile, hostile)
	}
	harmless := escapetest.Read(bodyOf(f, "app", "app", "v1", "fix", "reason", "+x"))
	f.Fuzz(func(t *testing.T, application, alias, version, subject, reason, diff string) {
		body := bodyOf(t, application, alias, version, subject, reason, diff)
		got := escapetest.Read(body)
		if len(got.References) > 0 {
			t.Errorf("the references %q in:\n%s", got.References, body)
		}
		for _, link := range got.Links {
			to, err := url.Parse(link)
			if err != nil || to.Scheme != "https" || !slices.Contains(hosts, to.Host) {
				t.Errorf("the link %q in:\n%s", link, body)
			}
		}
		for kind, n := range got.Kinds {
			if kind != "Text" && kind != "CodeSpan" && kind != "Paragraph" && n > harmless.Kinds[kind] {
				t.Errorf("%d of %s, not %d in:\n%s", n, kind, harmless.Kinds[kind], body)
			}
		}
	})
}

// hosts are those of the links that the example has.
var hosts = []string{"github.com", "hub.docker.com", "asia-northeast2-docker.pkg.dev"}

// bodyOf is the text of the example with the words of somebody else.
func bodyOf(t testing.TB, application, alias, version, subject, reason, diff string) string {
	t.Helper()
	text, changes, facts := example(t)
	text.Running = RunningIn(nil)
	app := text.Proposal.Applications[0]
	app.Namespace, app.Name = application, application
	text.Proposal.Files[0].Diff = diff
	images := text.Images(changes)
	for i, img := range images {
		fact := facts[img]
		fact.Tag.Name = version
		facts[img] = fact
		img.Choice.Reason = reason
		img.Alias, changes[i].Alias = alias, alias
		changes[i].Old, changes[i].New = image.ParseVersion(version), image.ParseVersion(version)
		if commits := fact.Comparison.Commits; len(commits) > 0 {
			commits[0].Subject, commits[0].SHA = subject, subject
		}
	}

	return text.Body(changes, facts)
}
