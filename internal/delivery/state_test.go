package delivery

import (
	"os"
	"testing"

	"sigs.k8s.io/yaml"
)

// stateVector is a vector of testdata/delivery; see the README there.
type stateVector struct {
	Name         string
	Unchanged    bool
	Settled      bool
	Head         string
	Branch       string
	Open         string
	Authors      string
	Closed       string
	OthersClosed bool
	Next         string
}

// state returns the state that a vector describes. ok is false for an
// unknown word.
func (v stateVector) state() (s state, ok bool) {
	open, okOpen := map[string]openState{
		"": openUnknown, "unknown": openUnknown, "none": openNone,
		"outdated": openOutdated, "unfinished": openUnfinished, "current": openCurrent,
	}[v.Open]
	authors, okAuthors := map[string]authorState{
		"": authorsUnknown, "unknown": authorsUnknown, "only us": authorsOnlyUs, "others": authorsOthers,
	}[v.Authors]
	closed, okClosed := map[string]closedState{
		"": {}, "unknown": {}, "none": {lookedUp: true},
		"merged": {lookedUp: true, headMerged: true}, "declined": {lookedUp: true, declined: true},
	}[v.Closed]
	own, okBranch := map[string]bool{"": true, "ours": true, "theirs": false}[v.Branch]
	exists, okHead := map[string]bool{"missing": false, "stale": true, "current": true}[v.Head]

	return state{
		unchanged: v.Unchanged, settled: v.Settled, headExists: exists, stale: !v.Settled && v.Head != "current",
		ownBranch: own, open: open, authors: authors, closed: closed, othersClosed: v.OthersClosed,
	}, okOpen && okAuthors && okClosed && okBranch && okHead
}

var stepNames = map[step]string{
	stepListOpen: "list open", stepFindAuthors: "find authors", stepListClosed: "list closed",
	stepRepeat: "repeat", stepLeaveAlone: "leave alone", stepRespectNo: "respect no",
	stepWithdraw: "withdraw", stepDeleteBranch: "delete branch",
	stepCommit: "commit", stepOpen: "open", stepEdit: "edit", stepComplete: "complete",
	stepCloseOthers: "close others", stepDone: "done",
}

// TestNext runs the vectors of testdata/delivery, which cover every step.
func TestNext(t *testing.T) {
	data, err := os.ReadFile("../../testdata/delivery/pullrequest.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var vectors []stateVector
	if err := yaml.UnmarshalStrict(data, &vectors); err != nil {
		t.Fatal(err)
	}

	reached := map[step]bool{}
	for _, v := range vectors {
		s, ok := v.state()
		if !ok {
			t.Errorf("%s: it has a word that is not in the README", v.Name)
		}
		got := next(s)
		if stepNames[got] != v.Next {
			t.Errorf("%s: %s, want %s", v.Name, stepNames[got], v.Next)
		}
		reached[got] = true
	}
	for s, name := range stepNames {
		if !reached[s] {
			t.Errorf("no vector has the step %q", name)
		}
	}
}
