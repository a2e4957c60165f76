package delivery

import (
	"fmt"
	"strings"
	"text/template"

	"github.com/liverty-music/image-writeback/internal/escape"
	"github.com/liverty-music/image-writeback/internal/gitwrite"
	"github.com/liverty-music/image-writeback/internal/image"
	"github.com/liverty-music/image-writeback/internal/spec"
)

// defaultMessage is the default template of Argo CD Image Updater.
const defaultMessage = `build: automatic update of {{ .AppName }}
{{ range .AppChanges }}
updates image {{ .Image }} tag '{{ .OldTag }}' to '{{ .NewTag }}'
{{- end }}
`

// Message is the template of a commit's message, with the fields .AppName and
// .AppChanges of .Image (without registry), .OldTag and .NewTag. Their values are
// words of others, each in one line that forges find no reference in.
type Message struct{ template *template.Template }

// ParseMessage parses a template; empty means the default. It returns an error if
// the template is invalid or uses other fields.
func ParseMessage(text string) (*Message, error) {
	if text == "" {
		text = defaultMessage
	}

	t, err := template.New("message").Option("missingkey=error").Parse(text)
	if err != nil {
		return nil, err
	}

	m := &Message{t}
	example := image.Change{Image: "image", Old: image.Version{Tag: "1"}, New: image.Version{Tag: "2"}}
	_, err = m.render("app", []image.Change{example})
	return m, err
}

// longestMessage is how long a message may be without its trailers. The rest of it
// is left out.
const longestMessage = 32 << 10

type messageChange struct{ Image, OldTag, NewTag string }

func (m *Message) render(app string, changes []image.Change) (string, error) {
	data := struct {
		AppName    string
		AppChanges []messageChange
	}{AppName: escape.Subject(app)}
	for _, c := range changes {
		change := messageChange{
			escape.Subject(repositoryOf(c.Image)), escape.Subject(c.Old.String()), escape.Subject(c.New.String()),
		}
		data.AppChanges = append(data.AppChanges, change)
	}

	text, err := spec.Execute(m.template, data, longestMessage)
	if err != nil {
		return "", err
	}
	text = strings.TrimSpace(text)
	if text == "" {
		return "", fmt.Errorf("the template produces an empty message")
	}

	return text, nil
}

// nameList returns the names of Applications for a title.
func nameList(names []string) string {
	if len(names) > 3 {
		return fmt.Sprintf("%d Applications", len(names))
	}
	return strings.Join(names, ", ")
}

// repositoryOf returns the name of an image without its registry.
func repositoryOf(name string) string {
	ref, err := image.ParseName(name)
	if err != nil || ref.Registry == image.DockerHub {
		return name
	}
	return ref.Repository
}

// TrailerKey begins the line that our commits have for each change.
const TrailerKey = "Image-Writeback"

// commitMessage returns the rendered template and, in a separate paragraph, the
// trailers: Image-Writeback: <file> <image> <old> -> <new>, where unusual characters
// of the file are written as %XX. signOff is nil if commits are not signed off.
func commitMessage(m *Message, app string, changes []image.Change, signOff *gitwrite.Signature) (string, error) {
	text, err := m.render(app, changes)
	if err != nil {
		return "", fmt.Errorf("rendering the commit message from its template: %w", err)
	}

	var b strings.Builder
	b.WriteString(text + "\n\n")
	for _, c := range changes {
		fmt.Fprintf(&b, "%s: %s %s %s -> %s\n", TrailerKey, escape.Path(c.File), escape.Subject(c.Image),
			escape.Subject(c.Before()), escape.Subject(c.New.String()))
	}

	if signOff != nil {
		fmt.Fprintf(&b, "Signed-off-by: %s <%s>\n", escape.Line(signOff.Name), escape.Line(signOff.Email))
	}

	return b.String(), nil
}

// madeByUs reports whether this program created a commit and nobody has changed it
// since: the last paragraph has our trailer, and author and committer are the same,
// or GitHub committed it for us through its API ("GitHub", or "GitHub Enterprise"
// on an Enterprise Server). Amending, rebasing or cherry-picking changes the
// committer.
func madeByUs(author, committer gitwrite.Signature, message string) bool {
	byGitHub := strings.HasPrefix(committer.Name, "GitHub") && strings.HasPrefix(committer.Email, "noreply@")
	if author != committer && !byGitHub {
		return false
	}

	paragraphs := strings.Split(strings.TrimSpace(message), "\n\n")
	for line := range strings.SplitSeq(paragraphs[len(paragraphs)-1], "\n") {
		if strings.HasPrefix(line, TrailerKey+": ") {
			return true
		}
	}

	return false
}
