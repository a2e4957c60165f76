// Package escapetest reads Markdown as a forge does, so that tests can tell whether
// the text of others has become more than text. Use it in tests only.
package escapetest

import (
	"regexp"

	"github.com/yuin/goldmark"
	"github.com/yuin/goldmark/ast"
	"github.com/yuin/goldmark/extension"
	"github.com/yuin/goldmark/text"
)

// said are the references that a forge would find in a text.
var said = regexp.MustCompile(`(?i)(^|[^\w])@[a-z0-9]|#[0-9]|\bgh-[0-9]|://|\bwww\.|![0-9]`)

// Document is what a forge finds in Markdown.
type Document struct {
	Kinds      map[string]int // how many nodes there are of each kind, by goldmark's names
	References []string       // mentions, issues and addresses in its text, outside of code
	Links      []string       // where its links lead
}

// Read reads a document.
func Read(source string) Document {
	found := Document{Kinds: map[string]int{}}
	parser := goldmark.New(goldmark.WithExtensions(extension.GFM)).Parser()
	document := parser.Parse(text.NewReader([]byte(source)))
	_ = ast.Walk(document, func(n ast.Node, entering bool) (ast.WalkStatus, error) {
		if !entering {
			return ast.WalkContinue, nil
		}
		found.Kinds[n.Kind().String()]++
		switch n := n.(type) {
		case *ast.CodeSpan, *ast.FencedCodeBlock:
			return ast.WalkSkipChildren, nil
		case *ast.Link:
			found.Links = append(found.Links, string(n.Destination))
		case *ast.Text:
			text := string(n.Segment.Value([]byte(source)))
			found.References = append(found.References, said.FindAllString(text, -1)...)
		}
		return ast.WalkContinue, nil
	})

	return found
}
