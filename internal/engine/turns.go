package engine

import "sync"

// turns are the questions to one registry: as many are under way as there are slots,
// and those who ask take turns, the projects first, and of each project its
// Applications. No Application holds more than a quarter of the slots, and no project
// more than half of them while others ask, so that one whose answers are slow leaves
// room for the others.
type turns struct {
	mu       sync.Mutex
	slots    int // that are open
	running  int
	shared   bool // several projects ask
	projects map[string]*project
	ring     []*project // those that may have the next slot
}

// asker is in whose turn something is asked.
type asker struct{ project, application string }

// project is one with questions that wait or are under way.
type project struct {
	applications map[string]*application
	ring         []*application // those that may have the next slot
	running      int
	inRing       bool
}

// application is one with questions that wait or are under way.
type application struct {
	waiting []chan struct{}
	running int
	inRing  bool
}

// leastEach is how many slots each may hold, however few there are.
const leastEach = 4

// newTurns returns the turns of a registry with a number of slots, of which some stay
// closed until [turns.open] is called.
func newTurns(slots, closed int) *turns {
	return &turns{slots: slots - closed, projects: map[string]*project{}}
}

// share says that several projects are going to ask.
func (t *turns) share() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.shared = true
}

// take waits until somebody may ask. Call give at the end.
func (t *turns) take(who asker) {
	turn := make(chan struct{})

	t.mu.Lock()
	p := t.projects[who.project]
	if p == nil {
		p = &project{applications: map[string]*application{}}
		t.projects[who.project] = p
	}
	a := p.applications[who.application]
	if a == nil {
		a = &application{}
		p.applications[who.application] = a
	}
	a.waiting = append(a.waiting, turn)
	t.enlist(p, a)
	t.proceed()
	t.mu.Unlock()

	<-turn
}

func (t *turns) give(who asker) {
	t.mu.Lock()
	defer t.mu.Unlock()

	p := t.projects[who.project]
	a := p.applications[who.application]
	a.running--
	p.running--
	t.running--
	if a.running == 0 && len(a.waiting) == 0 {
		delete(p.applications, who.application)
	}
	if len(p.applications) == 0 {
		delete(t.projects, who.project)
	}
	t.enlist(p, a)
	t.proceed()
}

// open adds slots.
func (t *turns) open(slots int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if slots == 0 {
		return
	}

	t.slots += slots
	for _, p := range t.projects { // each may hold more now
		for _, a := range p.applications {
			t.enlist(p, a)
		}
	}
	t.proceed()
}

// idle reports whether nobody asks.
func (t *turns) idle() bool {
	t.mu.Lock()
	defer t.mu.Unlock()

	return len(t.projects) == 0
}

// enlist puts an Application and its project at the ends of their rings, if they may
// have another slot.
func (t *turns) enlist(p *project, a *application) {
	if !a.inRing && len(a.waiting) > 0 && a.running < max(leastEach, t.slots/4) {
		a.inRing = true
		p.ring = append(p.ring, a)
	}
	if !p.inRing && len(p.ring) > 0 && (!t.shared || p.running < max(leastEach, t.slots/2)) {
		p.inRing = true
		t.ring = append(t.ring, p)
	}
}

// proceed lets those that come next begin.
func (t *turns) proceed() {
	for t.running < t.slots && len(t.ring) > 0 {
		p := t.ring[0]
		t.ring, p.inRing = t.ring[1:], false
		a := p.ring[0]
		p.ring, a.inRing = p.ring[1:], false

		close(a.waiting[0])
		a.waiting = a.waiting[1:]
		a.running++
		p.running++
		t.running++
		t.enlist(p, a)
	}
}
