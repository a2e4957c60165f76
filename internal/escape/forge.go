package escape

import (
	"fmt"
	"net/url"
	"regexp"
	"strings"
	"unicode"
	"unicode/utf8"
)

// apart stands between two characters that would mean something together. It is
// not visible, and no part of a word.
const apart = "\u200b"

// references are what GitHub and GitLab make links of: mentions, numbers of issues
// and the like (GitLab has a sign for each kind), and addresses. The first group
// stays before what is put apart.
var references = []*regexp.Regexp{
	regexp.MustCompile(`(@)([\pL\pN_"])`),
	regexp.MustCompile(`([#!$%&])([\pL\pN_"{])`),
	regexp.MustCompile(`(~)([\pL"])`), // but not ~1.2
	regexp.MustCompile(`(?i)(\bGH-)([0-9])`),
	regexp.MustCompile(`(:)(//)`),
	regexp.MustCompile(`(?i)(\b(?:mailto|xmpp|tel|data|javascript):)(.)`),
	regexp.MustCompile(`(?i)(\bwww)(\.)`),
	regexp.MustCompile(`(\[)([\pL_]+:)`), // [vulnerability:1]
}

// word ends with a character after which a sign is a part of a longer word, as in
// tag@digest.
var word = regexp.MustCompile(`[A-Za-z0-9_]$`)

// Subject returns a text in one line, in which forges find neither a mention nor
// the number of an issue, which may follow a closing word. A digest behind a tag is
// none of these, and stays.
func Subject(s string) string { return unlinked(Line(s), true) }

// unlinked puts all references apart. inWords leaves signs within words.
func unlinked(s string, inWords bool) string {
	for _, one := range references {
		var b strings.Builder
		end := 0
		for _, at := range one.FindAllStringSubmatchIndex(s, -1) {
			sign, next := at[3], at[4]
			if inWords && sign-at[2] == 1 && word.MatchString(s[:at[2]]) && strings.ContainsAny(s[at[2]:sign], "@%~") {
				continue
			}
			b.WriteString(s[end:sign] + apart)
			end = next
		}
		s = b.String() + s[end:]
	}

	return s
}

// Path returns a file name for a trailer: all but letters, digits and the signs of
// usual names become %XX, as in a URL. So it has no space, and forges find nothing in it.
func Path(s string) string {
	var b strings.Builder
	for i := 0; i < len(s); {
		r, width := utf8.DecodeRuneInString(s[i:])
		if r != utf8.RuneError && (unicode.IsLetter(r) || unicode.IsDigit(r) || strings.ContainsRune("./_-+=,()", r)) {
			b.WriteString(s[i : i+width])
		} else {
			for _, c := range []byte(s[i : i+width]) {
				fmt.Fprintf(&b, "%%%02X", c)
			}
		}
		i += width
	}

	return b.String()
}

var (
	// special are the characters that mean something anywhere in a line of
	// Markdown, or in the HTML that it may have.
	special = strings.NewReplacer(
		`\`, `\\`, "`", "\\`", "*", `\*`, "[", `\[`, "]", `\]`, "<", "&lt;", ">", "&gt;", "|", `\|`, "~", `\~`,
		"&", "&amp;", "$", `\$`, "!", `\!`,
	)

	// underscores are emphasis at the edge of a word, and nothing within one.
	underscores = regexp.MustCompile(`_+`)

	// lineStart has the sign that means something at the start of a line: of lists,
	// headings, quotes, rules, and of the commands of GitLab ("/merge").
	lineStart = regexp.MustCompile(`^\s*(?:([-+=#/:])|[0-9]+([.)])(?:\s|$))`)
)

// Markdown returns a text in one line that says nothing to Markdown: it is shown
// as it is, without links, mentions, references, HTML and formatting.
func Markdown(s string) string {
	s = unlinked(strings.TrimSpace(Line(s)), false)
	s = special.Replace(s)
	s = withoutEmphasis(s)

	if at := lineStart.FindStringSubmatchIndex(s); at != nil {
		sign := max(at[2], at[4])
		s = s[:sign] + `\` + s[sign:]
	}

	return s
}

// withoutEmphasis escapes the underscores that do not stand within a word.
func withoutEmphasis(s string) string {
	var b strings.Builder
	end := 0
	for _, at := range underscores.FindAllStringIndex(s, -1) {
		b.WriteString(s[end:at[0]])
		end = at[1]

		before, _ := utf8.DecodeLastRuneInString(s[:at[0]])
		after, _ := utf8.DecodeRuneInString(s[at[1]:])
		run := s[at[0]:at[1]]
		if !inWord(before) || !inWord(after) {
			run = strings.ReplaceAll(run, "_", `\_`)
		}
		b.WriteString(run)
	}

	return b.String() + s[end:]
}

func inWord(r rune) bool { return r != utf8.RuneError && (unicode.IsLetter(r) || unicode.IsDigit(r)) }

// Code returns a text as code within a line of Markdown, where nothing in it
// counts. Backticks become quotes, and comments are put apart as in [Block].
func Code(s string) string {
	s = withoutComments(strings.TrimSpace(strings.ReplaceAll(Line(s), "`", "'")))
	if s == "" {
		return "–"
	}

	return "`" + s + "`"
}

// Cell is [Code] for a cell of a table.
func Cell(s string) string { return strings.ReplaceAll(Code(s), "|", `\|`) }

// longestFence is how many characters the fence of a block may have.
const longestFence = 64

// Block returns a text over several lines as a block of code in a language, such
// as diff. A text that no fence can hold is left out, and what begins a comment is
// put apart: programs look for their own comments in the whole text, also in code.
func Block(language, s string) string {
	s = strings.TrimRight(Text(strings.ReplaceAll(s, "\r\n", "\n")), "\n")
	s = withoutComments(s)

	fence := ""
	for _, sign := range []string{"`", "~"} {
		if n := max(longestRun(s, sign[0])+1, 3); n <= longestFence && (fence == "" || n < len(fence)) {
			fence = strings.Repeat(sign, n)
		}
	}
	if fence == "" {
		return "(not shown: it looks like the fences of Markdown)"
	}

	return fence + language + "\n" + s + "\n" + fence
}

// withoutComments puts what begins a comment apart.
func withoutComments(s string) string { return strings.ReplaceAll(s, "<!--", "<!"+apart+"--") }

// longestRun is the length of the longest run of a character.
func longestRun(s string, c byte) (longest int) {
	run := 0
	for i := range len(s) {
		if run++; s[i] != c {
			run = 0
		}
		longest = max(longest, run)
	}

	return longest
}

// address are the characters of a URL that mean nothing to Markdown.
var address = regexp.MustCompile(`^https?://[A-Za-z0-9.:\[\]-]+(/[A-Za-z0-9._~:/?#@!$&'+,;=%-]*)?$`)

// Link returns a link in Markdown. text is already escaped. An address that is not
// one of the web, or that has unusual characters, is left out.
func Link(text, to string) string {
	at, err := url.Parse(to)
	if err != nil || !address.MatchString(to) || at.Host == "" || at.User != nil || len(to) > 2000 {
		return text
	}

	return "[" + text + "](" + to + ")"
}
