// Package policy decides which tag of an image repository wins, and says why. Use
// [Policy.Standing] and [Policy.Choose] to pick a tag, and [Policy.Version] and [Policy.Satisfied] to
// compare it with what is in place. The package takes values and returns values:
// it knows no registry, no clock and no I/O, so that every decision can be
// repeated from one row of a table.
//
// Each strategy has a file of its own and a line in the table of strategies. The
// rules apply in the order of Argo CD Image Updater: allow-tags first, then
// ignore-tags, then the strategy.
package policy

import (
	"errors"
	"fmt"
	"path/filepath"
	"regexp"
	"regexp/syntax"
	"slices"
	"strings"

	"github.com/liverty-music/image-writeback/internal/image"
)

// Strategy names how a tag is picked among those that the filters allow.
type Strategy string

// The strategies, by the names that annotations use.
const (
	SemVer       Strategy = "semver"
	NewestBuild  Strategy = "newest-build"
	Alphabetical Strategy = "alphabetical"
	Digest       Strategy = "digest"
)

// strategies lists every strategy with its implementation. choose gets at least
// one tag. Where it finds none, its Reason is a phrase about the tags it got,
// such as "none within ^1.2".
var strategies = map[Strategy]struct {
	choose   func(p Policy, standing []image.Tag) Choice
	validate func(p Policy) error
	metadata Metadata
}{
	SemVer:       {chooseSemVer, validateSemVer, Metadata{}},
	NewestBuild:  {chooseNewestBuild, valid, Metadata{Created: true}},
	Alphabetical: {chooseAlphabetical, valid, Metadata{}},
	Digest:       {chooseDigest, validateDigest, Metadata{Digest: true}},
}

// oldNames are the names that earlier versions of Argo CD Image Updater used.
var oldNames = map[string]Strategy{"latest": NewestBuild, "name": Alphabetical}

// Metadata is what a strategy must know of a tag beyond its name.
type Metadata struct {
	Digest  bool
	Created bool // creation or upload time
}

// Policy is what the annotations of an image ask for. The zero value is not
// valid: set at least Strategy.
type Policy struct {
	Strategy Strategy
	// Constraint is a range of versions for SemVer and the tag to follow for
	// Digest; the other strategies do not read it.
	Constraint string
	Allow      *regexp.Regexp // nil: every tag
	Ignore     []string       // globs of path/filepath.Match
}

// Choice is the outcome of a policy over the tags of a repository.
type Choice struct {
	// Found reports whether a tag won. If none did, Reason says why.
	Found bool
	Tag   image.Tag
	// Reason is a phrase that follows "because" for a person.
	Reason string
	// Dropped holds every other tag, in the order of the rules that dropped them.
	Dropped []Dropped
}

// Dropped is one tag that did not win, with the rule that excluded it.
type Dropped struct {
	Tag  image.Tag
	Rule string // "allow-tags", "ignore-tags", "platforms", or the strategy
	Why  string
}

// ErrStrategy is wrapped by the errors about unknown names of strategies.
var ErrStrategy = errors.New("unknown update strategy")

// ParseStrategy reads the value of an update-strategy annotation, in upper or
// lower case. It accepts the old names. The error wraps ErrStrategy.
func ParseStrategy(s string) (Strategy, error) {
	name := strings.ToLower(strings.TrimSpace(s))
	if renamed, ok := oldNames[name]; ok {
		return renamed, nil
	}
	if _, ok := strategies[Strategy(name)]; ok {
		return Strategy(name), nil
	}
	return "", fmt.Errorf("%w %q", ErrStrategy, s)
}

// StrategyNames returns the current names, in alphabetical order.
func StrategyNames() []string {
	names := make([]string, 0, len(strategies))
	for name := range strategies {
		names = append(names, string(name))
	}
	slices.Sort(names)

	return names
}

// ParseAllow reads the value of an allow-tags annotation: "any", or "regexp:"
// and a Go regular expression, which is not anchored. It returns nil if every tag
// is allowed.
func ParseAllow(s string) (*regexp.Regexp, error) {
	s = strings.TrimSpace(s)
	if s == "any" || s == "" {
		return nil, nil
	}
	expr, ok := strings.CutPrefix(s, "regexp:")
	if !ok {
		return nil, fmt.Errorf(`%q is neither "any" nor "regexp:EXPRESSION" (a Go regular expression)`, s)
	}
	if len(expr) > maxExpression {
		return nil, fmt.Errorf("the expression is longer than %d characters; write a shorter one", maxExpression)
	}
	parsed, err := syntax.Parse(expr, syntax.Perl)
	if err != nil {
		return nil, fmt.Errorf("%q is not a valid Go regular expression: %w", expr, err)
	}
	program, err := syntax.Compile(parsed.Simplify())
	if err != nil || len(program.Inst) > maxSteps {
		return nil, fmt.Errorf("%q takes more than %d steps for a character; use smaller repetitions", expr, maxSteps)
	}
	return regexp.Compile(expr)
}

// The time and memory of an expression grow with its steps, of which a repetition such
// as {1000} has many. A full commit hash has 40.
const (
	maxExpression = 1024
	maxSteps      = 1000
	maxIgnore     = 4096 // of all globs together
)

// ParseIgnore reads the value of an ignore-tags annotation: globs separated by commas.
func ParseIgnore(s string) ([]string, error) {
	if len(s) > maxIgnore {
		return nil, fmt.Errorf("the globs are longer than %d characters together; use fewer", maxIgnore)
	}

	var globs []string
	for glob := range strings.SplitSeq(s, ",") {
		if glob = strings.TrimSpace(glob); glob == "" {
			continue
		}
		if _, err := filepath.Match(glob, ""); err != nil {
			return nil, fmt.Errorf("%q is not a valid glob: %w", glob, err)
		}
		globs = append(globs, glob)
	}
	return globs, nil
}

// Validate reports what makes the policy unusable: a constraint that its
// strategy cannot read, or a missing one.
func (p Policy) Validate() error {
	s, ok := strategies[p.Strategy]
	if !ok {
		return fmt.Errorf("%w %q", ErrStrategy, p.Strategy)
	}
	return s.validate(p)
}

func valid(Policy) error { return nil }

// Metadata returns what Choose needs to know about the tags that Standing returns.
func (p Policy) Metadata() Metadata { return strategies[p.Strategy].metadata }

// Standing applies the rules that look at names alone. Only the tags that it
// returns as standing need to be looked up in a registry.
func (p Policy) Standing(tags []image.Tag) (standing []image.Tag, dropped []Dropped) {
	filters := p.filters()

tags:
	for _, tag := range tags {
		for _, f := range filters {
			if f.drops(tag.Name) {
				dropped = append(dropped, Dropped{tag, f.rule, f.why})
				continue tags
			}
		}
		standing = append(standing, tag)
	}

	return standing, dropped
}

// filter is a rule that looks at names alone, with one text for all tags that it drops:
// there may be hundreds of thousands.
type filter struct {
	rule, why string
	drops     func(tag string) bool
}

func (p Policy) filters() []filter {
	all := []filter{{"name", "not a valid name of a tag in a registry", func(tag string) bool {
		return !(image.Version{Tag: tag}).Valid() || p.Metadata().Created && !image.ValidTag(tag)
	}}}
	if p.followsDigest() {
		all = append(all, filter{string(p.Strategy), "not the tag to follow, " + p.Constraint,
			func(tag string) bool { return tag != p.Constraint }})
	}
	if p.Allow != nil {
		all = append(all, filter{"allow-tags", "does not match " + p.Allow.String(),
			func(tag string) bool { return !p.Allow.MatchString(tag) }})
	}
	for _, glob := range p.Ignore {
		all = append(all, filter{"ignore-tags", "matches " + glob, func(tag string) bool {
			ok, _ := filepath.Match(glob, tag)
			return ok
		}})
	}

	return all
}

// Choose picks the winner among the tags that [Policy.Standing] divided. The policy must
// be valid (see [Policy.Validate]), and what [Policy.Metadata] names must be known about
// every tag that stands.
func (p Policy) Choose(standing []image.Tag, dropped []Dropped) Choice {
	if len(standing)+len(dropped) == 0 {
		return Choice{Reason: "the repository has no tags"}
	}
	if len(standing) == 0 {
		return Choice{Reason: p.noneStanding(dropped), Dropped: dropped}
	}

	choice := strategies[p.Strategy].choose(p, standing)
	if !choice.Found {
		choice.Reason = noneChosen(dropped, len(standing), choice.Reason)
	}
	choice.Dropped = append(dropped, choice.Dropped...)

	return choice
}

// noneStanding says which rules dropped all tags.
func (p Policy) noneStanding(dropped []Dropped) string {
	total := count(len(dropped), "tag")
	rules := byRule(dropped)
	if len(rules) > 1 {
		return total + ": " + shares(rules)
	}

	switch rule := rules[0].name; rule {
	case "allow-tags":
		return total + ", none matches allow-tags"
	case "ignore-tags":
		return total + ", all match ignore-tags"
	case string(Digest):
		return total + ", none is " + p.Constraint
	default:
		return fmt.Sprintf("%s, all dropped by the rule %s", total, rule)
	}
}

// noneChosen says why none of the standing tags was chosen, and how many the
// rules about names had dropped before.
func noneChosen(dropped []Dropped, standing int, why string) string {
	total := count(len(dropped)+standing, "tag")
	if len(dropped) == 0 {
		return total + ", " + why
	}

	return fmt.Sprintf("%s: %s; of the other %d, %s", total, shares(byRule(dropped)), standing, why)
}

// ruleCount is how many tags a rule dropped.
type ruleCount struct {
	name string
	tags int
}

// byRule counts dropped tags, the most effective rule first.
func byRule(dropped []Dropped) []ruleCount {
	var counts []ruleCount
	for _, d := range dropped {
		i := slices.IndexFunc(counts, func(c ruleCount) bool { return c.name == d.Rule })
		if i < 0 {
			i = len(counts)
			counts = append(counts, ruleCount{name: d.Rule})
		}
		counts[i].tags++
	}
	slices.SortStableFunc(counts, func(a, b ruleCount) int { return b.tags - a.tags })

	return counts
}

// shares is such as "2 dropped by ignore-tags, 1 by allow-tags".
func shares(rules []ruleCount) string {
	parts := make([]string, len(rules))
	for i, rule := range rules {
		parts[i] = fmt.Sprintf("%d by %s", rule.tags, rule.name)
		if i == 0 {
			parts[i] = fmt.Sprintf("%d dropped by %s", rule.tags, rule.name)
		}
	}

	return strings.Join(parts, ", ")
}

// best returns the greatest tag by less, and the others as dropped by the
// strategy: each loses to the winner in the way that loses says, such as "lower
// than".
func best(s Strategy, tags []image.Tag, less func(a, b image.Tag) bool, loses string) Choice {
	winner := 0
	for i := range tags {
		if less(tags[winner], tags[i]) {
			winner = i
		}
	}

	choice := Choice{Found: true, Tag: tags[winner]}
	why := loses + " " + choice.Tag.Name // once: there may be thousands of tags
	for i, tag := range tags {
		if i != winner {
			choice.Dropped = append(choice.Dropped, Dropped{tag, string(s), why})
		}
	}

	return choice
}

func count(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}
