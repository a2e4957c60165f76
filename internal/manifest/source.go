package manifest

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"sort"
	"strings"
	"unicode/utf8"

	"sigs.k8s.io/kustomize/kyaml/yaml"
)

// source is a YAML file as bytes, with the documents that kyaml found in it.
// Nodes tell where values stand; edits are splices of the bytes, since kyaml's
// writer would set the whole file anew.
type source struct {
	text  []byte // without a byte order mark
	bom   bool
	docs  []*yaml.Node // the document nodes
	lines []int        // offset of the first byte of each line
	eol   string
}

var bom = []byte("\xef\xbb\xbf")

// parse reads src. The error wraps ErrUnreadable and names the line.
func parse(src []byte) (*source, error) {
	if !utf8.Valid(src) {
		return nil, fmt.Errorf("%w: it is not UTF-8", ErrUnreadable)
	}
	text, hasBOM := bytes.CutPrefix(src, bom)
	s := &source{text: text, bom: hasBOM, lines: lineStarts(text), eol: "\n"}
	if i := bytes.IndexByte(text, '\n'); i > 0 && text[i-1] == '\r' {
		s.eol = "\r\n"
	}
	decoder := yaml.NewDecoder(bytes.NewReader(text))
	for {
		var doc yaml.Node
		err := decoder.Decode(&doc)
		if errors.Is(err, io.EOF) {
			return s, nil
		}
		if err != nil {
			return nil, fmt.Errorf("%w: %s", ErrUnreadable, strings.TrimPrefix(err.Error(), "yaml: "))
		}
		s.docs = append(s.docs, &doc)
	}
}

// root is what document i holds, nil where there is nothing.
func (s *source) root(i int) *yaml.Node {
	if i >= len(s.docs) || len(s.docs[i].Content) == 0 {
		return nil
	}
	return s.docs[i].Content[0]
}

// lineStarts counts lines as kyaml's scanner does, which besides CR and LF
// knows the breaks of YAML 1.1: NEL, LS and PS.
func lineStarts(text []byte) []int {
	starts := []int{0}
	for i := 0; i < len(text); {
		r, width := utf8.DecodeRune(text[i:])
		i += width
		switch r {
		case '\r':
			if i < len(text) && text[i] == '\n' {
				i++
			}
			starts = append(starts, i)
		case '\n', '\u0085', '\u2028', '\u2029':
			starts = append(starts, i)
		}
	}
	return starts
}

// offset is the byte at which a node begins; kyaml counts columns in characters.
func (s *source) offset(n *yaml.Node) int {
	if n.Line > len(s.lines) { // an empty value at the very end
		return len(s.text)
	}
	i := s.lines[n.Line-1]
	for column := 1; column < n.Column && i < len(s.text); column++ {
		_, width := utf8.DecodeRune(s.text[i:])
		i += width
	}
	return i
}

// lineEnd is the offset behind the line break of the line that holds i, or the
// end of the text.
func (s *source) lineEnd(i int) int {
	next := sort.SearchInts(s.lines, i+1)
	if next == len(s.lines) {
		return len(s.text)
	}
	return s.lines[next]
}

// lineStart is the offset of the first byte of the line that holds i.
func (s *source) lineStart(i int) int {
	return s.lines[sort.SearchInts(s.lines, i+1)-1]
}

// valueSpan is where a scalar's or an alias's own bytes stand, without its
// anchor and tag. Values over several lines have no span that could be
// replaced safely: an error.
func (s *source) valueSpan(n *yaml.Node) (start, end int, err error) {
	start = s.offset(n)
	for start < len(s.text) && (s.text[start] == '&' || s.text[start] == '!') {
		property := bytes.IndexAny(s.text[start:], " \t\r\n")
		if property < 0 { // nothing follows it: the value is empty
			return len(s.text), len(s.text), nil
		}
		start += property
		for start < len(s.text) && (s.text[start] == ' ' || s.text[start] == '\t') {
			start++
		}
	}
	rest := s.text[start:]
	switch {
	case n.Kind == yaml.AliasNode:
		return start, start + 1 + len(n.Value), nil
	case n.Kind != yaml.ScalarNode:
		return 0, 0, fmt.Errorf("line %d: a plain value is expected here", n.Line)
	case n.Style&(yaml.LiteralStyle|yaml.FoldedStyle) != 0:
		return 0, 0, fmt.Errorf("line %d: the value is a block over several lines; write it on one line", n.Line)
	case n.Style&yaml.DoubleQuotedStyle != 0:
		end = closingQuote(rest, '"', '\\')
	case n.Style&yaml.SingleQuotedStyle != 0:
		end = closingQuote(rest, '\'', '\'')
	default:
		if !bytes.HasPrefix(rest, []byte(n.Value)) {
			return 0, 0, fmt.Errorf("line %d: the value goes over several lines; write it on one line", n.Line)
		}
		end = len(n.Value)
	}
	if end < 0 {
		return 0, 0, fmt.Errorf("line %d: the value does not end", n.Line)
	}
	return start, start + end, nil
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

// scalar writes value in the style of the value that it replaces: quotes stay,
// and a plain value gets quotes only where YAML would not read it as a string.
func scalar(value string, like yaml.Style, quote byte) string {
	switch {
	case like&yaml.DoubleQuotedStyle != 0:
		return quoted(value, '"')
	case like&yaml.SingleQuotedStyle != 0:
		return quoted(value, '\'')
	case plain(value):
		return value
	}
	return quoted(value, quote)
}

func quoted(value string, quote byte) string {
	if quote == '\'' {
		return "'" + strings.ReplaceAll(value, "'", "''") + "'"
	}
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(value) + `"`
}

// plain tells whether value without quotes is the string value to readers of
// YAML 1.1 (Kubernetes) as well as 1.2 (kustomize).
func plain(value string) bool {
	var doc yaml.Node
	// In a flow map, where the most characters are special.
	if err := yaml.Unmarshal([]byte("{k: "+value+"}"), &doc); err != nil || len(doc.Content) == 0 || len(doc.Content[0].Content) != 2 {
		return false
	}
	n := doc.Content[0].Content[1]
	return n.Kind == yaml.ScalarNode && n.Tag == yaml.NodeTagString && n.Value == value && !yaml.IsYaml1_1NonString(n)
}

// quote is the quote that the file itself prefers, double where it has none.
func (s *source) quote() byte {
	single, double := 0, 0
	for _, doc := range s.docs {
		walk(doc, func(n *yaml.Node) {
			switch {
			case n.Style&yaml.SingleQuotedStyle != 0:
				single++
			case n.Style&yaml.DoubleQuotedStyle != 0:
				double++
			}
		})
	}
	if single > double {
		return '\''
	}
	return '"'
}

func walk(n *yaml.Node, visit func(*yaml.Node)) {
	visit(n)
	for _, child := range n.Content {
		walk(child, visit)
	}
}

// lookup returns the key and value nodes of a mapping's key, nil where it has none.
func lookup(mapping *yaml.Node, key string) (k, v *yaml.Node) {
	if mapping == nil || mapping.Kind != yaml.MappingNode {
		return nil, nil
	}
	for i := 0; i+1 < len(mapping.Content); i += 2 {
		if mapping.Content[i].Value == key {
			return mapping.Content[i], mapping.Content[i+1]
		}
	}
	return nil, nil
}

// text of a scalar, also through an alias; empty where there is none or it is null.
func text(n *yaml.Node) string {
	if n != nil && n.Kind == yaml.AliasNode {
		n = n.Alias
	}
	if n == nil || n.Kind != yaml.ScalarNode || n.Tag == yaml.NodeTagNull {
		return ""
	}
	return n.Value
}

// splice is one replacement of bytes.
type splice struct {
	start, end int
	text       string
}

// apply returns the file with all splices made. They must not overlap; of
// several at one place, the first given comes first.
func (s *source) apply(splices []splice) []byte {
	sort.SliceStable(splices, func(i, j int) bool { return splices[i].start < splices[j].start })
	var out bytes.Buffer
	if s.bom {
		out.Write(bom)
	}
	at := 0
	for _, p := range splices {
		out.Write(s.text[at:p.start])
		out.WriteString(p.text)
		at = p.end
	}
	out.Write(s.text[at:])
	return out.Bytes()
}
