package permission

import (
	"net/url"
	"regexp"
	"strings"
	"sync"
	"time"

	"github.com/dlclark/regexp2"

	"github.com/liverty-music/image-writeback/internal/spec"
)

// The limits of what an administrator of a project may write, and of what is compared
// with it. What is beyond them permits nothing, and denies what it may mean to deny.
const (
	longestText    = 2048
	longestPattern = 1024
	mostBraces     = 100
	// expressions is the length of all patterns of one list that are more than text
	// and one wildcard: the time for one answer is in proportion to it.
	expressions = 16 << 10
	// keptPatterns is the length of all patterns that are kept compiled; beyond that,
	// they are dropped.
	keptPatterns = 256 << 10
	// mostAnswers is how many answers are kept; beyond that, all are dropped.
	mostAnswers = 100_000
	// regexTime is how long one regular expression may take. After the first that
	// takes longer, the others of its project are not asked.
	regexTime = 50 * time.Millisecond
)

// Projects answers what AppProjects permit, by the rules of Argo CD itself. The zero
// value is ready to use. It keeps its answers, so a project that thousands of
// Applications share is asked once for each repository; the lists of a project must
// not be changed. It is safe for concurrent use.
type Projects struct {
	mu      sync.Mutex
	answers map[question]bool
	globs   map[globKey]*glob // nil: the pattern cannot be read
	kept    int               // the length of their patterns
	slow    map[*string]bool  // projects with a regular expression that takes too long
}

// question is one repository, or one namespace, and a list of a project: that it
// points to the list keeps the list's memory from being used for another one.
type question struct {
	list   *string // the first entry
	length int
	text   string
}

type globKey struct {
	pattern   string
	separator rune
}

// PermitsRepository reports whether a project permits a repository as a source of
// its Applications. No project permits nothing.
func (p *Projects) PermitsRepository(project *spec.Project, repository string) bool {
	if project == nil {
		return false
	}

	return p.answer(project.SourceRepos, repository, p.repository)
}

// PermitsNamespace reports whether Applications in a namespace may belong to a
// project; argoCD is the namespace of Argo CD. No project permits nothing.
func (p *Projects) PermitsNamespace(project *spec.Project, namespace, argoCD string) bool {
	if project == nil || namespace == "" || namespace == argoCD {
		return project != nil
	}

	return p.answer(project.SourceNamespaces, namespace, p.namespace)
}

func (p *Projects) answer(list []string, text string, decide func(list []string, text string) bool) bool {
	if len(list) == 0 || len(text) > longestText {
		return false
	}
	q := question{&list[0], len(list), text}

	p.mu.Lock()
	defer p.mu.Unlock()

	known, ok := p.answers[q]
	if !ok {
		if p.answers == nil || len(p.answers) >= mostAnswers {
			p.answers, p.slow = map[question]bool{}, map[*string]bool{}
		}
		known = decide(list, text)
		p.answers[q] = known
	}

	return known
}

// repository applies a project's sourceRepos. The entries are asked in order. An entry
// that begins with a ! and matches denies at once, whatever follows; if it does not
// match, it permits, as any other entry that matches does.
func (p *Projects) repository(list []string, text string) bool {
	text = normalized(text)
	left, permitted := expressions, false

	for _, entry := range list {
		pattern, negated := sourcePattern(entry)
		if pattern == "*" && !negated {
			permitted = true
			continue
		}

		g, ok := p.compile(globKey{pattern, '/'}, &left)
		matches := g != nil && g.match(text)
		switch {
		case negated && (matches || !ok):
			return false
		case negated || matches:
			permitted = true
		}
	}

	return permitted
}

// sourcePattern returns the pattern of an entry of sourceRepos, and whether it is
// negated.
func sourcePattern(entry string) (pattern string, negated bool) {
	if after, ok := strings.CutPrefix(entry, "!"); ok {
		return normalized(after), true
	}

	return strings.CutPrefix(normalized(entry), "!")
}

// namespace applies a project's sourceNamespaces. An entry between slashes is a
// regular expression, and a glob as any other one.
func (p *Projects) namespace(list []string, text string) bool {
	left := expressions

	for _, entry := range list {
		if len(entry) >= 2 && strings.HasPrefix(entry, "/") && strings.HasSuffix(entry, "/") &&
			p.regex(&list[0], entry[1:len(entry)-1], text) {
			return true
		}
		if g, _ := p.compile(globKey{entry, noSeparator}, &left); g != nil && g.match(text) {
			return true
		}
	}

	return false
}

// compile returns a glob, or nil if Argo CD cannot read it either, so that it matches
// nothing. ok is false if the pattern is beyond the limits, so that nobody knows what
// it matches. left is what is left of expressions.
func (p *Projects) compile(key globKey, left *int) (g *glob, ok bool) {
	if len(key.pattern) > longestPattern || strings.Count(key.pattern, "{") > mostBraces {
		return nil, false
	}

	g, known := p.globs[key]
	if !known {
		g, _ = compileGlob(key.pattern, key.separator)
		if p.kept += len(key.pattern); p.globs == nil || p.kept > keptPatterns {
			p.globs, p.kept = map[globKey]*glob{}, len(key.pattern)
		}
		p.globs[key] = g
	}

	if g != nil && g.expression != nil {
		if *left -= len(key.pattern); *left < 0 {
			return nil, false
		}
	}

	return g, true
}

// regex reports whether a regular expression of a list matches. Argo CD's are those of
// .NET, in which an expression can take exponential time.
func (p *Projects) regex(list *string, expression, text string) bool {
	if len(expression) > longestPattern || p.slow[list] {
		return false
	}

	compiled, err := regexp2.Compile(expression, regexp2.None)
	if err != nil {
		return false
	}

	compiled.MatchTimeout = regexTime
	matches, err := compiled.MatchString(text)
	if err != nil { // it took too long
		p.slow[list] = true
	}

	return matches && err == nil
}

// sshAddress is what Argo CD takes for the short form of an address of SSH.
var sshAddress = regexp.MustCompile(`^[^/:]*@[^@]+$`)

// normalized returns the form of a repository's URL in which Argo CD compares it: in
// lower case, without .git and without ssh://, and git@host:path as git@host/path. It
// is empty for what is not a URL. Patterns take this form too, which escapes what may
// not be in a URL, such as braces.
func normalized(repository string) string {
	text := strings.ToLower(strings.TrimSpace(repository))
	if sshAddress.MatchString(text) {
		text = "ssh://" + strings.Replace(text, ":", "/", 1)
	}

	u, err := url.Parse(strings.TrimSuffix(text, ".git"))
	if err != nil {
		return ""
	}

	return strings.TrimPrefix(u.String(), "ssh://")
}
