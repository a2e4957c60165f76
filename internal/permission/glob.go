package permission

import (
	"errors"
	"fmt"
	"regexp"
	"strings"
	"unicode/utf8"
)

// glob is a pattern in the language of Argo CD's projects, which is that of
// github.com/gobwas/glob: * and ? match no separator, ** matches anything, [ab],
// [a-z] and [!…] are classes of characters, {a,b} are alternatives, and \ escapes.
//
// That library takes exponential time for some patterns and panics for others, and
// a project's patterns are the words of its administrator. This type takes time in
// proportion to pattern and text.
type glob struct {
	// prefix and suffix are all that a pattern without expression says.
	prefix, suffix string
	any            bool // anything may be between them, and they may overlap
	expression     *regexp.Regexp
}

// noSeparator is the separator of a glob whose * matches anything.
const noSeparator = 0

// compileGlob reads a pattern. The error is for a pattern that the library does not
// read either.
func compileGlob(pattern string, separator rune) (*glob, error) {
	t := &translation{rest: pattern, one: anyCharacter}
	if separator != noSeparator {
		t.one = `[^` + literal(separator) + `]`
	}

	for t.err == nil && t.rest != "" {
		t.item()
	}
	if t.err != nil {
		return nil, t.err
	}
	if !t.complex {
		return &glob{prefix: t.before.String(), suffix: t.after.String(), any: t.any}, nil
	}

	// The library closes the braces that are still open.
	expression := `\A` + t.out.String() + strings.Repeat(")", t.depth) + `\z`
	compiled, err := regexp.Compile(expression)
	if err != nil {
		return nil, fmt.Errorf("its braces cannot be read: %w", err)
	}

	return &glob{expression: compiled}, nil
}

func (g *glob) match(text string) bool {
	switch {
	case g.expression != nil:
		return g.expression.MatchString(text)
	case g.any:
		return strings.HasPrefix(text, g.prefix) && strings.HasSuffix(text, g.suffix)
	}

	return text == g.prefix
}

const (
	anyCharacter = `(?s:.)`
	anything     = `(?s:.*)`
	something    = `(?s:.+)`
)

// translation is a glob on its way to a regular expression.
type translation struct {
	rest string // what has not been read yet
	one  string // the expression for ?
	out  strings.Builder

	before, after strings.Builder // the text before and after the first **
	any           bool            // there is a **
	complex       bool            // there is more than text and one **
	depth         int             // of braces
	err           error
}

// item translates the next item.
func (t *translation) item() {
	switch r := t.read(); {
	case r == end:
	case r == '*':
		t.stars()
	case r == '\\':
		if escaped := t.read(); escaped != end {
			t.text(escaped)
		}
	case r == '?':
		t.expression(t.one)
	case r == '[':
		t.class()
	case r == '{':
		t.depth++
		t.expression(`(?:`)
	case r == ',' && t.depth > 0:
		t.expression(`|`)
	case r == '}' && t.depth > 0:
		t.depth--
		t.expression(`)`)
	default:
		t.text(r)
	}
}

// end is what read returns at the end. For the library, a NUL ends a pattern as well.
const end = 0

// read takes one character.
func (t *translation) read() rune {
	r, size := utf8.DecodeRuneInString(t.rest)
	switch {
	case size == 0:
		return end
	case r == utf8.RuneError:
		t.fail("it has a character that is not UTF-8")
		return end
	case r == end:
		t.rest = ""
		return end
	}
	t.rest = t.rest[size:]

	return r
}

func (t *translation) text(r rune) {
	if t.any {
		t.after.WriteRune(r)
	} else {
		t.before.WriteRune(r)
	}
	t.out.WriteString(literal(r))
}

func (t *translation) expression(e string) {
	t.complex = true
	t.out.WriteString(e)
}

// stars translates one or more *, of which the first has been read. The library
// reads three as ** and *, which match nothing but text that is not empty.
func (t *translation) stars() {
	others := strings.TrimLeft(t.rest, "*")
	n := 1 + len(t.rest) - len(others)
	t.rest = others

	switch {
	case n%2 == 0 || t.one == anyCharacter:
		t.complex = t.complex || t.any
		t.any = true
		t.out.WriteString(anything)
	case n == 1:
		t.expression(t.one + `*`)
	default:
		t.expression(something)
	}
}

// class translates what follows a [.
func (t *translation) class() {
	t.expression(`[`)
	if strings.HasPrefix(t.rest, "!") {
		t.rest = t.rest[1:]
		t.out.WriteByte('^')
	}

	all := t.rest
	if low := t.read(); low != end && strings.HasPrefix(t.rest, "-") {
		t.rest = t.rest[1:]
		high := t.read()
		if high < low {
			t.fail("it has a range of characters that is empty")
		}
		t.out.WriteString(literal(low) + "-" + literal(high))
	} else {
		t.rest = all
		t.list()
	}

	if t.read() != ']' {
		t.fail("it has a [ without a ]")
	}
	t.out.WriteByte(']')
}

// list translates the characters of a class, up to its end.
func (t *translation) list() {
	empty := true
	for t.rest != "" && t.rest[0] != ']' {
		r := t.read()
		if r == '\\' {
			r = t.read()
		}
		if r == end {
			break
		}
		t.out.WriteString(literal(r))
		empty = false
	}
	if empty {
		t.fail("it has a [] without characters")
	}
}

func (t *translation) fail(why string) {
	if t.err == nil {
		t.err = errors.New(why)
	}
}

// literal is the expression for one character, in or outside of a class.
func literal(r rune) string { return fmt.Sprintf(`\x{%x}`, r) }
