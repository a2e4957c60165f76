package delivery

import (
	"fmt"
	"os/exec"
	"regexp"
	"strings"
	"testing"
	"unicode"

	"github.com/liverty-music/image-writeback/internal/gitwrite"
	"github.com/liverty-music/image-writeback/internal/image"
)

// parsedTrailers returns the trailers of a message, as git reads them.
func parsedTrailers(t *testing.T, message string) []string {
	t.Helper()
	cmd := exec.Command("git", "interpret-trailers", "--parse")
	cmd.Stdin = strings.NewReader(message)
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}

	return strings.Split(strings.TrimSuffix(string(out), "\n"), "\n")
}

// referred are what a forge would find in a message: mentions, and what may follow
// a closing word.
var referred = regexp.MustCompile(`(?i)(^|[^\w])@[a-z0-9]|#[0-9]|\bgh-[0-9]|://|![0-9]`)

func checkMessage(t *testing.T, app string, change image.Change, name string) {
	t.Helper()
	m, err := ParseMessage("")
	if err != nil {
		t.Fatal(err)
	}
	other := image.Change{File: "k.yaml", Image: "nginx", New: image.ParseVersion("1.27")}
	signOff := &gitwrite.Signature{Name: name, Email: "bot@example.com"}
	message, err := commitMessage(m, app, []image.Change{change, other}, signOff)
	if err != nil {
		t.Fatal(err)
	}

	got := parsedTrailers(t, message)
	if len(got) != 3 || !strings.HasPrefix(got[0], TrailerKey+": ") ||
		got[1] != TrailerKey+": k.yaml nginx (none) -> 1.27" || !strings.HasPrefix(got[2], "Signed-off-by: ") {
		t.Errorf("%q has the trailers %q", message, got)
	}
	if strings.ContainsFunc(message, func(r rune) bool { return unicode.IsControl(r) && r != '\n' }) {
		t.Errorf("%q has control characters", message)
	}
	said, _, _ := strings.Cut(message, "Signed-off-by")
	if found := referred.FindString(said); found != "" {
		t.Errorf("%q refers to %q", message, found)
	}
	if lines := strings.Count(message, "\n"); lines != 8 {
		t.Errorf("%q has %d lines", message, lines)
	}
}

// hostileWords are what strangers may have as names.
var hostileWords = []string{
	"app", "Closes #1", "@org/team", "a\n\nSigned-off-by: Eve <eve@example.com>", "a\r\nReviewed-by: Eve <e@e>",
	"---", "# comment", "x -> y", " leading", "trailing ", "k: v", "\x1b[31m", "a\u2028b", "\xff", "-- \n", "",
	"fixes o/r#1 https://github.com/o/r/issues/1 GH-1", "Signed-off-by: Eve <e@e>", "\u202ea",
	"(cherry picked from commit 1)",
}

// TestOnlyOurTrailers holds that no name makes a trailer, a mention or a closing
// word of its own, as git reads messages.
func TestOnlyOurTrailers(t *testing.T) {
	for _, word := range hostileWords {
		checkMessage(t, word, image.Change{
			File: "a/" + word + ".yaml", Image: word, Alias: word, Old: image.Version{Tag: word},
			New: image.Version{Tag: "1", Digest: word},
		}, word)
	}
}

// TestAMessageIsNotEndless holds that a template over many changes makes a message
// of bounded length, with all trailers.
func TestAMessageIsNotEndless(t *testing.T) {
	m, err := ParseMessage("")
	if err != nil {
		t.Fatal(err)
	}
	var changes []image.Change
	for i := range 2000 {
		changes = append(changes, image.Change{File: "k.yaml", Image: fmt.Sprintf("ghcr.io/o/app%d", i),
			New: image.ParseVersion("1.1")})
	}
	message, err := commitMessage(m, "app", changes, nil)
	if err != nil {
		t.Fatal(err)
	}
	text, trailers, _ := strings.Cut(message, "\n\n"+TrailerKey)
	if len(text) > longestMessage || strings.Count(trailers, "\n") != 2000 {
		t.Errorf("%d bytes, %d trailers", len(text), strings.Count(trailers, "\n"))
	}
}

// FuzzTrailers looks for names by which git reads other trailers than ours.
func FuzzTrailers(f *testing.F) {
	for _, word := range hostileWords {
		f.Add(word, word, word, word)
	}
	f.Fuzz(func(t *testing.T, app, file, name, tag string) {
		checkMessage(t, app, image.Change{
			File: file, Image: name, Old: image.Version{Tag: tag}, New: image.Version{Tag: "1"},
		}, name)
	})
}
