package lease

import (
	"fmt"
	"reflect"
	"testing"
	"time"
)

// TestPassedOn holds what is heard of what was passed on: each text once, in
// order, and that some were lost where there were too many.
func TestPassedOn(t *testing.T) {
	now := time.Now()
	var p passed
	var h heard
	add := func(texts ...string) {
		for _, text := range texts {
			p.add(text, now)
		}
	}
	hear := func(what string, want ...string) {
		t.Helper()
		if got := h.read(p.note(now, time.Minute)); !reflect.DeepEqual(got, want) && len(got)+len(want) > 0 {
			t.Errorf("%s: heard %q, want %q", what, got, want)
		}
	}
	add("old")
	hear("what was there before us")
	add("a", "b")
	hear("two", "a", "b")
	hear("nothing more")
	add("c")
	hear("one", "c")
	now = now.Add(2 * time.Minute)
	hear("what has been seen by all")
	if note := p.note(now, time.Minute); note != "" {
		t.Errorf("kept is %q", note)
	}
	add("d")
	hear("one, after those that were dropped", "d")
	want := []string{Lost}
	for i := range mostPassed + 5 {
		add(fmt.Sprint(i))
		if i >= 5 {
			want = append(want, fmt.Sprint(i))
		}
	}
	hear("too many", want...)
	if got := h.read("nonsense"); got != nil {
		t.Errorf("nonsense: %q", got)
	}
}
