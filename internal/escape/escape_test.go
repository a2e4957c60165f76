package escape

import (
	"encoding/json"
	"os"
	"os/exec"
	"strings"
	"testing"
	"unicode"

	"sigs.k8s.io/kustomize/kyaml/yaml"
)

// functions are the escapers of texts, by the names that vectors have.
var functions = map[string]func(string) string{
	"line": Line, "text": Text, "subject": Subject, "path": Path, "markdown": Markdown, "code": Code, "cell": Cell,
	"shell": Shell,
	"block": func(s string) string { return Block("", s) },
	"link":  func(s string) string { return Link("x", s) },
	"json":  func(s string) string { return string(JSON([]byte(s))) },
	"cut":   func(s string) string { return Cut(s, 10) },
}

type vector struct {
	Name string            `yaml:"name"`
	Text string            `yaml:"text"`
	Want map[string]string `yaml:"want"` // by function; a function without one leaves the text as it is
	For  []string          `yaml:"for"`  // functions that leave the text as it is
}

func vectors(t testing.TB) []vector {
	t.Helper()
	data, err := os.ReadFile("../../testdata/escape/escape.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var all []vector
	if err := yaml.Unmarshal(data, &all); err != nil {
		t.Fatal(err)
	}

	return all
}

// TestVectors holds how texts are shown; see testdata/escape.
func TestVectors(t *testing.T) {
	for _, v := range vectors(t) {
		for _, name := range v.For {
			v.Want[name] = v.Text
		}
		for name, want := range v.Want {
			if got := functions[name](v.Text); got != want {
				t.Errorf("%s: %s(%q) = %q; want %q", v.Name, name, v.Text, got, want)
			}
		}
	}
}

// TestJSONKeepsItsMeaning holds that escaped JSON is still the same.
func TestJSONKeepsItsMeaning(t *testing.T) {
	for _, text := range []string{"a\u202eb", "\x7f\u0085\u2028", "\U000e0001", "é 💚\t\"\\"} {
		data, err := json.Marshal(text)
		if err != nil {
			t.Fatal(err)
		}
		var got string
		if err := json.Unmarshal(JSON(data), &got); err != nil || got != text {
			t.Errorf("%q: %q, %v", text, got, err)
		}
		if i := strings.IndexFunc(string(JSON(data)), func(r rune) bool { return !unicode.IsPrint(r) }); i >= 0 {
			t.Errorf("%q: %q", text, JSON(data))
		}
	}
}

// TestShellReadsOneArgument has a shell print what was escaped for it.
func TestShellReadsOneArgument(t *testing.T) {
	for _, text := range []string{
		"", "app", "-n", "a b", "$(touch x)", "`x`", "'", "a'b'c", "\\", "!x", "~", "*", "a;b", "a#b",
	} {
		out, err := exec.Command("sh", "-c", "printf '%s|' "+Shell(text)).Output()
		if err != nil || string(out) != Line(text)+"|" {
			t.Errorf("%q: %q, %v", text, out, err)
		}
	}
}

// FuzzLine looks for a text of which anything invisible is shown.
func FuzzLine(f *testing.F) {
	for _, v := range vectors(f) {
		f.Add(v.Text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		for name, escape := range map[string]func(string) string{
			"line": Line, "text": Text, "shell": Shell, "path": Path,
		} {
			for _, r := range escape(text) {
				if !unicode.IsPrint(r) && (name != "text" || r != '\n' && r != '\t' && r != '\r') {
					t.Errorf("%s: %q shows %q", name, text, r)
				}
			}
		}
	})
}
