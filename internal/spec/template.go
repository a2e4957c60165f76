package spec

import (
	"errors"
	"strings"
	"text/template"
)

// Execute returns the text that a template makes of data. A text longer than
// longest bytes is cut there, and the template is stopped. The error is for a
// template that fails.
func Execute(t *template.Template, data any, longest int) (text string, err error) {
	w := &cutWriter{room: longest}
	if err := t.Execute(w, data); err != nil && !errors.Is(err, errFull) {
		return "", err
	}

	// The cut may have left a part of a character.
	return strings.ToValidUTF8(w.text.String(), ""), nil
}

var errFull = errors.New("the text is long enough")

// cutWriter keeps as many bytes as it has room for.
type cutWriter struct {
	text strings.Builder
	room int
}

// Write keeps what there is room for. The error says that there is none left.
func (w *cutWriter) Write(p []byte) (int, error) {
	kept := min(len(p), w.room)
	w.text.Write(p[:kept])
	w.room -= kept
	if kept < len(p) {
		return kept, errFull
	}

	return kept, nil
}
