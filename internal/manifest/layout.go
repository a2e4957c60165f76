package manifest

import (
	"bytes"
	"fmt"

	"sigs.k8s.io/kustomize/kyaml/yaml"
)

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
