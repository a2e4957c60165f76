package gitwrite

import (
	"fmt"
	"strings"
	"text/template"

	"github.com/go-git/go-git/v5/plumbing/object"

	"github.com/liverty-music/image-writeback/internal/image"
)

// defaultMessage is that of Argo CD Image Updater.
const defaultMessage = `build: automatic update of {{ .AppName }}
{{ range .AppChanges }}
updates image {{ .Image }} tag '{{ .OldTag }}' to '{{ .NewTag }}'
{{- end }}
`

// Message is the template of a commit's message, with the fields .AppName and
// .AppChanges of .Image (without registry), .OldTag and .NewTag.
type Message struct{ template *template.Template }

// ParseMessage reads a template; empty is the default. The error is for one
// that Go's text/template cannot read or that uses other fields.
func ParseMessage(text string) (*Message, error) {
	if text == "" {
		text = defaultMessage
	}
	t, err := template.New("message").Option("missingkey=error").Parse(text)
	if err != nil {
		return nil, err
	}
	m := &Message{t}
	_, err = m.render("app", []image.Change{{Image: "image", Old: image.Version{Tag: "1"}, New: image.Version{Tag: "2"}}})
	return m, err
}

type messageChange struct{ Image, OldTag, NewTag string }

func (m *Message) render(app string, changes []image.Change) (string, error) {
	data := struct {
		AppName    string
		AppChanges []messageChange
	}{AppName: app}
	for _, c := range changes {
		data.AppChanges = append(data.AppChanges, messageChange{repositoryOf(c.Image), c.Old.String(), c.New.String()})
	}
	var b strings.Builder
	if err := m.template.Execute(&b, data); err != nil {
		return "", err
	}
	text := strings.TrimSpace(b.String())
	if text == "" {
		return "", fmt.Errorf("the template makes an empty message")
	}
	return text, nil
}

// together names several Applications in a title.
func together(names []string) string {
	if len(names) > 3 {
		return fmt.Sprintf("%d Applications", len(names))
	}
	return strings.Join(names, ", ")
}

// repositoryOf drops the registry of an image's name.
func repositoryOf(name string) string {
	ref, err := image.ParseName(name)
	if err != nil || ref.Registry == image.DockerHub {
		return name
	}
	return ref.Repository
}

// TrailerKey begins the line that each commit of ours has for each change.
const TrailerKey = "Image-Writeback"

// commitMessage is the rendered template and, in a paragraph of their own, the
// trailers: Image-Writeback: <file> <image> <old> -> <new>.
func commitMessage(m *Message, app string, changes []image.Change, signOff *Signature) (string, error) {
	text, err := m.render(app, changes)
	if err != nil {
		return "", fmt.Errorf("git.message: %w", err)
	}
	var b strings.Builder
	b.WriteString(text + "\n\n")
	for _, c := range changes {
		fmt.Fprintf(&b, "%s: %s %s %s -> %s\n", TrailerKey, c.File, c.Image, c.Before(), c.New)
	}
	if signOff != nil {
		fmt.Fprintf(&b, "Signed-off-by: %s <%s>\n", signOff.Name, signOff.Email)
	}
	return b.String(), nil
}

// ours tells whether we made a commit and nobody has changed it since: it
// carries our trailer in its last paragraph, and author and committer are one,
// or GitHub committed it for us through its API ("GitHub", at a server of one's
// own "GitHub Enterprise"). Whoever amends, rebases or cherry-picks it
// becomes its committer.
func ours(author, committer Signature, message string) bool {
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

func signatureOf(s object.Signature) Signature { return Signature{Name: s.Name, Email: s.Email} }
