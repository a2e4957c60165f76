// Package policy decides which tag of an image repository wins, and says why.
// It takes values and returns values: no registry, no clock, no I/O, so that
// every decision can be made again from one table row. Each strategy has a
// file of its own.
//
// The order of the rules is that of Argo CD Image Updater: allow-tags first,
// then ignore-tags, then the strategy.
package policy

import (
	"errors"
	"fmt"
	"path/filepath"
	"regexp"
	"sort"
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

// strategies lists every strategy with what implements it.
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

// Policy is what an annotated image asks for. The zero value is no policy: set
// at least Strategy.
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
	// Found tells whether a tag won. Where none did, Reason says why.
	Found bool
	Tag   image.Tag
	// Reason is a phrase that follows "because" for a person.
	Reason string
	// Dropped holds every other tag, in the order of the rules that dropped them.
	Dropped []Dropped
}

// Dropped is one tag that did not win.
type Dropped struct {
	Tag  image.Tag
	Rule string // "allow-tags", "ignore-tags", "platforms", or the strategy
	Why  string
}

// ErrStrategy is wrapped where a strategy's name is not known.
var ErrStrategy = errors.New("unknown update strategy")

// ParseStrategy reads the value of an update-strategy annotation, in any case
// and with the old names. The error wraps ErrStrategy.
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

// StrategyNames lists the current names, for messages and completion.
func StrategyNames() []string {
	names := make([]string, 0, len(strategies))
	for name := range strategies {
		names = append(names, string(name))
	}
	sort.Strings(names)
	return names
}

// ParseAllow reads the value of an allow-tags annotation: "any", or "regexp:"
// and a Go regular expression, which is not anchored. Nil allows every tag.
func ParseAllow(s string) (*regexp.Regexp, error) {
	s = strings.TrimSpace(s)
	if s == "any" || s == "" {
		return nil, nil
	}
	expr, ok := strings.CutPrefix(s, "regexp:")
	if !ok {
		return nil, fmt.Errorf(`%q is neither "any" nor "regexp:<Go regular expression>"`, s)
	}
	re, err := regexp.Compile(expr)
	if err != nil {
		return nil, fmt.Errorf("%q is no regular expression that Go understands: %w", expr, err)
	}
	return re, nil
}

// ParseIgnore reads the value of an ignore-tags annotation: globs separated by commas.
func ParseIgnore(s string) ([]string, error) {
	var globs []string
	for glob := range strings.SplitSeq(s, ",") {
		if glob = strings.TrimSpace(glob); glob == "" {
			continue
		}
		if _, err := filepath.Match(glob, ""); err != nil {
			return nil, fmt.Errorf("%q is no glob: %w", glob, err)
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

// Metadata tells what Choose needs of the tags that Standing leaves.
func (p Policy) Metadata() Metadata { return strategies[p.Strategy].metadata }

// Standing applies the rules that look at names alone. What is left is all
// that a registry need be asked about.
func (p Policy) Standing(tags []image.Tag) (standing []image.Tag, dropped []Dropped) {
	for _, tag := range tags {
		if rule, why := p.drop(tag.Name); rule != "" {
			dropped = append(dropped, Dropped{tag, rule, why})
			continue
		}
		standing = append(standing, tag)
	}
	return standing, dropped
}

func (p Policy) drop(tag string) (rule, why string) {
	if p.Metadata().Created && !image.ValidTag(tag) {
		return "name", "has characters that registries serve no tag under"
	}
	if p.followsDigest() && tag != p.Constraint {
		return string(p.Strategy), "not the tag to follow, " + p.Constraint
	}
	if p.Allow != nil && !p.Allow.MatchString(tag) {
		return "allow-tags", "does not match " + p.Allow.String()
	}
	for _, glob := range p.Ignore {
		if ok, _ := filepath.Match(glob, tag); ok {
			return "ignore-tags", "matches " + glob
		}
	}
	return "", ""
}

// Choose picks the winner among tags. The policy must be valid (Validate);
// what Metadata names must be known of every tag that Standing leaves.
func (p Policy) Choose(tags []image.Tag) Choice {
	standing, dropped := p.Standing(tags)
	if len(standing) == 0 {
		return Choice{Reason: nothingLeft(len(tags), dropped), Dropped: dropped}
	}
	choice := strategies[p.Strategy].choose(p, standing)
	choice.Dropped = append(dropped, choice.Dropped...)
	if !choice.Found && choice.Reason == "" {
		choice.Reason = nothingLeft(len(tags), choice.Dropped)
	}
	return choice
}

// nothingLeft says which rules emptied the list, most effective first.
func nothingLeft(total int, dropped []Dropped) string {
	if total == 0 {
		return "the repository has no tags"
	}
	counts := map[string]int{}
	var rules []string
	for _, d := range dropped {
		if counts[d.Rule] == 0 {
			rules = append(rules, d.Rule)
		}
		counts[d.Rule]++
	}
	sort.SliceStable(rules, func(i, j int) bool { return counts[rules[i]] > counts[rules[j]] })
	parts := make([]string, len(rules))
	for i, rule := range rules {
		parts[i] = fmt.Sprintf("%s dropped %d", rule, counts[rule])
	}
	return fmt.Sprintf("none of %s is left: %s", count(total, "tag"), strings.Join(parts, ", "))
}

// best returns the greatest tag by less, and the rest as dropped by the
// strategy for the reason that why gives once the winner is known.
func best(s Strategy, tags []image.Tag, less func(a, b image.Tag) bool, why func(winner image.Tag) string) Choice {
	at := 0
	for i := range tags {
		if less(tags[at], tags[i]) {
			at = i
		}
	}
	choice := Choice{Found: true, Tag: tags[at]}
	text := why(tags[at])
	for i, tag := range tags {
		if i != at {
			choice.Dropped = append(choice.Dropped, Dropped{tag, string(s), text})
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
