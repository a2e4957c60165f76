package lease

import (
	"fmt"
	"reflect"
	"testing"
	"time"
)

// TestBroadcast checks which texts are received after a broadcast: each text once
// and in order, and Lost if there were too many.
func TestBroadcast(t *testing.T) {
	now := time.Now()
	var o outbox
	var i inbox
	add := func(texts ...string) {
		for _, text := range texts {
			o.add(text, now)
		}
	}
	receive := func(what string, want ...string) {
		t.Helper()
		if got := i.read(o.annotation(now, time.Minute)); !reflect.DeepEqual(got, want) && len(got)+len(want) > 0 {
			t.Errorf("%s: received %q, want %q", what, got, want)
		}
	}
	add("old")
	receive("what was there before us")
	add("a", "b")
	receive("two", "a", "b")
	receive("nothing more")
	add("c")
	receive("one", "c")
	now = now.Add(2 * time.Minute)
	receive("what all have read")
	if kept := o.annotation(now, time.Minute); kept != "" {
		t.Errorf("kept is %q", kept)
	}
	add("d")
	receive("one, after those that were dropped", "d")
	want := []string{Lost}
	for n := range maxTexts + 5 {
		add(fmt.Sprint(n))
		if n >= 5 {
			want = append(want, fmt.Sprint(n))
		}
	}
	receive("too many", want...)
	if got := i.read("nonsense"); got != nil {
		t.Errorf("nonsense: %q", got)
	}
}
