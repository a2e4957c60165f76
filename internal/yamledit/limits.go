package yamledit

import (
	"bytes"
	"errors"
	"fmt"

	"sigs.k8s.io/kustomize/kyaml/yaml"
)

// The limits of one file. Somebody else writes it, and a few bytes of YAML can
// mean very much: a map that merges another one eight times, which merges a third
// one eight times. No file that people keep comes near any of these.
const (
	deepestNesting = 1_000
	mostDocuments  = 1_000
	mostDirectives = 100       // %TAG lines, which the parser compares with each other
	mostNodes      = 200_000   // in the file: a parsed one is many times as large
	mostResolved   = 1_000_000 // looked at to resolve, to compare or to look up
	mostMerges     = 100_000   // maps that are merged by <<
	longestKey     = 1_000     // of a KeyPath, in bytes
	mostKeyParts   = 100
	mostRounds     = 32 // of edits that build on each other
)

var (
	errTooDeep   = fmt.Errorf("it nests more than %d levels deep", deepestNesting)
	errTooMany   = fmt.Errorf("it has more than %d keys and values", mostNodes)
	errResolved  = fmt.Errorf("its aliases and merges stand for more than %d values", mostResolved)
	errMerges    = fmt.Errorf("it merges more than %d maps by <<", mostMerges)
	errDocuments = fmt.Errorf("it has more than %d documents", mostDocuments)
	errLongKey   = fmt.Errorf("the key is longer than %d characters, or has more than %d parts",
		longestKey, mostKeyParts)
	errRounds = fmt.Errorf("its keys depend on each other in more than %d steps; add the maps around them by hand",
		mostRounds)
	errItself = errors.New("a value contains itself by an alias")
)

// checkDirectives refuses a file whose tag directives alone would keep the parser
// busy.
func checkDirectives(text []byte) error {
	count := bytes.Count(text, []byte("\n%TAG")) + bytes.Count(text, []byte("\r%TAG"))
	if count > mostDirectives {
		return fmt.Errorf("it has more than %d %%TAG directives", mostDirectives)
	}
	return nil
}

// checkSize refuses a document that nests too deep, since what walks it calls
// itself for each level, or that has more than some nodes. It returns how many more
// there may be.
func checkSize(n *yaml.Node, levels, nodes int) (rest int, err error) {
	switch {
	case levels == 0:
		return 0, errTooDeep
	case nodes == 0:
		return 0, errTooMany
	}

	rest = nodes - 1
	for _, child := range n.Content {
		if rest, err = checkSize(child, levels-1, rest); err != nil {
			return 0, err
		}
	}
	return rest, nil
}

// budget counts the steps that are taken on one file.
type budget struct{ nodes, merges int }

// node takes a step.
func (b *budget) node(steps int) error {
	if b.nodes += steps; b.nodes > mostResolved {
		return errResolved
	}
	return nil
}

// merge takes the step of a map that is merged.
func (b *budget) merge() error {
	if b.merges++; b.merges > mostMerges {
		return errMerges
	}
	return nil
}
