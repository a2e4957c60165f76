package gitwrite

import (
	"context"
	"time"

	"github.com/go-git/go-git/v5/plumbing"
)

// headsLife is how long heads are believed at most, where we are told of
// pushes: what tells of them tells once.
const headsLife = 10 * time.Minute

// known is what is known of the heads of a repository between cycles.
type known struct {
	heads *heads // nil: nothing
	since time.Time
	// told tells that somebody tells of pushes, so that silence means that
	// there were none.
	told bool
	// branches are those that were read.
	branches map[string]bool
}

// read notes which branches matter: those that were wanted, there or not.
func (k *known) read(branches []string, wants []Want) {
	if k.branches == nil {
		k.branches = map[string]bool{}
	}
	for _, branch := range branches {
		k.branches[branch] = true
	}
	for _, want := range wants {
		k.branches[want.Branch] = true
	}
}

// Told notes what is said of the heads of branches, empty for one that is gone,
// and reports whether one that we read has moved since we saw it. From then on
// heads are believed for a while, unless something else is said.
func (r *Repository) Told(heads map[string]string) (moved bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.heads.told = true
	if r.heads.heads == nil {
		return true
	}
	stale := false
	for branch, head := range heads {
		if r.heads.heads.branches[branch] != plumbing.NewHash(head) {
			stale = true
			moved = moved || r.heads.branches[branch]
		}
	}
	if stale {
		r.heads.heads = nil
	}
	return moved
}

// Forget has the heads asked for again.
func (r *Repository) Forget() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.heads.heads = nil
}

// currentHeads are the heads as they are known, where they may be believed,
// else as the remote tells them, which is fresh.
func (r *Repository) currentHeads(ctx context.Context) (h *heads, fresh bool, err error) {
	if k := r.heads; k.told && k.heads != nil && time.Since(k.since) < headsLife {
		return k.heads, false, nil
	}
	h, err = r.advertise(ctx)
	return h, true, err
}

// advertise asks the remote for its heads.
func (r *Repository) advertise(ctx context.Context) (*heads, error) {
	r.heads.heads = nil
	h, err := r.remote.advertise(ctx)
	if err == nil {
		r.heads.heads, r.heads.since = h, time.Now()
	}
	return h, err
}
