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
}

func (t *turnsTest) ask(who asker, questions int) {
	waits := t.waiting()
	for range questions {
		go func() {
			t.all.take(who)
			t.begun <- who
		}()
	}
	for t.waiting()+len(t.begun) < waits+questions {
		runtime.Gosched()
	}
}

// waiting returns how many wait for their turn.
func (t *turnsTest) waiting() int {
	t.all.mu.Lock()
	defer t.all.mu.Unlock()
	n := 0
	for _, p := range t.all.projects {
		for _, a := range p.applications {
			n += len(a.waiting)
		}
	}

	return n
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
	if len(t.begun) > 0 {
		t.Errorf("%d more", len(t.begun))
	}
}

// TestTurns holds that Applications of one project take turns at a registry, and that
// none holds more than its part of the slots.
func TestTurns(t *testing.T) {
	test := &turnsTest{t, newTurns(20, 4), make(chan asker, 200)}
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
	test.all.give(victim)
	test.all.give(slow)
	test.next(map[asker]int{slow: 1})
}

// TestTurnsOfProjects holds that the Applications of one project leave room for those of
// another, however many they are, unless nobody else asks.
func TestTurnsOfProjects(t *testing.T) {
	many := func(project string) asker { return asker{project, "many"} }
	test := &turnsTest{t, newTurns(16, 0), make(chan asker, 200)}
	test.all.share()
	for _, name := range []string{"a", "b", "c", "d"} {
		test.ask(asker{"slow", name}, 10)
	}
	test.next(map[asker]int{{"slow", "a"}: 4, {"slow", "b"}: 4})
	test.ask(many("victim"), 2)
	test.next(map[asker]int{many("victim"): 2})
	test.all.give(many("victim"))
	test.all.give(asker{"slow", "a"})
	test.next(map[asker]int{{"slow", "c"}: 1})

	alone := &turnsTest{t, newTurns(16, 0), make(chan asker, 200)}
	for _, name := range []string{"a", "b", "c", "d"} {
		alone.ask(asker{"p", name}, 10)
	}
	alone.next(map[asker]int{{"p", "a"}: 4, {"p", "b"}: 4, {"p", "c"}: 4, {"p", "d"}: 4})
}

// TestTurnsOfMany holds that the one that has waited for longest comes next, whoever
// asks for how many.
func TestTurnsOfMany(t *testing.T) {
	test := &turnsTest{t, newTurns(1, 0), make(chan asker, 10)}
	last := asker{"first", "first"}
	test.ask(last, 1)
	<-test.begun
	for _, who := range []asker{{"p", "a"}, {"p", "a"}, {"p", "a"}, {"p", "b"}, {"q", "c"}} {
		test.ask(who, 1)
	}

	got := ""
	for range 5 {
		test.all.give(last)
		last = <-test.begun
		got += last.application
	}
	if got != "acbaa" {
		t.Error(got)
	}
	if test.all.give(last); !test.all.idle() {
		t.Error("not idle")
	}
}
