package gitwrite

import (
	"bytes"
	"context"
	"errors"
)

// RefUpdate moves one branch from one head to another.
type RefUpdate struct {
	Branch string
	// Old is the expected head of the branch; zero for a new branch. The server rejects
	// the update if the branch has moved.
	Old Hash
	// New is the new head; zero deletes the branch.
	New Hash
}

// PushStatus is the kind of result of a [RefUpdate].
type PushStatus int

// The results of an update.
const (
	// PushAccepted: the branch has the new head.
	PushAccepted PushStatus = iota
	// PushRaced: somebody else has moved the branch. Read it again, and repeat the
	// edit on the new head.
	PushRaced
	// PushRefused: the server does not allow it. The error is the server's message.
	PushRefused
	// PushFailed: the push failed as a whole. The error is an [*Error].
	PushFailed
)

// PushResult is the result of one [RefUpdate].
type PushResult struct {
	Status PushStatus
	Err    error
}

// Push sends the staged objects and moves branches, all in one request. It returns one
// result for each update, in order. For accepted updates, snapshot gets the new heads,
// and the mirror keeps the objects, so that they need not be fetched again.
func (r *Repository) Push(
	ctx context.Context, snapshot *Snapshot, stage *Stage, updates []RefUpdate,
) []PushResult {
	defer r.lock()()

	pack, err := stage.objects.pack()
	if err != nil {
		return allFailed(updates, &Error{Repository: r.URL(), Doing: "packing the commits", Err: err})
	}

	refused, pushErr := r.remote.push(ctx, updates, pack)
	if errors.Is(pushErr, ErrNotUnpacked) { // the server may not accept thin packs
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

// accepted returns the accepted updates.
func accepted(updates []RefUpdate, results []PushResult) []RefUpdate {
	var some []RefUpdate
	for i, u := range updates {
		if results[i].Status == PushAccepted {
			some = append(some, u)
		}
	}
	return some
}

// examinePush reads the heads again after a push that did not succeed as a whole: a
// push may have succeeded although its connection broke, and a refusal is a lost race
// only if the branch has moved.
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
		case at == u.New: // both are zero if the branch was deleted
		case at != u.Old:
			results[i].Status = PushRaced
		case errors.Is(pushErr, ErrNotUnpacked):
			results[i] = PushResult{PushRefused, pushErr}
		case pushErr != nil:
			results[i] = PushResult{PushFailed, pushErr}
		default:
			results[i] = PushResult{PushRefused, errors.New("the server refused: " + refused[u.Branch])}
		}
	}

	return results
}

// notePushed sets the new heads in snapshot, and keeps the pushed objects.
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
		return // the next cycle fetches them
	}

	for _, u := range updates {
		if !u.New.IsZero() {
			_ = r.mirror.setHead(u.Branch, u.New) // without it the next cycle fetches
		}
	}
}

// emptyPack is the pack of a push whose commits the server already has.
var emptyPack = []byte("PACK\x00\x00\x00\x02\x00\x00\x00\x00" +
	"\x02\x9d\x08\x82\x3b\xd8\xa8\xea\xb5\x10\xad\x6a\xc7\x5c\x82\x3c\xfd\x3e\xd3\x1e")

// MoveBranches moves branches to commits that the server already has, or deletes them.
// It returns the server's message for each branch that it refused. It returns an error
// if the push failed as a whole.
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

// NoteHead sets the head of a branch in snapshot, after a forge's API has moved the
// branch.
func (r *Repository) NoteHead(snapshot *Snapshot, branch string, head Hash) {
	r.mu.Lock()
	defer r.mu.Unlock()

	snapshot.heads.set(branch, head)
}
