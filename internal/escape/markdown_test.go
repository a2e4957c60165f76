package escape

import (
	"regexp"
	"testing"

	"github.com/yuin/goldmark"
	"github.com/yuin/goldmark/ast"
	"github.com/yuin/goldmark/extension"
	"github.com/yuin/goldmark/text"
)

// said are the references that a forge would find in a text.
var said = regexp.MustCompile(`(?i)(^|[^\w])@[a-z0-9]|#[0-9]|\bgh-[0-9]|://|\bwww\.|![0-9]`)

// parse returns how many nodes of each kind a document has, and the references in
// its text outside of code.
func parse(source string) (kinds map[string]int, references []string) {
	kinds = map[string]int{}
	parser := goldmark.New(goldmark.WithExtensions(extension.GFM)).Parser()
	document := parser.Parse(text.NewReader([]byte(source)))
	_ = ast.Walk(document, func(n ast.Node, entering bool) (ast.WalkStatus, error) {
		if !entering {
			return ast.WalkContinue, nil
		}
		kinds[n.Kind().String()]++
		switch n := n.(type) {
		case *ast.CodeSpan, *ast.FencedCodeBlock:
			return ast.WalkSkipChildren, nil
		case *ast.Text:
			references = append(references, said.FindAllString(string(n.Segment.Value([]byte(source))), -1)...)
		}
		return ast.WalkContinue, nil
	})

	return kinds, references
}

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
		kinds, references := parse(source)
		if len(references) > 0 {
			t.Errorf("%q has the references %q", source, references)
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
