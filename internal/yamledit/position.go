package yamledit

import (
	"bytes"
	"fmt"
	"sort"
	"strings"
	"unicode/utf8"

	"sigs.k8s.io/kustomize/kyaml/yaml"
)

// lines says where the characters of a text stand: kyaml counts lines, and
// columns in characters. A line may be as long as the file.
type lines struct {
	starts     []int // offset of the first byte of each line
	characters []int // number of the first character of each line
	marks      []int // offset of every markEvery-th character
}

const markEvery = 256

// linesOf counts lines as kyaml's scanner does: besides CR and LF it knows the
// line breaks of YAML 1.1, which are NEL, LS and PS.
func linesOf(text []byte) lines {
	breaks := bytes.Count(text, []byte("\n"))
	l := lines{
		starts:     append(make([]int, 0, breaks+1), 0),
		characters: append(make([]int, 0, breaks+1), 0),
		marks:      make([]int, 0, len(text)/markEvery+1),
	}

	character := 0
	for i := 0; i < len(text); character++ {
		if character%markEvery == 0 {
			l.marks = append(l.marks, i)
		}
		r, width := utf8.DecodeRune(text[i:])
		i += width
		switch r {
		case '\r':
			if i < len(text) && text[i] == '\n' {
				continue // the break ends with the next character
			}
			fallthrough
		case '\n', '\u0085', '\u2028', '\u2029':
			l.starts = append(l.starts, i)
			l.characters = append(l.characters, character+1)
		}
	}
	return l
}

// offset is the byte at which a node begins.
func (f *File) offset(n *yaml.Node) int {
	if n.Line > len(f.starts) { // an empty value at the very end
		return len(f.text)
	}

	character := f.characters[n.Line-1] + n.Column - 1
	mark := character / markEvery
	if mark >= len(f.marks) {
		return len(f.text)
	}
	i := f.marks[mark]
	for range character - mark*markEvery {
		if i >= len(f.text) {
			break
		}
		_, width := utf8.DecodeRune(f.text[i:])
		i += width
	}
	return i
}

// lineStart is the offset of the first byte of the line that holds i.
func (f *File) lineStart(i int) int {
	return f.starts[sort.SearchInts(f.starts, i+1)-1]
}

// lineEnd is the offset behind the line break of the line that holds i, or the
// end of the text.
func (f *File) lineEnd(i int) int {
	next := sort.SearchInts(f.starts, i+1)
	if next == len(f.starts) {
		return len(f.text)
	}
	return f.starts[next]
}

// valueSpan is where the bytes of a plain value or an alias stand, without its
// anchor and its tag. It is an error for a value over several lines, which
// cannot be replaced safely.
func (f *File) valueSpan(n *yaml.Node) (start, end int, err error) {
	start = f.behindProperties(f.offset(n))
	rest := f.text[start:]

	switch {
	case n.Kind == yaml.AliasNode:
		return start, start + 1 + len(n.Value), nil
	case n.Kind != yaml.ScalarNode:
		return 0, 0, fmt.Errorf("line %d: expected a plain value", n.Line)
	case n.Style&(yaml.LiteralStyle|yaml.FoldedStyle) != 0:
		return 0, 0, fmt.Errorf("line %d: the value is a block over several lines; write it on one line", n.Line)
	case n.Style&yaml.DoubleQuotedStyle != 0:
		end = closingQuote(rest, '"', '\\')
	case n.Style&yaml.SingleQuotedStyle != 0:
		end = closingQuote(rest, '\'', '\'')
	default:
		if !bytes.HasPrefix(rest, []byte(n.Value)) {
			return 0, 0, fmt.Errorf("line %d: the value spans several lines; write it on one line", n.Line)
		}
		end = len(n.Value)
	}
	if end < 0 {
		return 0, 0, fmt.Errorf("line %d: the value does not end", n.Line)
	}
	return start, start + end, nil
}

// behindProperties skips the anchor and the tag that stand before a value.
func (f *File) behindProperties(i int) int {
	for i < len(f.text) && (f.text[i] == '&' || f.text[i] == '!') {
		length := bytes.IndexAny(f.text[i:], " \t\r\n")
		if length < 0 { // nothing follows
			return len(f.text)
		}
		i += length
		for i < len(f.text) && (f.text[i] == ' ' || f.text[i] == '\t') {
			i++
		}
	}
	return i
}

// closingQuote is the length of the quoted value that text begins with.
func closingQuote(text []byte, quote, escape byte) int {
	for i := 1; i < len(text); i++ {
		switch {
		case text[i] == escape && i+1 < len(text) && (escape != quote || text[i+1] == quote):
			i++
		case text[i] == quote:
			return i + 1
		}
	}
	return -1
}

// lastByte is the offset behind the last byte of a node's own text.
func (f *File) lastByte(n *yaml.Node) int {
	if len(n.Content) > 0 {
		end := f.lastByte(n.Content[len(n.Content)-1])
		if isFlow(n) {
			end = f.closing(end)
		}
		return end
	}
	if isFlow(n) {
		return f.closing(f.offset(n) + 1)
	}
	if _, end, err := f.valueSpan(n); err == nil {
		return end
	}

	return f.endOf.of(n, f.lastLine)
}

// lastLine is where a value over several lines ends: with the last line that is
// indented deeper than the key before it. Callers need no more than that line.
func (f *File) lastLine(n *yaml.Node) int {
	end := f.lineEnd(f.offset(n))
	indent := f.indentation(f.lineStart(f.offset(n)))
	for i := end; i < len(f.text); i = f.lineEnd(i) {
		blank := len(bytes.TrimSpace(f.text[i:f.lineEnd(i)])) == 0
		if !blank && f.indentation(i) <= indent {
			break
		}
		if !blank {
			end = f.lineEnd(i)
		}
	}
	return max(end-1, 0)
}

// closing finds the bracket that ends an inline list or map whose last item
// ends at from; only white space, comments and a comma can stand between.
func (f *File) closing(from int) int {
	for i := from; i < len(f.text); i++ {
		switch f.text[i] {
		case ']', '}':
			return i + 1
		case '#':
			i = f.lineEnd(i) - 1
		}
	}
	return len(f.text)
}

func (f *File) indentation(lineStart int) int {
	line := f.text[lineStart:]
	return len(line) - len(bytes.TrimLeft(line, " "))
}

// documentEnd is the end of the last line that is not blank in the document of root.
func (f *File) documentEnd(root *yaml.Node) int {
	return f.documentEndOf.of(root, f.findDocumentEnd)
}

func (f *File) findDocumentEnd(root *yaml.Node) int {
	end := len(f.text)
	for i := f.lineEnd(f.lastByte(root)); i < len(f.text); i = f.lineEnd(i) {
		line := f.text[i:]
		if bytes.HasPrefix(line, []byte("---")) || bytes.HasPrefix(line, []byte("...")) {
			end = i
			break
		}
	}

	for end > 0 {
		start := f.lineStart(end - 1)
		if len(bytes.TrimSpace(f.text[start:end])) > 0 {
			break
		}
		end = start
	}
	return end
}

func (f *File) endsInBreak() bool {
	return len(f.text) > 0 && f.starts[len(f.starts)-1] == len(f.text)
}

// insertLines puts lines at an offset that begins a line, or at the end of the
// file. Where the last line of the file lacks its break, it still does afterwards.
func (f *File) insertLines(at int, lines ...string) Splice {
	joined := strings.Join(lines, f.eol)
	if at == len(f.text) && at > 0 && !f.endsInBreak() {
		return Splice{at, at, f.eol + joined}
	}
	return Splice{at, at, joined + f.eol}
}
