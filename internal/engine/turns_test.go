package engine

import (
	"runtime"
	"testing"
)

// turnsTest asks in several turns.
type turnsTest struct {
	*testing.T
	all   *turns
	begun chan asker

	taken, given int // turns
}

func (t *turnsTest) give(who asker) {
	t.given++
	t.all.give(who)
}

func (t *turnsTest) ask(who asker, questions int) {
	before := t.asked(who)
	for range questions {
		go func() {
			t.all.take(who)
			t.begun <- who
		}()
	}
	for t.asked(who) < before+questions {
		runtime.Gosched()
	}
}

// asked returns how many questions somebody has that wait for their turn, or have it.
func (t *turnsTest) asked(who asker) int {
	t.all.mu.Lock()
	defer t.all.mu.Unlock()
	p := t.all.projects[who.project]
	if p == nil || p.applications[who.application] == nil {
		return 0
	}

	return len(p.applications[who.application].waiting) + p.applications[who.application].running
}

// next expects that so many questions of each begin next.
func (t *turnsTest) next(want map[asker]int) {
	t.Helper()
	n := 0
	for _, each := range want {
		n += each
	}
	got := map[asker]int{}
	for range n {
		got[<-t.begun]++
	}
	for who, each := range want {
		if got[who] != each {
			t.Errorf("%v: %d, want %d", who, got[who], each)
		}
	}
	t.all.mu.Lock()
	defer t.all.mu.Unlock()
	if t.taken += n; t.taken-t.given != t.all.running {
		t.Errorf("%d are under way, want %d", t.all.running, t.taken-t.given)
	}
}

// TestTurns holds that Applications of one project take turns at a registry, and that
// none holds more than its part of the slots.
func TestTurns(t *testing.T) {
	test := &turnsTest{T: t, all: newTurns(20, 4), begun: make(chan asker, 200)}
	slow, victim := asker{"p", "slow"}, asker{"p", "victim"}

	test.ask(slow, 100)
	test.next(map[asker]int{slow: 4})
	test.ask(victim, 1)
	test.next(map[asker]int{victim: 1})

	a, b, c := asker{"p", "a"}, asker{"p", "b"}, asker{"p", "c"}
	test.ask(a, 5)
	test.ask(b, 4)
	test.ask(c, 4)
	test.next(map[asker]int{a: 4, b: 4, c: 3})
	test.all.open(4)
	test.next(map[asker]int{slow: 1, a: 1, c: 1}) // each may hold five of twenty now
	test.give(victim)
	test.give(slow)
	test.next(map[asker]int{slow: 1})
}

// TestTurnsOfProjects holds that the Applications of one project leave room for those of
// another, however many they are, unless nobody else asks.
func TestTurnsOfProjects(t *testing.T) {
	many := func(project string) asker { return asker{project, "many"} }
	test := &turnsTest{T: t, all: newTurns(16, 0), begun: make(chan asker, 200)}
	test.all.share()
	for _, name := range []string{"a", "b", "c", "d"} {
		test.ask(asker{"slow", name}, 10)
	}
	test.next(map[asker]int{{"slow", "a"}: 4, {"slow", "b"}: 4})
	test.ask(many("victim"), 2)
	test.next(map[asker]int{many("victim"): 2})
	test.give(many("victim"))
	test.give(asker{"slow", "a"})
	test.next(map[asker]int{{"slow", "c"}: 1})

	alone := &turnsTest{T: t, all: newTurns(16, 0), begun: make(chan asker, 200)}
	for _, name := range []string{"a", "b", "c", "d"} {
		alone.ask(asker{"p", name}, 10)
	}
	alone.next(map[asker]int{{"p", "a"}: 4, {"p", "b"}: 4, {"p", "c"}: 4, {"p", "d"}: 4})
}

// TestTurnsOfMany holds that the one that has waited for longest comes next, whoever
// asks for how many.
func TestTurnsOfMany(t *testing.T) {
	test := &turnsTest{T: t, all: newTurns(1, 0), begun: make(chan asker, 10)}
	last := asker{"first", "first"}
	test.ask(last, 1)
	<-test.begun
	for _, who := range []asker{{"p", "a"}, {"p", "a"}, {"p", "a"}, {"p", "b"}, {"q", "c"}} {
		test.ask(who, 1)
	}

	got := ""
	for range 5 {
		test.give(last)
		last = <-test.begun
		got += last.application
	}
	if got != "acbaa" {
		t.Error(got)
	}
	if test.give(last); !test.all.idle() {
		t.Error("not idle")
	}
}
