package engine

import (
	"errors"
	"fmt"
	"sync"

	"github.com/liverty-music/image-writeback/internal/registry"
)

// host is a registry that questions are put to. What it is like is learned anew in
// each cycle, since a registry that fails must not use up its limits for each of its
// repositories: once it has not answered at all, no more repositories are asked about
// in this cycle; once it has used up the tries of one repository with 429 or 5xx, no
// request is repeated for the others.
type host struct {
	turns *turns // those of earlier cycles as well

	mu         sync.Mutex
	closed     int   // slots that are closed until the registry answers
	dead       error // why the registry did not answer
	overloaded bool
}

// firstAtOnce is how many are asked about before a registry has answered.
const firstAtOnce = 16

// hosts are the registries that one cycle asks.
type hosts struct {
	byName map[string]*host
	turns  map[string]*turns // of all cycles; those of whom nobody asks are dropped
}

func (e *Engine) newHosts() *hosts {
	if e.state.turns == nil {
		e.state.turns = map[string]*turns{}
	}
	for name, t := range e.state.turns {
		if t.idle() {
			delete(e.state.turns, name)
		}
	}

	return &hosts{map[string]*host{}, e.state.turns}
}

// of returns the registry that has a repository.
func (h *hosts) of(r *registry.Repository) *host {
	name := r.Host()
	found := h.byName[name]
	if found != nil {
		return found
	}

	found = &host{turns: h.turns[name]}
	if found.turns == nil { // otherwise it has slots, and may have answered
		found.closed = max(0, r.Concurrency()-firstAtOnce)
		found.turns = newTurns(r.Concurrency(), found.closed)
		h.turns[name] = found.turns
	}
	h.byName[name] = found

	return found
}

// begin prepares a repository for its turn. The error means that it need not be asked.
func (h *host) begin(r *registry.Repository) error {
	h.mu.Lock()
	defer h.mu.Unlock()

	if h.dead != nil {
		return fmt.Errorf("%s did not answer for another image of this cycle; it is asked again in the next one: %w",
			r.Host(), h.dead)
	}
	if h.overloaded {
		r.StopRetrying()
	}

	return nil
}

// learn adapts to how a question ended.
func (h *host) learn(err error) {
	h.mu.Lock()
	defer h.mu.Unlock()

	if err == nil {
		h.turns.open(h.closed)
		h.closed = 0
	}

	var failed *registry.Error
	if errors.As(err, &failed) {
		h.overloaded = h.overloaded || failed.Overloaded
		if failed.NoAnswer {
			h.dead = failed.Err
		}
	}
}
