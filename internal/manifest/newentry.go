package manifest

import (
	"bytes"
	"errors"
	"fmt"
	"strings"

	"sigs.k8s.io/kustomize/kyaml/yaml"
)

// addEntries adds entries to the images: list, and the list where there is
// none, in the style and indentation of the file.
func (s *source) addEntries(entries []KustomizeImage) (splice, error) {
	root := s.kustomization()
	if root == nil {
		if first := s.root(0); first != nil && first.Tag != yaml.NodeTagNull {
			return splice{}, errors.New("it is no kustomization: a mapping with images: is expected")
		}
		return s.insertLines(len(s.text), append([]string{"images:"}, s.blockEntries(entries, "", "- ")...)...), nil
	}
	key, images := lookup(root, "images")
	switch {
	case key == nil && root.Style&yaml.FlowStyle != 0:
		style := firstKeyStyle(root)
		return s.appendToFlow(root, scalar("images", style, '"')+": ["+s.flowEntries(entries, style)+"]")
	case key == nil:
		return s.addList(root, entries), nil
	case images.Kind == yaml.SequenceNode && len(images.Content) == 0, images.Tag == yaml.NodeTagNull:
		return s.fillEmptyList(root, key, images, entries)
	case images.Kind != yaml.SequenceNode:
		return splice{}, fmt.Errorf("line %d: images: is no list", images.Line)
	case images.Style&yaml.FlowStyle != 0:
		return s.appendToFlow(images, s.flowEntries(entries, innerStyle(images)))
	}
	// kyaml places a block list at its first dash.
	dash := s.offset(images)
	first := images.Content[0]
	marker := "- "
	if first.Line == images.Line && first.Anchor == "" && first.Kind == yaml.MappingNode && first.Style&yaml.FlowStyle == 0 {
		marker = string(s.text[dash:s.offset(first)])
	}
	lines := s.blockEntries(entries, strings.Repeat(" ", images.Column-1), marker)
	return s.insertLines(s.lineEnd(s.lastByte(images)), lines...), nil
}

// addList adds images: behind everything else in the document, after its last
// comment and before its trailing blank lines, set off by a blank line where
// the file sets its keys off so.
func (s *source) addList(root *yaml.Node, entries []KustomizeImage) splice {
	end := s.documentEnd(root)
	margin := strings.Repeat(" ", root.Column-1)
	lines := append([]string{margin + "images:"}, s.blockEntries(entries, s.listIndent(root), "- ")...)
	if s.keysSetOff(root) {
		lines = append([]string{""}, lines...)
	}
	return s.insertLines(end, lines...)
}

// documentEnd is where the last line with anything on it ends, in the document of root.
func (s *source) documentEnd(root *yaml.Node) int {
	end := len(s.text)
	for i := s.lineEnd(s.lastByte(root)); i < len(s.text); i = s.lineEnd(i) {
		line := s.text[i:]
		if bytes.HasPrefix(line, []byte("---")) || bytes.HasPrefix(line, []byte("...")) {
			end = i
			break
		}
	}
	for end > 0 {
		start := s.lineStart(end - 1)
		if len(bytes.TrimSpace(s.text[start:end])) > 0 {
			break
		}
		end = start
	}
	return end
}

// keysSetOff tells whether a blank line stands above the last top-level key.
func (s *source) keysSetOff(root *yaml.Node) bool {
	if len(root.Content) < 4 {
		return false
	}
	at := s.lineStart(s.offset(root.Content[len(root.Content)-2]))
	for at > 0 {
		start := s.lineStart(at - 1)
		line := bytes.TrimSpace(s.text[start:at])
		if len(line) == 0 {
			return true
		}
		if line[0] != '#' {
			return false
		}
		at = start
	}
	return false
}

// fillEmptyList turns "images: []" or a bare "images:" into a list.
func (s *source) fillEmptyList(root, key, images *yaml.Node, entries []KustomizeImage) (splice, error) {
	if root.Style&yaml.FlowStyle != 0 || images.Style&yaml.FlowStyle != 0 && images.Line != key.Line {
		return s.appendToFlow(images, s.flowEntries(entries, key.Style))
	}
	_, at, err := s.valueSpan(key)
	if err != nil {
		return splice{}, err
	}
	at += bytes.IndexByte(s.text[at:], ':') + 1
	end := s.lineEnd(at)
	rest := string(s.text[at:end])
	if images.Style&yaml.FlowStyle != 0 {
		closing := s.offset(images) + bytes.IndexByte(s.text[s.offset(images):], ']') + 1
		end = s.lineEnd(closing)
		rest = string(s.text[closing:end])
	} else if images.Value != "" { // null or ~
		rest = string(s.text[s.offset(images)+len(images.Value) : end])
	}
	lines := s.blockEntries(entries, s.listIndent(root), "- ")
	comment := strings.TrimRight(rest, "\r\n")
	text := comment + s.eol + strings.Join(lines, s.eol)
	if comment != rest {
		text += s.eol
	}
	return splice{at, end, text}, nil
}

// listIndent is how far the file indents its top-level lists.
func (s *source) listIndent(root *yaml.Node) string {
	for i := 1; i < len(root.Content); i += 2 {
		if v := root.Content[i]; v.Kind == yaml.SequenceNode && v.Style&yaml.FlowStyle == 0 && len(v.Content) > 0 {
			return strings.Repeat(" ", v.Column-1)
		}
	}
	return strings.Repeat(" ", root.Column-1)
}

// appendToFlow puts text behind the last item of an inline list or map.
func (s *source) appendToFlow(flow *yaml.Node, text string) (splice, error) {
	if flow.Style&yaml.FlowStyle == 0 {
		return splice{}, fmt.Errorf("line %d: an inline list is expected here", flow.Line)
	}
	open := s.offset(flow)
	if len(flow.Content) == 0 {
		return splice{open + 1, open + 1, text}, nil
	}
	last := flow.Content[len(flow.Content)-1]
	at := s.lastByte(last)
	separator := ", "
	item := last
	if flow.Kind == yaml.MappingNode {
		item = flow.Content[len(flow.Content)-2]
	}
	start := s.lineStart(s.offset(item))
	if margin := s.text[start:s.offset(item)]; len(bytes.TrimSpace(margin)) == 0 && item.Line != flow.Line {
		separator = "," + s.eol + string(margin)
	}
	return splice{at, at, separator + text}, nil
}

// innerStyle is the quoting of the first key found in an inline list of maps.
func innerStyle(list *yaml.Node) yaml.Style {
	for _, item := range list.Content {
		if item.Kind == yaml.MappingNode && len(item.Content) > 0 {
			return firstKeyStyle(item)
		}
	}
	return 0
}

func firstKeyStyle(mapping *yaml.Node) yaml.Style {
	if len(mapping.Content) == 0 {
		return 0
	}
	return mapping.Content[0].Style
}

// lastByte is the offset behind the last byte of a node's own text.
func (s *source) lastByte(n *yaml.Node) int {
	if len(n.Content) > 0 {
		end := s.lastByte(n.Content[len(n.Content)-1])
		if n.Style&yaml.FlowStyle != 0 {
			end = s.closing(end)
		}
		return end
	}
	if n.Style&yaml.FlowStyle != 0 {
		return s.closing(s.offset(n) + 1)
	}
	if _, end, err := s.valueSpan(n); err == nil {
		return end
	}
	// A value over several lines goes on to the last line that is indented
	// deeper than the key before it, which is all that it is asked for here.
	end := s.lineEnd(s.offset(n))
	margin := s.indentation(s.lineStart(s.offset(n)))
	for i := end; i < len(s.text); i = s.lineEnd(i) {
		blank := len(bytes.TrimSpace(s.text[i:s.lineEnd(i)])) == 0
		if !blank && s.indentation(i) <= margin {
			break
		}
		if !blank {
			end = s.lineEnd(i)
		}
	}
	return max(end-1, 0)
}

func (s *source) indentation(lineStart int) int {
	line := s.text[lineStart:]
	return len(line) - len(bytes.TrimLeft(line, " "))
}

// closing finds the bracket that ends an inline list or map whose last item
// ends at from; only white space, comments and a comma can stand between.
func (s *source) closing(from int) int {
	for i := from; i < len(s.text); i++ {
		switch s.text[i] {
		case ']', '}':
			return i + 1
		case '#':
			i = s.lineEnd(i) - 1
		}
	}
	return len(s.text)
}

// blockEntries writes entries as lines below images:.
func (s *source) blockEntries(entries []KustomizeImage, indent, marker string) []string {
	var lines []string
	inner := indent + strings.Repeat(" ", len(marker))
	for _, e := range entries {
		for i, field := range e.fields() {
			prefix := inner
			if i == 0 {
				prefix = indent + marker
			}
			lines = append(lines, prefix+field[0]+": "+scalar(field[1], 0, s.quote()))
		}
	}
	return lines
}

// flowEntries writes entries as inline maps, quoted as JSON where the file is.
func (s *source) flowEntries(entries []KustomizeImage, like yaml.Style) string {
	maps := make([]string, len(entries))
	for i, e := range entries {
		var parts []string
		for _, field := range e.fields() {
			parts = append(parts, scalar(field[0], like, '"')+": "+scalar(field[1], like, s.quote()))
		}
		maps[i] = "{" + strings.Join(parts, ", ") + "}"
	}
	return strings.Join(maps, ", ")
}

// fields are the keys of an entry that have a value, in kustomize's order.
func (e KustomizeImage) fields() [][2]string {
	var fields [][2]string
	for _, f := range [][2]string{{"name", e.Name}, {"newName", e.NewName}, {"newTag", e.NewTag}, {"digest", e.Digest}} {
		if f[1] != "" {
			fields = append(fields, f)
		}
	}
	return fields
}
