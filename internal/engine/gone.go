package engine

import (
	"fmt"
	"slices"
	"time"

	"github.com/liverty-music/image-writeback/internal/plan"
	"github.com/liverty-music/image-writeback/internal/policy"
)

// A tag that was chosen and is not in the list any more counts as removed after
// goneCycles cycles and goneTime, whichever is later: registries lag, and answer with
// parts of a list. Until then nothing is decided, so that no pull request is closed, and
// nothing is set back, because of one answer.
const (
	goneCycles = 3
	goneTime   = 15 * time.Minute
)

// gone is a tag that was chosen and is not in the list.
type gone struct {
	tag    string
	since  time.Time
	cycles int
}

// missing returns why an answer does not count yet; nil if it does. key is that of the
// image and its policy.
func (s *state) missing(key string, choice policy.Choice, now time.Time) error {
	last := s.choices[key]
	tag := last.choice.Tag.Name
	if had := last.err == nil && last.choice.Found; !had || lists(choice, tag) {
		delete(s.gone, key)
		return nil
	}

	g := s.gone[key]
	if g.tag != tag {
		g = gone{tag: tag, since: now}
	}
	g.cycles++
	if g.cycles >= goneCycles && now.Sub(g.since) >= goneTime {
		delete(s.gone, key)
		return nil
	}
	if s.gone == nil {
		s.gone = map[string]gone{}
	}
	s.gone[key] = g

	return &plan.Waiting{For: fmt.Sprintf("tag %s, which was chosen and is missing from the list since %s: it counts "+
		"as removed after %d cycles and %s", tag, g.since.UTC().Format(time.RFC3339), goneCycles, goneTime)}
}

// lists reports whether a tag was in the list that a choice was made from.
func lists(choice policy.Choice, tag string) bool {
	return choice.Found && choice.Tag.Name == tag || len(choice.Dropped) >= mostDropped || // not all are known
		slices.ContainsFunc(choice.Dropped, func(d policy.Dropped) bool { return d.Tag.Name == tag })
}
