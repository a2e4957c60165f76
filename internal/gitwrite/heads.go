package gitwrite

import (
	"context"
	"time"

	"github.com/go-git/go-git/v5/plumbing"
)

// headsLife is how long heads are used without asking the remote if pushes are
// reported. It is limited because a report may be lost.
const headsLife = 10 * time.Minute

// keptHeads has the heads of a repository that are kept between cycles.
type keptHeads struct {
	heads *heads // nil: ask the remote
	since time.Time
	// pushesReported: push events are received, so without one no branch has moved.
	pushesReported bool
	// branches has the branches that were read.
	branches map[string]bool
}

// size is about how many bytes it needs.
func (k *keptHeads) size() int64 {
	n := len(k.branches)
	if k.heads != nil {
		n += len(k.heads.branches)
	}

	return int64(n) * headSize
}

// headSize is about how many bytes the head of a branch needs.
const headSize = 150

// noteRead records the branches that were read, whether they exist or not.
func (k *keptHeads) noteRead(branches []string, wants []Want) {
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

// ReportHeads accepts the heads of branches from a push event; the head of a deleted
// branch is empty. It reports whether a branch that was read has moved. After the
// first call, heads are kept, and the remote is asked again only if a report differs,
// or after ten minutes.
func (r *Repository) ReportHeads(heads map[string]string) (moved bool) {
	if !r.mu.TryLock() { // it is being read, maybe for long
		r.outdated.Store(true)
		return true
	}
	defer r.mu.Unlock()

	r.kept.pushesReported = true
	if r.kept.heads == nil || r.outdated.Load() {
		return true
	}

	outdated := false
	for branch, head := range heads {
		if r.kept.heads.branches[branch] != plumbing.NewHash(head) {
			outdated = true
			moved = moved || r.kept.branches[branch]
		}
	}

	if outdated {
		r.kept.heads = nil
	}

	return moved
}

// Forget makes the next [Repository.Read] ask the remote for its heads.
func (r *Repository) Forget() { r.outdated.Store(true) }

// currentHeads returns the kept heads if they may be used, else the remote's. fresh is
// set if they come from the remote.
func (r *Repository) currentHeads(ctx context.Context) (h *heads, fresh bool, err error) {
	if r.outdated.Swap(false) {
		r.kept.heads = nil
	}
	if k := r.kept; k.pushesReported && k.heads != nil && time.Since(k.since) < headsLife {
		return k.heads, false, nil
	}
	h, err = r.advertise(ctx)
	return h, true, err
}

// advertise asks the remote for its heads and keeps them.
func (r *Repository) advertise(ctx context.Context) (*heads, error) {
	r.kept.heads = nil
	h, err := r.remote.advertise(ctx)
	if err == nil {
		r.kept.heads, r.kept.since = h, time.Now()
	}
	return h, err
}
