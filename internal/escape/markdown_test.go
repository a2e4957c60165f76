package escape

import (
	"strings"
	"testing"

	"github.com/liverty-music/image-writeback/internal/escape/escapetest"
)

// FuzzMarkdown looks for a text that is more than text where it is shown: at the
// start of a line, in a list, in a table, as code, or in a block.
func FuzzMarkdown(f *testing.F) {
	for _, v := range vectors(f) {
		f.Add(v.Text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		source := "x\n\n" + Markdown(text) + "\n\n- x " + Markdown(text) + ": " + Code(text) + "\n\n" +
			"| a | b |\n| --- | --- |\n| " + Cell(text) + " | " + Markdown(text) + " |\n\n" +
			Block("diff", text) + "\n\nend\n"
		document := escapetest.Read(source)
		kinds := document.Kinds
		if len(document.References) > 0 {
			t.Errorf("%q has the references %q", source, document.References)
		}
		if strings.Contains(source, "<!--") {
			t.Errorf("%q has a comment, which programs find in code as well", source)
		}

		delete(kinds, "Text")
		blocks, paragraphs := kinds["FencedCodeBlock"], kinds["Paragraph"]
		if blocks == 0 { // it is left out, in a paragraph
			paragraphs--
		}
		if Markdown(text) == "" {
			paragraphs++
		}
		for kind, want := range map[string]int{
			"Document": 1, "List": 1, "ListItem": 1, "TextBlock": 1, "Table": 1, "TableHeader": 1, "TableRow": 1,
			"TableCell": 4,
		} {
			if kinds[kind] != want {
				t.Errorf("%q has %d of %s", source, kinds[kind], kind)
			}
			delete(kinds, kind)
		}
		spans := kinds["CodeSpan"]
		for _, kind := range []string{"FencedCodeBlock", "Paragraph", "CodeSpan"} {
			delete(kinds, kind)
		}
		if paragraphs != 3 || spans != 2 && Code(text) != "–" || len(kinds) > 0 {
			t.Errorf("%q has %d paragraphs, %d spans and %v", source, paragraphs, spans, kinds)
		}
	})
}
