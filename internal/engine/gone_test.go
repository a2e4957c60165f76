package engine

import (
	"testing"
	"time"

	"github.com/liverty-music/image-writeback/internal/image"
	"github.com/liverty-music/image-writeback/internal/policy"
)

// TestATagThatVanishes holds that a tag which is missing from a list counts as removed
// after some cycles and some time, and at once as there when it is back.
func TestATagThatVanishes(t *testing.T) {
	chosen := func(tag string, others ...string) policy.Choice {
		c := policy.Choice{Found: tag != "", Tag: image.Tag{Name: tag}}
		for _, other := range others {
			c.Dropped = append(c.Dropped, policy.Dropped{Tag: image.Tag{Name: other}})
		}
		return c
	}
	now := time.Date(2026, 11, 27, 12, 0, 0, 0, time.UTC)
	s := state{choices: choices{"k": {choice: chosen("v2")}}}
	waits := func(what string, choice policy.Choice, want bool) {
		t.Helper()
		if err := s.missing("k", choice, now); (err != nil) != want {
			t.Errorf("%s: %v", what, err)
		}
	}

	waits("there", chosen("v2", "v1"), false)
	waits("there, and another one wins", chosen("v3", "v2", "v1"), false)
	waits("gone once", chosen("v1"), true)
	waits("back", chosen("v2", "v1"), false)
	for range 10 {
		waits("gone for many cycles", chosen("v1"), true)
	}
	now = now.Add(goneTime)
	waits("and for long", chosen("v1"), false)

	waits("gone", chosen(""), true)
	now = now.Add(goneTime)
	waits("gone for long, twice", chosen(""), true)
	waits("three times", chosen(""), false)

	s.choices["k"] = answer{choice: chosen("")}
	waits("nothing was chosen before", chosen("v1"), false)
}
