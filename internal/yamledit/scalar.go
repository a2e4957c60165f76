package yamledit

import (
	"strings"

	"sigs.k8s.io/kustomize/kyaml/yaml"
)

// scalar writes a value in the style of the value that it replaces: quotes
// stay, and a plain value gets quotes only where YAML would not read it as a
// string.
func scalar(value string, like yaml.Style, quote byte) string {
	switch {
	case like&yaml.DoubleQuotedStyle != 0:
		return quoted(value, '"')
	case like&yaml.SingleQuotedStyle != 0:
		return quoted(value, '\'')
	case isPlain(value):
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

// isPlain reports whether readers of YAML 1.1 (Kubernetes) and of YAML 1.2
// (kustomize) both read value without quotes as the string value.
func isPlain(value string) bool {
	// In a flow map, where the most characters are special.
	var doc yaml.Node
	err := yaml.Unmarshal([]byte("{k: "+value+"}"), &doc)
	if err != nil || len(doc.Content) == 0 || len(doc.Content[0].Content) != 2 {
		return false
	}

	n := doc.Content[0].Content[1]
	return n.Kind == yaml.ScalarNode && n.Tag == yaml.NodeTagString && n.Value == value && !yaml.IsYaml1_1NonString(n)
}

// quote is the quote that the file uses more often; double where it uses none.
func (f *File) quote() byte {
	if f.usualQuote != 0 {
		return f.usualQuote
	}

	single, double := 0, 0
	for _, doc := range f.docs {
		walk(doc, func(n *yaml.Node) {
			switch {
			case n.Style&yaml.SingleQuotedStyle != 0:
				single++
			case n.Style&yaml.DoubleQuotedStyle != 0:
				double++
			}
		})
	}
	f.usualQuote = '"'
	if single > double {
		f.usualQuote = '\''
	}
	return f.usualQuote
}
