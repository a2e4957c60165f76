package engine

import (
	"runtime"
	"testing"
)

// TestTurns holds that Applications take turns at a registry, and that none holds more
// than its part of the slots.
func TestTurns(t *testing.T) {
	all := newTurns(20, 4)
	begun := make(chan string, 200)
	ask := func(application string, questions int) {
		for range questions {
			go func() {
				all.take(application)
				begun <- application
			}()
		}
	}
	count := func(n int) map[string]int {
		t.Helper()
		counts := map[string]int{}
		for range n {
			counts[<-begun]++
		}

		return counts
	}

	ask("slow", 100)
	if got := count(5); got["slow"] != 5 {
		t.Fatal(got)
	}
	ask("victim", 1)
	if got := count(1); got["victim"] != 1 {
		t.Errorf("%v; the slow one holds all slots", got)
	}

	ask("a", 5)
	ask("b", 5)
	count(10)
	for _, application := range []string{"c", "d"} {
		ask(application, 2)
		for waiting := 0; waiting < 2; runtime.Gosched() {
			all.mu.Lock()
			if o := all.owners[application]; o != nil {
				waiting = len(o.waiting)
			}
			all.mu.Unlock()
		}
	}
	all.open(4)
	if got := count(4); got["c"] != 2 || got["d"] != 2 {
		t.Errorf("%v; the slow one holds more than a quarter", got)
	}
	all.give("slow")
	if got := count(1); got["slow"] != 1 {
		t.Error(got)
	}
}

// TestTurnsOfMany holds that the one that has waited for longest comes next, whoever
// asks for how many.
func TestTurnsOfMany(t *testing.T) {
	all := newTurns(1, 0)
	all.take("first")
	begun := make(chan string, 10)
	for i, application := range []string{"a", "a", "a", "b", "c"} {
		go func() {
			all.take(application)
			begun <- application
		}()
		for waiting := 0; waiting <= i; runtime.Gosched() {
			all.mu.Lock()
			waiting = 0
			for _, o := range all.owners {
				waiting += len(o.waiting)
			}
			all.mu.Unlock()
		}
	}

	got, last := "", "first"
	for range 5 {
		all.give(last)
		last = <-begun
		got += last
	}
	if got != "abcaa" {
		t.Error(got)
	}
	if all.give(last); !all.idle() {
		t.Error("not idle")
	}
}
