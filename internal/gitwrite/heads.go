package gitwrite

import (
	"context"
	"time"

	"github.com/go-git/go-git/v5/plumbing"
)

// headsLife is how long heads are used without asking the remote, where pushes are
// reported: a report may have been lost.
const headsLife = 10 * time.Minute

// keptHeads is what is kept of the heads of a repository between cycles.
type keptHeads struct {
	heads *heads // nil: nothing
	since time.Time
	// pushesReported: pushes are reported, so that without a report there was none.
	pushesReported bool
	// branches are those that were read.
	branches map[string]bool
}

// noteRead notes which branches matter: those that were wanted, whether they exist
// or not.
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

// ReportHeads is called with the heads of branches that a push event names, empty
// for one that was deleted. It reports whether a branch that was read has moved.
// From then on the remote is asked for its heads only after such a report, or after
// ten minutes.
func (r *Repository) ReportHeads(heads map[string]string) (moved bool) {
	r.mu.Lock()
	defer r.mu.Unlock()

	r.kept.pushesReported = true
	if r.kept.heads == nil {
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

// Forget has the next [Repository.Read] ask the remote for its heads.
func (r *Repository) Forget() {
	r.mu.Lock()
	defer r.mu.Unlock()

	r.kept.heads = nil
}

// currentHeads returns the heads that are kept, where they may be used, and else
// asks the remote. fresh is set where it did.
func (r *Repository) currentHeads(ctx context.Context) (h *heads, fresh bool, err error) {
	if k := r.kept; k.pushesReported && k.heads != nil && time.Since(k.since) < headsLife {
		return k.heads, false, nil
	}
	h, err = r.advertise(ctx)
	return h, true, err
}

// advertise asks the remote for its heads, and keeps them.
func (r *Repository) advertise(ctx context.Context) (*heads, error) {
	r.kept.heads = nil
	h, err := r.remote.advertise(ctx)
	if err == nil {
		r.kept.heads, r.kept.since = h, time.Now()
	}
	return h, err
}
