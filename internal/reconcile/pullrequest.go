package reconcile

import (
	"fmt"
	"strings"

	"github.com/liverty-music/image-writeback/internal/gitwrite"
)

// pullRequest says how the pull request of an Application reads.
func pullRequest(app *Application, images []*Image, labels []string, draft bool) *gitwrite.PullRequest {
	reasons := map[string]string{}
	for _, img := range images {
		reasons[img.Image] = img.Reason
	}
	name, full := app.Name, app.String()
	return &gitwrite.PullRequest{
		Title:  func(changes []gitwrite.Change) string { return title(name, changes) },
		Body:   func(changes []gitwrite.Change) string { return body(full, changes, reasons) },
		Labels: labels,
		Draft:  draft,
	}
}

// title is "backend-prod: server v1.4.2 → v1.5.0".
func title(app string, changes []gitwrite.Change) string {
	if len(changes) > 3 {
		return fmt.Sprintf("%s: %d images", app, len(changes))
	}
	parts := make([]string, len(changes))
	for i, c := range changes {
		parts[i] = fmt.Sprintf("%s %s → %s", c.Alias, short(c.Before()), short(c.New))
	}
	return app + ": " + strings.Join(parts, ", ")
}

// short cuts commit hashes and digests as git does; a version stays whole.
func short(version string) string {
	if tag, digest, ok := strings.Cut(version, "@sha256:"); ok && len(digest) > 12 {
		return tag + "@" + digest[:12]
	}
	if len(version) == 40 && strings.Trim(version, "0123456789abcdef") == "" {
		return version[:10]
	}
	return version
}

func body(app string, changes []gitwrite.Change, reasons map[string]string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "Newer images for the Argo CD Application `%s`.\n\n| image | old | new |\n| --- | --- | --- |\n", app)
	for _, c := range changes {
		fmt.Fprintf(&b, "| `%s` | `%s` | `%s` |\n", c.Image, c.Before(), c.New)
	}
	b.WriteString("\n### Why these\n\n")
	for _, c := range changes {
		fmt.Fprintf(&b, "- **%s**: `%s` is the %s.\n", c.Alias, c.New, reasons[c.Image])
	}
	b.WriteString("\n### What changes\n\n")
	seen := map[string]bool{}
	for _, c := range changes {
		if !seen[c.File] {
			fmt.Fprintf(&b, "- `%s`\n", c.File)
			seen[c.File] = true
		}
	}
	b.WriteString("\nMerging deploys it. Closing without merging holds it: a pull request comes again with a newer version.\n")
	return b.String()
}
