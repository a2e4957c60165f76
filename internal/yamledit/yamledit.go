// Package yamledit edits the bytes of YAML files. An edit changes only the
// bytes that must change, so that comments, key order, quotes, indentation,
// line endings and blank lines stay as their author left them.
//
// A YAML writer would format the whole file again. Here kyaml parses the file
// and tells where each node stands ([Parse], [ParseMap]); an edit of a node is
// a [Splice] of bytes, and [File.Apply] makes the splices. [SetKeys] does all
// of this for the common case: it sets the values of keys ([KeyPath]) and
// verifies the result. Whoever makes splices of their own verifies the result
// with [Equal] or [SameExcept], so that an edit that would change anything else
// is an error and never a damaged file.
//
// The package knows nothing of what files mean; formats are in package
// manifest. To read configuration, use a decoder instead.
package yamledit

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"
	"sort"
	"strings"
	"unicode/utf8"

	"sigs.k8s.io/kustomize/kyaml/yaml"
)

// ErrUnreadable is wrapped by the errors for a file that cannot be parsed.
var ErrUnreadable = errors.New("the file cannot be read as YAML")

// ErrShape is wrapped by the errors for a file that can be parsed but not be
// edited safely; the message says what to change by hand.
var ErrShape = errors.New("the file cannot be edited safely")

// File is a parsed YAML file: its bytes, and the nodes with their positions. It
// is not safe for concurrent use.
type File struct {
	text []byte // without a byte order mark
	bom  bool
	docs []*yaml.Node // the document nodes
	root *yaml.Node   // of [ParseMap]
	lines
	eol string
	looked
	layout
}

var bom = []byte("\xef\xbb\xbf")

// Parse reads a file of any number of documents. The error wraps
// [ErrUnreadable] and names the line.
func Parse(src []byte) (*File, error) {
	if !utf8.Valid(src) {
		return nil, fmt.Errorf("%w: it is not UTF-8", ErrUnreadable)
	}

	text, hasBOM := bytes.CutPrefix(src, bom)
	if err := checkDirectives(text); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrUnreadable, err)
	}

	f := &File{text: text, bom: hasBOM, lines: linesOf(text), eol: "\n"}
	if i := bytes.IndexByte(text, '\n'); i > 0 && text[i-1] == '\r' {
		f.eol = "\r\n"
	}

	nodes := mostNodes
	decoder := yaml.NewDecoder(bytes.NewReader(text))
	for {
		var doc yaml.Node
		err := decoder.Decode(&doc)
		if errors.Is(err, io.EOF) {
			return f, nil
		}
		if err != nil {
			return nil, fmt.Errorf("%w: %s", ErrUnreadable, syntaxError(err))
		}
		if nodes, err = checkSize(&doc, deepestNesting, nodes); err != nil {
			return nil, fmt.Errorf("%w: %w", ErrUnreadable, err)
		}
		if len(f.docs) == mostDocuments {
			return nil, fmt.Errorf("%w: %w", ErrUnreadable, errDocuments)
		}

		f.docs = append(f.docs, &doc)
	}
}

// syntaxError is what the parser says, without what the file holds.
func syntaxError(err error) string {
	text := strings.TrimPrefix(err.Error(), "yaml: ")
	if strings.HasPrefix(text, "unknown anchor") { // it quotes the name
		return "an alias has no anchor before it"
	}
	return text
}

// ParseMap reads a file that holds one map, and returns the map. It is nil
// where the file holds nothing but comments and white space. The error wraps
// [ErrUnreadable] or, for a file that holds anything else, [ErrShape].
func ParseMap(src []byte) (*File, *yaml.Node, error) {
	f, err := Parse(src)
	if err != nil {
		return nil, nil, err
	}

	var root *yaml.Node
	for i := range f.docs {
		r := f.Root(i)
		if r == nil || isNull(r) {
			continue
		}
		if root != nil {
			return nil, nil, fmt.Errorf("%w: there is more than one document; leave one", ErrShape)
		}
		root = r
	}

	if root != nil && root.Kind != yaml.MappingNode {
		return nil, nil, fmt.Errorf("%w: %w", ErrShape, errNotMap(root))
	}
	f.root = root
	return f, root, nil
}

// Documents is the number of documents.
func (f *File) Documents() int { return len(f.docs) }

// Root is the content of document i, or nil where the document is empty or
// does not exist.
func (f *File) Root(i int) *yaml.Node {
	if i >= len(f.docs) || len(f.docs[i].Content) == 0 {
		return nil
	}
	return f.docs[i].Content[0]
}

// isRoot reports whether a node is the content of a whole document.
func (f *File) isRoot(n *yaml.Node) bool {
	for i := range f.docs {
		if f.Root(i) == n {
			return true
		}
	}
	return false
}

// Splice replaces the bytes of a file from start to end.
type Splice struct {
	start, end int
	text       string
}

// Join returns all splices, each once. It is an error where two of them replace the
// same bytes by different ones.
func Join(splices, more []Splice) ([]Splice, error) {
	for _, s := range more {
		if slices.Contains(splices, s) {
			continue
		}
		if s.start < s.end && slices.ContainsFunc(splices, s.touches) {
			return nil, errors.New("another edit sets the same value")
		}
		splices = append(splices, s)
	}
	return splices, nil
}

// Apply returns the file with all splices made. They must not overlap; of
// several splices at one offset, the first given comes first.
func (f *File) Apply(splices []Splice) []byte {
	sort.SliceStable(splices, func(i, j int) bool { return splices[i].start < splices[j].start })

	var out bytes.Buffer
	if f.bom {
		out.Write(bom)
	}
	at := 0
	for _, s := range splices {
		out.Write(f.text[at:s.start])
		out.WriteString(s.text)
		at = s.end
	}
	out.Write(f.text[at:])
	return out.Bytes()
}
