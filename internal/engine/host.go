package engine

import (
	"errors"
	"fmt"
	"maps"
	"sync"
	"sync/atomic"

	"github.com/liverty-music/image-writeback/internal/registry"
)

// host is a registry that questions are put to. What it is like is learned anew in
// each cycle, since a registry that fails must not use up its limits for each of its
// repositories: once it has not answered at all, no more repositories are asked about
// in this cycle; once it has used up the tries of one repository with 429 or 5xx, no
// request is repeated for the others.
type host struct {
	memory *hostMemory
	// lists and details are those of memory, of earlier cycles as well.
	lists, details *turns

	mu         sync.Mutex
	closed     int   // slots that are closed until the registry answers
	dead       error // why the registry did not answer
	overloaded bool
}

// firstAtOnce is how many are asked about before a registry has answered.
const firstAtOnce = 16

// hostMemory is what is known about a registry from one cycle to the next.
type hostMemory struct {
	// lists are the turns of those who ask for a list, details of those who ask for more. A
	// list may wait for room that is left only when somebody's details are known, so these
	// do not wait for one another.
	lists, details *turns
	silent         atomic.Bool // it did not answer when it was asked last
}

// idle reports whether nobody asks.
func (m *hostMemory) idle() bool { return m.lists.idle() && m.details.idle() }

// hosts are the registries that one cycle asks.
type hosts struct {
	byName map[string]*host
	memory map[string]*hostMemory
}

func (e *Engine) newHosts() *hosts {
	if e.state.hosts == nil {
		e.state.hosts = map[string]*hostMemory{}
	}

	return &hosts{map[string]*host{}, e.state.hosts}
}

// expect tells the registries who is going to ask. If these are everybody, it forgets
// the others.
func (h *hosts) expect(all *questions, everybody bool) {
	first := map[*host]string{}
	for _, key := range all.order {
		q := all.byKey[key]
		at := h.of(q.repository)
		for _, a := range q.asks {
			if project, ok := first[at]; ok && project != a.project {
				at.memory.lists.share()
				at.memory.details.share()
			}
			first[at] = a.project
		}
	}

	if everybody {
		maps.DeleteFunc(h.memory, func(name string, m *hostMemory) bool {
			return h.byName[name] == nil && m.idle()
		})
	}
}

// of returns the registry that has a repository.
func (h *hosts) of(r *registry.Repository) *host {
	name := r.Host()
	found := h.byName[name]
	if found != nil {
		return found
	}

	memory := h.memory[name]
	if memory == nil {
		memory = &hostMemory{}
		h.memory[name] = memory
	}
	found = &host{memory: memory}
	if memory.lists == nil || memory.idle() { // otherwise it has slots, and may have answered
		found.closed = max(0, r.Concurrency()-firstAtOnce)
		memory.lists, memory.details = newTurns(r.Concurrency(), found.closed), newTurns(r.Concurrency(), 0)
	}
	found.lists, found.details = memory.lists, memory.details
	h.byName[name] = found

	return found
}

// silent reports whether the registry did not answer when it was asked last. It is asked
// again in each cycle, but no cycle waits for it.
func (h *host) silent() bool { return h.memory.silent.Load() }

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
		h.memory.silent.Store(false)
		h.lists.open(h.closed)
		h.closed = 0
	}

	var failed *registry.Error
	if errors.As(err, &failed) {
		h.overloaded = h.overloaded || failed.Overloaded
		if failed.NoAnswer {
			h.dead = failed.Err
			h.memory.silent.Store(true)
		}
	}
}
