package engine

import (
	"slices"
	"strings"
	"testing"
)

// errandTest begins the errand "x".
type errandTest struct {
	*testing.T
	all     *errands[string, int]
	answers chan int // what the errand under way answers; 0: it was too slow
	resumed []string
}

func newErrandTest(t *testing.T) *errandTest {
	t.Helper()
	return &errandTest{T: t, all: newErrands[string, int](), answers: make(chan int)}
}

func (e *errandTest) begin(again bool) (one *errand[int], begun bool, ended chan struct{}) {
	ended = make(chan struct{})
	one, begun = e.all.begin("x", errandOptions[int]{
		do: func() (int, error) {
			if n := <-e.answers; n == panicking {
				panic("a mistake")
			} else if n > 0 {
				return n, nil
			}

			return 0, &tooSlow{"it", Deadline{1, "wait"}}
		},
		fits:   func(known int) bool { return known < 10 },
		again:  again,
		resume: func() { e.resumed = append(e.resumed, "x") },
		ended:  func() { close(ended) },
	})

	return one, begun, ended
}

// take expects an answer; 0: an error, and -1: none yet.
func (e *errandTest) take(one *errand[int], want int) {
	e.Helper()
	answer, ok, err := e.all.take("x", one)
	if !ok {
		answer = -1
	}
	if answer != want || (err != nil) != (want == 0) {
		e.Errorf("%d, %v; want %d", answer, err, want)
	}
}

// panicking is the answer of an errand that panics.
const panicking = 1000

// TestAPanicIsOneErrand holds that a panic is the error of one errand, which is set
// aside, and that it is told once.
func TestAPanicIsOneErrand(t *testing.T) {
	e := newErrandTest(t)
	var told []string
	e.all.panicked = func(err error) { told = append(told, err.Error()) }

	one, _, ended := e.begin(false)
	e.answers <- panicking
	<-ended
	e.take(one, 0)
	again, begun, _ := e.begin(false)
	if begun || again.err == nil || !strings.Contains(again.err.Error(), "it is set aside until") || len(told) != 1 ||
		!strings.Contains(told[0], "a mistake in this program: a panic with a string at engine/errands_test.go:") {
		t.Errorf("begun %t, %v; told %q", begun, again.err, told)
	}
}

// TestALateAnswerIsToldOnce holds that an errand that its cycle does not wait for goes
// on, and that the next cycle gets its answer.
func TestALateAnswerIsToldOnce(t *testing.T) {
	e := newErrandTest(t)
	one, _, ended := e.begin(false)
	e.take(one, -1)
	if _, begun, _ := e.begin(false); begun {
		t.Error("begun twice")
	}
	e.answers <- 7
	<-ended
	one, begun, _ := e.begin(false)
	if begun || !slices.Equal(e.resumed, []string{"x"}) {
		t.Errorf("begun again %v, resumed %v", begun, e.resumed)
	}
	e.take(one, 7)

	if one, begun, ended = e.begin(false); !begun {
		t.Error("an answer was told twice")
	}
	e.answers <- 10
	<-ended
	e.take(one, 10)
}

// TestALateAnswerThatDoesNotFit holds that the next cycle asks itself if it asks for
// something else.
func TestALateAnswerThatDoesNotFit(t *testing.T) {
	e := newErrandTest(t)
	one, _, ended := e.begin(false)
	e.take(one, -1)
	e.answers <- 10
	<-ended
	if _, begun, _ := e.begin(false); !begun {
		t.Error("not begun")
	}
	e.answers <- 1
}

// TestAStaleAnswerIsNotTold holds that an answer does not count if something has happened
// since it was asked for.
func TestAStaleAnswerIsNotTold(t *testing.T) {
	e := newErrandTest(t)
	one, _, ended := e.begin(false)
	if again, begun, _ := e.begin(true); begun || again != one {
		t.Error("begun twice")
	}
	e.answers <- 8
	<-ended
	e.take(one, -1)
	if len(e.resumed) != 1 {
		t.Error("nobody asks again")
	}
	if _, begun, _ := e.begin(false); !begun {
		t.Error("not begun")
	}
	e.answers <- 1
}

// TestWhatIsTooSlowIsSetAside holds that it is not asked for again at once, unless
// something has happened.
func TestWhatIsTooSlowIsSetAside(t *testing.T) {
	e := newErrandTest(t)
	one, _, ended := e.begin(false)
	e.answers <- 0
	<-ended
	e.take(one, 0)
	one, begun, _ := e.begin(false)
	if begun {
		t.Error("asked for at once")
	}
	e.take(one, 0)

	if one, begun, ended = e.begin(true); !begun {
		t.Error("not asked for after a push")
	}
	e.answers <- 9
	<-ended
	e.take(one, 9)
	if _, begun, _ = e.begin(false); !begun {
		t.Error("still set aside after an answer")
	}
	e.answers <- 1
}
