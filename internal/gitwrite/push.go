package gitwrite

import (
	"bytes"
	"context"
	"errors"
)

// RefUpdate moves one branch from one head to another.
type RefUpdate struct {
	Branch string
	// Old is where the branch is expected to be, and zero for a new branch. The
	// server refuses the update where the branch is elsewhere by then.
	Old Hash
	// New is zero where the branch is to be deleted.
	New Hash
}

// PushStatus is what became of a [RefUpdate].
type PushStatus int

// What becomes of an update.
const (
	// PushAccepted: the branch is where it is to be.
	PushAccepted PushStatus = iota
	// PushRaced: somebody else has moved the branch. Read it again, and repeat the
	// edit there.
	PushRaced
	// PushRefused: the server does not allow it. The error is the server's message.
	PushRefused
	// PushFailed: the push failed as a whole. The error is an [*Error].
	PushFailed
)

// PushResult is what became of one [RefUpdate].
type PushResult struct {
	Status PushStatus
	Err    error
}

// Push sends what was staged and moves branches, all in one request. It returns
// one result for each update, in order. Branches that were accepted are noted in
// snapshot, and their objects are kept, so that they need not be fetched again.
func (r *Repository) Push(
	ctx context.Context, snapshot *Snapshot, stage *Stage, updates []RefUpdate,
) []PushResult {
	r.mu.Lock()
	defer r.mu.Unlock()

	pack, err := stage.objects.pack()
	if err != nil {
		return allFailed(updates, &Error{Repository: r.URL(), Doing: "packing the commits", Err: err})
	}

	refused, pushErr := r.remote.push(ctx, updates, pack)
	if errors.Is(pushErr, errNotUnpacked) { // the server may not accept thin packs
		if pack, err = stage.objects.encode(stage.objects.order, false); err == nil {
			refused, pushErr = r.remote.push(ctx, updates, pack)
		}
	}

	results := make([]PushResult, len(updates))
	if pushErr != nil || len(refused) > 0 {
		results = r.examinePush(ctx, updates, refused, pushErr)
	}

	r.notePushed(snapshot, stage, accepted(updates, results))
	return results
}

func allFailed(updates []RefUpdate, err error) []PushResult {
	results := make([]PushResult, len(updates))
	for i := range results {
		results[i] = PushResult{PushFailed, err}
	}
	return results
}

// accepted returns the updates that were accepted.
func accepted(updates []RefUpdate, results []PushResult) []RefUpdate {
	var some []RefUpdate
	for i, u := range updates {
		if results[i].Status == PushAccepted {
			some = append(some, u)
		}
	}
	return some
}

// examinePush asks the remote where its branches are after a push that did not
// succeed as a whole: a push may have succeeded although its connection broke, and
// a refusal is a lost race only where the branch has moved.
func (r *Repository) examinePush(
	ctx context.Context, updates []RefUpdate, refused map[string]string, pushErr error,
) []PushResult {
	h, err := r.advertise(ctx)
	if err != nil {
		if pushErr == nil {
			pushErr = err
		}
		return allFailed(updates, pushErr)
	}

	results := make([]PushResult, len(updates))
	for i, u := range updates {
		switch at := h.branches[u.Branch]; {
		case at == u.New: // zero where it was deleted
		case at != u.Old:
			results[i].Status = PushRaced
		case pushErr != nil:
			results[i] = PushResult{PushFailed, pushErr}
		default:
			results[i] = PushResult{PushRefused, errors.New("the server refused: " + refused[u.Branch])}
		}
	}

	return results
}

// notePushed notes where branches are now, and keeps what was pushed.
func (r *Repository) notePushed(snapshot *Snapshot, stage *Stage, updates []RefUpdate) {
	var heads []Hash
	for _, u := range updates {
		snapshot.heads.set(u.Branch, u.New)
		if !u.New.IsZero() {
			heads = append(heads, u.New)
		}
	}

	if len(heads) == 0 {
		return
	}

	pack, err := stage.objects.kept(heads)
	if err != nil || len(pack) > 0 && r.mirror.add(bytes.NewReader(pack)) != nil {
		return // the next cycle fetches it
	}

	for _, u := range updates {
		if !u.New.IsZero() {
			_ = r.mirror.setHead(u.Branch, u.New) // without it the next cycle fetches
		}
	}
}

// emptyPack goes with a push of commits that the server has.
var emptyPack = []byte("PACK\x00\x00\x00\x02\x00\x00\x00\x00" +
	"\x02\x9d\x08\x82\x3b\xd8\xa8\xea\xb5\x10\xad\x6a\xc7\x5c\x82\x3c\xfd\x3e\xd3\x1e")

// MoveBranches moves branches to commits that the server has already, or deletes
// them. It returns what the server said of each branch that it did not move. The
// error is for a push that failed as a whole.
func (r *Repository) MoveBranches(
	ctx context.Context, snapshot *Snapshot, updates []RefUpdate,
) (refused map[string]string, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()

	refused, err = r.remote.push(ctx, updates, emptyPack)
	if err != nil {
		return nil, err
	}

	for _, u := range updates {
		if _, ok := refused[u.Branch]; !ok {
			snapshot.heads.set(u.Branch, u.New)
		}
	}

	return refused, nil
}

// NoteHead notes in snapshot where a branch was moved to by other means than a
// push: a forge's API.
func (r *Repository) NoteHead(snapshot *Snapshot, branch string, head Hash) {
	r.mu.Lock()
	defer r.mu.Unlock()

	snapshot.heads.set(branch, head)
}
