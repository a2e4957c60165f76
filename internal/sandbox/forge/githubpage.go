package forge

import (
	"bytes"
	"html/template"
	"net/http"
	"strings"

	"github.com/yuin/goldmark"
	"github.com/yuin/goldmark/extension"

	"github.com/liverty-music/image-writeback/internal/sandbox"
)

// page shows a pull request to a person: what it says and what it changes.
func (h *GitHub) page(w http.ResponseWriter, r *http.Request) {
	h.mu.Lock()
	p := h.find(r)
	var shown Pull
	if p != nil {
		shown = *p
	}

	h.mu.Unlock()
	if p == nil {
		http.NotFound(w, r)
		return
	}

	diff, err := h.git.Run(shown.Repository, "diff", "refs/heads/"+shown.Base+"...refs/heads/"+shown.Head)
	if err != nil {
		diff = "the branch is gone"
	}

	type line struct{ Class, Text string }
	var lines []line
	for text := range strings.SplitSeq(strings.TrimRight(diff, "\n"), "\n") {
		class := "same"
		switch {
		case strings.HasPrefix(text, "+++"), strings.HasPrefix(text, "---"), strings.HasPrefix(text,
			"diff "), strings.HasPrefix(text, "index "):
			class = "head"
		case strings.HasPrefix(text, "+"):
			class = "added"
		case strings.HasPrefix(text, "-"):
			class = "removed"
		case strings.HasPrefix(text, "@@"):
			class = "place"
		}
		lines = append(lines, line{class, text})
	}

	var comments []template.HTML
	for _, c := range shown.Comments {
		comments = append(comments, markdown(c.Body))
	}

	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	sandbox.Check(pullPage.Execute(w, map[string]any{"Pull": shown, "Body": markdown(shown.Body),
		"Comments": comments, "Lines": lines}))
}

// markdown renders a text as GitHub does: its flavour, without HTML.
func markdown(text string) template.HTML {
	var b bytes.Buffer
	sandbox.Check(goldmark.New(goldmark.WithExtensions(extension.GFM)).Convert([]byte(text), &b))
	return template.HTML(b.String()) //nolint:gosec // HTML in the text is left out
}

var pullPage = template.Must(template.New("pull").Parse(`<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>{{.Pull.Title}} · Pull request #{{.Pull.Number}}</title>
<style>
body{font:16px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem;color:#1f2328}
h1{font-size:1.5rem;margin:0 0 .5rem} h1 small{color:#59636e;font-weight:400}
.state{display:inline-block;padding:.15rem .7rem;border-radius:1rem;color:#fff;background:#1a7f37}
.state.closed{background:#8250df}
.meta{color:#59636e;margin-bottom:1rem} code,pre{font:13px/1.5 ui-monospace,monospace}
pre{border:1px solid #d1d9e0;border-radius:6px;padding:.75rem 0;overflow-x:auto;
white-space:pre-wrap;overflow-wrap:anywhere}
pre span{display:block;padding:0 1rem}
.body{border:1px solid #d1d9e0;border-radius:6px;padding:.25rem 1rem;margin-bottom:1rem;overflow-x:auto}
.body h3{font-size:1.1rem;margin:1.25rem 0 .5rem}.body pre{background:#f6f8fa;border:0;padding:.75rem 1rem}
.body table{border-collapse:collapse;display:block;overflow-x:auto}
.body th,.body td{border:1px solid #d1d9e0;padding:.35rem .75rem;text-align:left}
.body code{background:#818b981f;border-radius:6px;padding:.15em .4em}.body pre code{background:none;padding:0}
.body a{color:#0969da}
.added{background:#dafbe1}.removed{background:#ffebe9}.place{background:#ddf4ff}.head{color:#59636e}
.note{color:#59636e;font-size:.875rem}
</style></head><body>
<h1>{{.Pull.Title}} <small>#{{.Pull.Number}}</small></h1>
<p class="meta">
<span class="state {{.Pull.State}}">{{if .Pull.Merged}}Merged{{else if eq .Pull.State "open"}}Open
{{- else}}Closed{{end}}</span>
from <code>{{.Pull.Head}}</code> into <code>{{.Pull.Base}}</code> of {{.Pull.Repository}}</p>
<div class="body">{{.Body}}</div>
{{range .Comments}}<div class="body">{{.}}</div>
{{end}}<h2>Files changed</h2>
<pre>{{range .Lines}}<span class="{{.Class}}">{{.Text}}</span>{{end}}</pre>
<p class="note">This page is the demo's stand-in for GitHub.</p>
</body></html>
`))
