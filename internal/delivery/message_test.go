package delivery

import (
	"strings"
	"testing"

	"github.com/liverty-music/image-writeback/internal/image"
)

// TestMessageTemplate checks the default message, which is the same as in Argo CD
// Image Updater, the trailers after it, and that an invalid template is detected
// before anything is written.
func TestMessageTemplate(t *testing.T) {
	changes := []image.Change{{File: "app/k.yaml", Image: "ghcr.io/o/app", Old: image.ParseVersion("1.0"),
		New: image.ParseVersion("1.1")}, {File: "app/k.yaml", Image: "nginx", New: image.ParseVersion("1.27")}}
	for template, want := range map[string]string{
		"": "build: automatic update of backend\n\n" +
			"updates image o/app tag '1.0' to '1.1'\nupdates image nginx tag '' to '1.27'\n\n" +
			"Image-Writeback: app/k.yaml ghcr.io/o/app 1.0 -> 1.1\nImage-Writeback: app/k.yaml nginx (none) -> 1.27\n",
		"ci: {{ .AppName }} has {{ len .AppChanges }}\n\n\n": "ci: backend has 2\n\n" +
			"Image-Writeback: app/k.yaml ghcr.io/o/app 1.0 -> 1.1\nImage-Writeback: app/k.yaml nginx (none) -> 1.27\n",
	} {
		m, err := ParseMessage(template)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := commitMessage(m, "backend", changes, nil); err != nil || got != want {
			t.Errorf("%q:\n%s\n%v\nwant\n%s", template, got, err, want)
		}
	}
	for template, want := range map[string]string{
		"{{ .AppNmae }}":             "can't evaluate field AppNmae",
		"{{ .AppName":                "unclosed action",
		"{{ index .AppChanges 7 }}":  "out of range",
		" {{/* says nothing */}}   ": "empty message",
	} {
		if _, err := ParseMessage(template); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", template, err, want)
		}
	}
}
