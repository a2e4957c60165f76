package report

import (
	"fmt"
	"strings"
	"text/template"

	"github.com/liverty-music/image-writeback/internal/escape"
	"github.com/liverty-music/image-writeback/internal/image"
	"github.com/liverty-music/image-writeback/internal/spec"
)

// Templates are the operator's templates over [TemplateData]; nil: the default.
type Templates struct{ Title, Body *template.Template }

// form is how a text is sent: at most so many bytes, with the values of templates
// as they are written there.
type form struct {
	longest int
	write   func(string) string
}

// TemplateData is what github.pullRequest.title and .body are made with. The values
// are the words of others, and escaped for the title or for Markdown.
type TemplateData struct {
	// Default is the title or the body as it is without a template.
	Default      string
	Applications []TemplateApplication
	Changes      []TemplateChange
}

// TemplateApplication is one of the Applications that a pull request is for.
type TemplateApplication struct{ Namespace, Name string }

// TemplateChange is an [image.Change] in the words of templates.
type TemplateChange struct {
	Application  string
	Image, Alias string
	Old, New     string
	Reason       string
	File         string
}

// ParseTemplate reads the template of a title or a body, empty for none. The
// error names the key, and is for a template that cannot be read or fails.
func ParseTemplate(key, text string) (*template.Template, error) {
	if text == "" {
		return nil, nil //nolint:nilnil // no template is a valid one
	}

	parsed, err := template.New(key).Option("missingkey=error").Parse(text)
	if err == nil {
		err = parsed.Execute(&strings.Builder{}, TemplateData{
			Default:      "x",
			Applications: []TemplateApplication{{"argocd", "app"}},
			Changes:      []TemplateChange{{New: "2"}},
		})
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", key, err)
	}

	return parsed, nil
}

// render returns a text as a template makes it, or as it is if the template
// fails or makes nothing: a pull request is worth more than its looks.
func (t *Text) render(with *template.Template, text string, changes []image.Change, as form) string {
	text = escape.Cut(text, as.longest)
	if with == nil {
		return text
	}

	data := TemplateData{Default: text}
	for _, app := range t.Proposal.Applications {
		data.Applications = append(data.Applications, TemplateApplication{as.write(app.Namespace), as.write(app.Name)})
	}
	for _, c := range changes {
		one := TemplateChange{
			Image: as.write(c.Image), Alias: as.write(c.Alias), File: as.write(c.File),
			Old: as.write(c.Before()), New: as.write(c.New.String()),
		}
		if app, img := t.find(c); img != nil {
			one.Application, one.Reason = as.write(app.Name), as.write(img.Choice.Reason)
		}
		data.Changes = append(data.Changes, one)
	}

	made, err := spec.Execute(with, data, as.longest)
	if made = strings.TrimSpace(made); err != nil || made == "" {
		return text
	}

	return made
}
