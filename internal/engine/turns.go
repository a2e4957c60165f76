package engine

import "sync"

// turns are the questions to one registry: as many are under way as there are slots,
// and the Applications that ask take turns. No Application holds more than a part of
// the slots, so that one whose answers are slow leaves room for the others.
type turns struct {
	mu     sync.Mutex
	free   int
	each   int // slots that one Application may hold
	owners map[string]*owner
	ring   []*owner // those whose next question may begin as soon as a slot is free
}

// owner is an Application with questions that wait or are under way.
type owner struct {
	waiting []chan struct{}
	running int
	inRing  bool
}

// leastEach is how many slots each Application may hold, however few there are.
const leastEach = 4

// newTurns returns the turns of a registry with a number of slots, of which some stay
// closed until [turns.open] is called.
func newTurns(slots, closed int) *turns {
	return &turns{free: slots - closed, each: max(leastEach, slots/4), owners: map[string]*owner{}}
}

// take waits until an Application may ask. Call give at the end.
func (t *turns) take(application string) {
	turn := make(chan struct{})

	t.mu.Lock()
	o := t.owners[application]
	if o == nil {
		o = &owner{}
		t.owners[application] = o
	}
	o.waiting = append(o.waiting, turn)
	t.enlist(o)
	t.proceed()
	t.mu.Unlock()

	<-turn
}

func (t *turns) give(application string) {
	t.mu.Lock()
	defer t.mu.Unlock()

	o := t.owners[application]
	o.running--
	t.free++
	if o.running == 0 && len(o.waiting) == 0 {
		delete(t.owners, application)
	}
	t.enlist(o)
	t.proceed()
}

// open adds slots.
func (t *turns) open(slots int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.free += slots
	t.proceed()
}

// idle reports whether nobody asks.
func (t *turns) idle() bool {
	t.mu.Lock()
	defer t.mu.Unlock()

	return len(t.owners) == 0
}

// enlist puts an Application at the end of the ring, if it may have another slot.
func (t *turns) enlist(o *owner) {
	if !o.inRing && len(o.waiting) > 0 && o.running < t.each {
		o.inRing = true
		t.ring = append(t.ring, o)
	}
}

// proceed lets those that come next begin.
func (t *turns) proceed() {
	for t.free > 0 && len(t.ring) > 0 {
		o := t.ring[0]
		t.ring, o.inRing = t.ring[1:], false

		close(o.waiting[0])
		o.waiting = o.waiting[1:]
		o.running++
		t.free--
		t.enlist(o)
	}
}
