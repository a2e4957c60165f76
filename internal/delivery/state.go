package delivery

// state determines the next step of a pull request. Fields that cost a request are
// unknown until they are looked up.
type state struct {
	// unchanged: the head and the wanted changes are the same as after the previous
	// cycle.
	unchanged bool
	// settled: the base already has all wanted changes, so the pull request is not
	// needed.
	settled    bool
	headExists bool
	// stale: the head branch is outdated and must be rebuilt on the base.
	stale bool
	// ownBranch: this program generated the name of the branch.
	ownBranch bool

	open    openState
	authors authorState
	closed  closedState
	// othersClosed: other pull requests for the same images were closed.
	othersClosed bool
}

// openState is the state of the open pull request of a head.
type openState int

const (
	openUnknown openState = iota
	openNone
	openOutdated   // its text or base is outdated
	openUnfinished // it was opened but not completed
	openCurrent
)

// authorState says who made the commits of a head.
type authorState int

const (
	authorsUnknown authorState = iota
	authorsOnlyUs
	authorsOthers // somebody else has commits on it
)

// closedState is the state of the closed pull requests of a head.
type closedState struct {
	lookedUp bool
	// headMerged: the newest one was merged with the current head.
	headMerged bool
	// declined: people closed pull requests for all wanted changes without merging.
	declined bool
}

// step is what to do with a pull request.
type step int

// The first steps look something up, the next ones end a pull request or leave it
// as it is, and the last ones propose.
const (
	stepListOpen step = iota
	stepFindAuthors
	stepListClosed

	stepRepeat     // report the previous result again
	stepLeaveAlone // the branch has somebody else's commits
	stepRespectNo  // people closed it
	stepWithdraw   // close it: it is no longer needed
	stepDeleteBranch

	stepCommit
	stepOpen
	stepEdit
	stepComplete    // add labels, assignees, reviewers and auto-merge
	stepCloseOthers // close pull requests for other versions of the same images
	stepDone
)

// looksUp reports whether a step only reads.
func (s step) looksUp() bool { return s <= stepListClosed }

// proposes reports whether a step commits to, opens or maintains a pull request.
func (s step) proposes() bool { return s >= stepCommit && s <= stepCloseOthers }

// next returns the next step of a pull request. It is a pure function; the vectors
// in testdata/delivery specify it. Each step changes the state, until the next step
// is stepDone.
func next(s state) step {
	switch {
	case s.unchanged:
		return stepRepeat
	case s.open == openUnknown:
		return stepListOpen
	}

	// Overwriting or deleting a head must not lose somebody's commits.
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

// nextWhenSettled closes or deletes what is no longer needed.
func nextWhenSettled(s state) step {
	switch {
	case s.open != openNone:
		return stepWithdraw
	case s.headExists && s.ownBranch:
		return stepDeleteBranch
	}
	return stepDone
}

// nextWhenWanted brings the head and the pull request up to date.
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
