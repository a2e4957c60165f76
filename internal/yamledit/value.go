package yamledit

import (
	"strings"

	"sigs.k8s.io/kustomize/kyaml/yaml"
)

// Value is YAML to be added to a file: a map where it has Fields, a list where
// it has Items, and else a plain value.
type Value struct {
	// Text is a plain value. It is written so that YAML reads it as a string.
	Text   string
	Bool   bool // Text is true or false, not a string
	Fields []Field
	Items  []Value
}

// Field is a key with its value.
type Field struct {
	Key   string
	Value Value
}

func (v Value) isPlain() bool { return len(v.Fields) == 0 && len(v.Items) == 0 }

// nested is a map within a map for each key, with v inside.
func nested(keys []string, v Value) Value {
	for i := len(keys) - 1; i >= 0; i-- {
		v = Value{Fields: []Field{{keys[i], v}}}
	}
	return v
}

// word writes a plain value.
func (f *File) word(v Value, like yaml.Style) string {
	if v.Bool {
		return v.Text
	}
	return scalar(v.Text, like, f.quote())
}

// block writes the fields or items of v as lines, all of them indented.
func (f *File) block(v Value, indent, step string) []string {
	var lines []string
	for _, field := range v.Fields {
		head := indent + scalar(field.Key, 0, '"') + ":"
		switch {
		case field.Value.isPlain():
			lines = append(lines, head+" "+f.word(field.Value, 0))
		case len(field.Value.Items) > 0:
			lines = append(append(lines, head), f.block(field.Value, indent+f.listStep(), step)...)
		default:
			lines = append(append(lines, head), f.block(field.Value, indent+step, step)...)
		}
	}
	for _, item := range v.Items {
		lines = append(lines, f.blockItem(item, indent, "- ", step)...)
	}
	return lines
}

// blockItem writes one item of a list, behind its marker: a dash and spaces.
func (f *File) blockItem(item Value, indent, marker, step string) []string {
	if item.isPlain() {
		return []string{indent + marker + f.word(item, 0)}
	}
	inner := indent + strings.Repeat(" ", len(marker))
	lines := f.block(item, inner, step)
	lines[0] = indent + marker + strings.TrimPrefix(lines[0], inner)
	return lines
}

// inline writes v in braces or brackets, quoted as the map or list that it goes into.
func (f *File) inline(v Value, like yaml.Style) string {
	switch {
	case len(v.Items) > 0:
		items := make([]string, len(v.Items))
		for i, item := range v.Items {
			items[i] = f.inline(item, like)
		}
		return "[" + strings.Join(items, ", ") + "]"
	case len(v.Fields) > 0:
		fields := make([]string, len(v.Fields))
		for i, field := range v.Fields {
			fields[i] = scalar(field.Key, like, '"') + ": " + f.inline(field.Value, like)
		}
		return "{" + strings.Join(fields, ", ") + "}"
	}
	return f.word(v, like)
}

// inlineContent is inline without the braces or brackets.
func (f *File) inlineContent(v Value, like yaml.Style) string {
	text := f.inline(v, like)
	return text[1 : len(text)-1]
}
