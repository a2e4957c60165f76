package delivery

// state is all that decides what happens to a pull request next. What costs a
// request is unknown until it was looked up.
type state struct {
	// unchanged: the head and what is wanted are as they were left the last time.
	unchanged bool
	// settled: the base holds all that is wanted, so that nobody needs the pull
	// request.
	settled    bool
	headExists bool
	// stale: the head is not as it is to be, and has to be made again on the base.
	stale bool
	// ownBranch: the branch has a name that this program made.
	ownBranch bool

	open    openState
	authors authorState
	closed  closedState
	// othersClosed: other pull requests for the same images were closed.
	othersClosed bool
}

// openState is what is known about the open pull request of a head.
type openState int

const (
	openUnknown openState = iota
	openNone
	openOutdated   // its text or its base is not as it is to be
	openUnfinished // it was not completed after it was opened
	openCurrent
)

// authorState is what is known about the authors of the commits of a head.
type authorState int

const (
	authorsUnknown authorState = iota
	authorsOnlyUs
	authorsOthers // somebody else has commits there
)

// closedState is what is known about the closed pull requests of a head.
type closedState struct {
	lookedUp bool
	// headMerged: the newest one was merged as the head is now.
	headMerged bool
	// declined: people closed all that is wanted without merging it.
	declined bool
}

// step is what to do with a pull request.
type step int

// The first steps look something up, the next ones end the life of a pull request
// or leave it as it is, and the last ones propose.
const (
	stepListOpen step = iota
	stepFindAuthors
	stepListClosed

	stepRepeat     // say what was said the last time
	stepLeaveAlone // the branch has commits of somebody else
	stepRespectNo  // people have closed it
	stepWithdraw   // close it: nobody needs it
	stepDeleteBranch

	stepCommit
	stepOpen
	stepEdit
	stepComplete    // add what could not be said when it was opened
	stepCloseOthers // close those that propose other versions of the same images
	stepDone
)

// looksUp reports whether a step only finds something out.
func (s step) looksUp() bool { return s <= stepListClosed }

// proposes reports whether a step belongs to a pull request that is wanted.
func (s step) proposes() bool { return s >= stepCommit && s <= stepCloseOthers }

// next decides what to do with a pull request. It is a pure function; the vectors
// in testdata/delivery specify it. The step done changes the state, until the next
// one is stepDone.
func next(s state) step {
	switch {
	case s.unchanged:
		return stepRepeat
	case s.open == openUnknown:
		return stepListOpen
	}

	// What overwrites or deletes a head must not lose anybody's commits.
	if s.headExists && (s.settled || s.stale) {
		switch {
		case s.authors == authorsUnknown:
			return stepFindAuthors
		case s.authors == authorsOnlyUs:
		case s.open == openNone && !s.closed.lookedUp:
			return stepListClosed
		case s.open != openNone || !s.closed.headMerged: // once merged, nothing can be lost
			return stepLeaveAlone
		}
	}

	if s.settled {
		return nextWhenSettled(s)
	}

	return nextWhenWanted(s)
}

// nextWhenSettled clears away what nobody needs.
func nextWhenSettled(s state) step {
	switch {
	case s.open != openNone:
		return stepWithdraw
	case s.headExists && s.ownBranch:
		return stepDeleteBranch
	}
	return stepDone
}

// nextWhenWanted has the head and the pull request as they are to be.
func nextWhenWanted(s state) step {
	switch {
	case s.open == openNone && !s.closed.lookedUp:
		return stepListClosed
	case s.open == openNone && s.closed.declined:
		return stepRespectNo
	case s.stale:
		return stepCommit
	case s.open == openNone:
		return stepOpen
	case s.open == openOutdated:
		return stepEdit
	case s.open == openUnfinished:
		return stepComplete
	case !s.othersClosed:
		return stepCloseOthers
	}

	return stepDone
}
