// Package escape shows the text of others: names, tags, reasons, subjects of
// commits. Each place that shows text reads some of it as its own language. There
// is one function for each place, and whoever shows text there uses it:
//
//   - [Line] and [Text] for terminals, logs and Kubernetes Events: no control
//     characters, escape sequences or invisible characters;
//   - [JSON] for JSON that may be shown by a terminal;
//   - [Subject] for titles and for lines of commit messages, which forges search for
//     mentions and closing words;
//   - [Path] for file names in trailers;
//   - [Markdown], [Code], [Cell], [Block] and [Link] for the parts of pull requests;
//   - [Shell] for commands that people copy.
//
// Text without anything special stays as it is. The functions are pure.
package escape

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Line returns a text in one line of visible characters. Any other character
// becomes \n, \t, \x1b or \u{202e}.
func Line(s string) string { return visible(s, "") }

// Text is [Line] for a text over several lines, such as a diff: line breaks and
// tabs stay.
func Text(s string) string {
	lines := strings.Split(s, "\r\n")
	for i, line := range lines {
		lines[i] = visible(line, "\n\t")
	}

	return strings.Join(lines, "\r\n")
}

// Cut shortens a text to a number of bytes, with a sign that it did.
func Cut(s string, longest int) string {
	const sign = "…"
	if len(s) <= longest {
		return s
	}

	end := max(longest-len(sign), 0)
	for end > 0 && !utf8.RuneStart(s[end]) {
		end--
	}

	return s[:end] + sign
}

// visible replaces the characters that are not printed, but for some.
func visible(s, keep string) string {
	bad := func(r rune) bool {
		return (r == utf8.RuneError || !unicode.IsPrint(r)) && !strings.ContainsRune(keep, r)
	}
	if strings.IndexFunc(s, bad) < 0 {
		return s
	}

	var b strings.Builder
	for i := 0; i < len(s); {
		r, width := utf8.DecodeRuneInString(s[i:])
		switch {
		case r == utf8.RuneError && width == 1:
			fmt.Fprintf(&b, `\x%02x`, s[i])
		case r != utf8.RuneError && !bad(r):
			b.WriteRune(r)
		case r == '\n':
			b.WriteString(`\n`)
		case r == '\r':
			b.WriteString(`\r`)
		case r == '\t':
			b.WriteString(`\t`)
		case r < utf8.RuneSelf:
			fmt.Fprintf(&b, `\x%02x`, r)
		default:
			fmt.Fprintf(&b, `\u{%x}`, r)
		}
		i += width
	}

	return b.String()
}

// JSON writes the invisible characters of valid JSON as escapes. They can only be
// in strings, so that the meaning stays.
func JSON(data []byte) []byte {
	var out []byte
	for i := 0; i < len(data); {
		r, width := utf8.DecodeRune(data[i:])
		switch {
		case r < ' ' || r != 0x7f && unicode.IsPrint(r):
			out = append(out, data[i:i+width]...)
		case r > 0xffff:
			r -= 0x10000
			out = fmt.Appendf(out, `\u%04x\u%04x`, 0xd800+r>>10, 0xdc00+r&0x3ff)
		default:
			out = fmt.Appendf(out, `\u%04x`, r)
		}
		i += width
	}

	return out
}

// Shell returns an argument of a command for a POSIX shell, in one line.
func Shell(s string) string {
	s = Line(s)
	plain := func(r rune) bool {
		return r < utf8.RuneSelf && (unicode.IsLetter(r) || unicode.IsDigit(r) || strings.ContainsRune("_@%+=:,./-", r))
	}
	if s != "" && !strings.HasPrefix(s, "-") && strings.IndexFunc(s, func(r rune) bool { return !plain(r) }) < 0 {
		return s
	}

	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}
