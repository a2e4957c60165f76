package gitwrite

import (
	"context"
	"maps"
	"slices"

	"github.com/go-git/go-git/v5/plumbing"
)

// bringForward gets the newest commits of branches with their trees, with at most one
// fetch, unless one of them is too large. Then the others are there, and it is in
// refused; if all are too large, the error says so.
func (m *mirror) bringForward(ctx context.Context, r *remote, h *heads, branches []string) error {
	if m.packs > maxPacks {
		compact := m.compact
		if m.bytes > m.limits.Memory/maxShare || m.objects > maxIndexed { // that would need much memory
			compact = func(map[string]plumbing.Hash) error { return m.reset() }
		}
		if err := compact(h.branches); err != nil {
			return err
		}
	}

	// The mirror has all trees only for commits that are the head of a branch.
	asked := map[plumbing.Hash]bool{}
	for _, head := range m.heads() {
		asked[head] = m.has(head)
	}
	m.forgetRefused(h)

	var missing []string
	for _, branch := range branches {
		head := h.branches[branch]
		if _, refused := m.refused[head]; !asked[head] && !refused {
			asked[head] = true
			missing = append(missing, branch)
		}
	}
	if err := m.fetchBranches(ctx, r, h, missing); err != nil {
		return err
	}

	var refused error
	some := len(branches) == 0
	for _, branch := range branches {
		head := h.branches[branch]
		if err := m.refused[head]; err != nil {
			refused = err
			continue
		}
		some = true
		if m.head(branch) != head {
			if err := m.setHead(branch, head); err != nil {
				return err
			}
		}
	}
	if !some {
		return refused
	}

	return nil
}

// fetchBranches gets the commits of branches. If they are too large together, it gets
// them one by one, and notes those that are too large alone.
func (m *mirror) fetchBranches(ctx context.Context, r *remote, h *heads, branches []string) error {
	if len(branches) == 0 {
		return nil
	}

	var request fetchRequest
	for _, branch := range branches {
		request.wants = append(request.wants, h.branches[branch])
	}
	err := m.fetchCommits(ctx, r, h, request)
	if !isLimit(err) {
		return err
	}
	if len(branches) == 1 {
		m.refused[request.wants[0]] = err
		return nil
	}

	for _, branch := range branches {
		if err := m.fetchBranches(ctx, r, h, []string{branch}); err != nil {
			return err
		}
		if head := h.branches[branch]; m.refused[head] == nil {
			if err := m.setHead(branch, head); err != nil { // the next one builds on it
				return err
			}
		}
	}

	return nil
}

// forgetRefused forgets heads that no branch has any more.
func (m *mirror) forgetRefused(h *heads) {
	if len(m.refused) == 0 {
		return
	}

	current := map[plumbing.Hash]bool{}
	for _, head := range h.branches {
		current[head] = true
	}
	maps.DeleteFunc(m.refused, func(head plumbing.Hash, _ error) bool { return !current[head] })
}

// heads returns the heads of all branches in the mirror.
func (m *mirror) heads() []plumbing.Hash {
	var all []plumbing.Hash
	listed := map[plumbing.Hash]bool{}
	refs, err := m.store.IterReferences()
	if err != nil {
		return nil
	}

	_ = refs.ForEach(func(ref *plumbing.Reference) error {
		if ref.Type() == plumbing.HashReference && !listed[ref.Hash()] {
			listed[ref.Hash()] = true
			all = append(all, ref.Hash())
		}
		return nil
	})
	return all
}

func (m *mirror) fetchCommits(ctx context.Context, r *remote, h *heads, request fetchRequest) error {
	shallows, err := m.store.Shallow()
	if err != nil {
		return local(err)
	}

	request.haves, request.shallows, request.noBlobs = m.heads(), shallows, h.filter
	if h.shallow {
		request.depth = 1
	}

	update, err := r.fetch(ctx, request, m.add)
	if err != nil && request.noBlobs && ctx.Err() == nil && !isLimit(err) && !isLocal(err) {
		// Some servers say that they can leave files out, and refuse to.
		request.noBlobs = false
		all, retried := r.fetch(ctx, request, m.add)
		if retried == nil {
			update, err = all, nil
			r.noBlobWants, h.filter = true, false
		}
	}
	if err != nil {
		return err
	}

	for _, hash := range update.Shallows {
		if !slices.Contains(shallows, hash) {
			shallows = append(shallows, hash)
		}
	}

	shallows = slices.DeleteFunc(shallows, func(hash plumbing.Hash) bool {
		return slices.Contains(update.Unshallows, hash)
	})
	return local(m.store.SetShallow(shallows))
}

// fetchBlobs gets blobs with at most one fetch. If the server does not send single
// blobs, this and later fetches get commits with all of their blobs.
func (m *mirror) fetchBlobs(
	ctx context.Context, r *remote, h *heads, branches []string, blobs []plumbing.Hash,
) error {
	var wants []plumbing.Hash
	asked := map[plumbing.Hash]bool{}
	for _, blob := range blobs {
		if _, large := m.large[blob]; !large && !asked[blob] && !m.has(blob) {
			asked[blob] = true
			wants = append(wants, blob)
		}
	}

	if len(wants) == 0 {
		return nil
	}

	if h.filter {
		err := m.fetchInTime(ctx, r, wants)
		if err == nil {
			m.noteMissing(wants)
			return nil
		}
		if ctx.Err() != nil {
			return err
		}
		if isLimit(err) {
			return err
		}
		r.noBlobWants, h.filter = true, false
	}

	if err := m.reset(); err != nil {
		return err
	}

	err := m.bringForward(ctx, r, h, branches)
	if err == nil {
		m.noteMissing(wants)
	}

	return err
}

// fetchInTime gets blobs. If there was no time for all of them in one request before, it
// gets them one by one: each that has come is there the next time.
func (m *mirror) fetchInTime(ctx context.Context, r *remote, wants []plumbing.Hash) error {
	size := len(wants)
	if m.late {
		size = 1
	}
	for some := range slices.Chunk(wants, size) {
		if err := m.fetchSome(ctx, r, some); err != nil {
			m.late = m.late || ctx.Err() != nil
			return err
		}
	}
	m.late = false

	return nil
}

// fetchSome gets blobs. If they are too large together, it finds the one that is too
// large, so that the others can be read.
func (m *mirror) fetchSome(ctx context.Context, r *remote, wants []plumbing.Hash) error {
	_, err := r.fetch(ctx, fetchRequest{wants: wants}, m.add)
	if !isLimit(err) {
		return err
	}

	m.incomplete = true
	if len(wants) == 1 {
		m.noteLarge(map[plumbing.Hash]int64{wants[0]: unknownSize})
		return nil
	}

	half := len(wants) / 2
	if err := m.fetchSome(ctx, r, wants[:half]); err != nil {
		return err
	}

	return m.fetchSome(ctx, r, wants[half:])
}

// noteMissing notes files that were fetched and are not here: they are too large, or
// deltas of files that are.
func (m *mirror) noteMissing(files []plumbing.Hash) {
	if !m.incomplete {
		return
	}
	for _, hash := range files {
		if _, large := m.large[hash]; !large && !m.has(hash) {
			m.noteLarge(map[plumbing.Hash]int64{hash: unknownSize})
		}
	}
}
