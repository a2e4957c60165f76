package gitwrite

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"slices"
	"strings"

	"github.com/liverty-music/image-writeback/internal/forge"
	"github.com/liverty-music/image-writeback/internal/image"
)

// mark is what we know our pull requests by. It stands in their body as a
// comment that nobody sees, and is all that we remember of them: there is no
// state of our own.
type mark struct {
	// Key is the one of the text: another means that it is to be written anew.
	Key string `json:"key"`
	// Changes are those proposed, each by its place and its version; see changeID.
	Changes []string `json:"changes"`
	// Withdrawn tells that we closed it ourselves, so that nobody declined it.
	Withdrawn bool `json:"withdrawn,omitempty"`
}

const (
	markBegin = "<!-- image-writeback: "
	markEnd   = " -->"
	// leftAloneMark is in the comment that we leave a branch alone.
	leftAloneMark = "<!-- image-writeback left this branch alone -->"
	// closedMark is in the comment that says why we close a pull request.
	closedMark = "<!-- image-writeback closed this -->"
)

// changeID is a change as a place and a version, short, since a body has room
// for 65,536 characters. It says nothing of the version before.
func changeID(c image.Change) string {
	place := sha256.Sum256([]byte(c.File + "\n" + c.Image))
	version := sha256.Sum256([]byte(c.New.String()))
	return hex.EncodeToString(place[:3]) + "-" + hex.EncodeToString(version[:3])
}

// within tells whether all places of a mark are among those of some changes:
// what was proposed there is proposed anew by them.
func (m mark) within(changes []image.Change) bool {
	places := map[string]bool{}
	for _, c := range changes {
		place, _, _ := strings.Cut(changeID(c), "-")
		places[place] = true
	}
	for _, id := range m.Changes {
		if place, _, _ := strings.Cut(id, "-"); !places[place] {
			return false
		}
	}
	return len(m.Changes) > 0
}

// withMark puts a mark under a text, instead of the one that it may have. JSON
// as Go writes it cannot end a comment: it has no ">".
func withMark(text string, m mark) string {
	text, _, _ = strings.Cut(text, markBegin)
	line, _ := json.Marshal(m) // strings and a bool: it cannot fail
	return strings.TrimRight(text, "\n") + "\n\n" + markBegin + string(line) + markEnd + "\n"
}

// markOf finds the mark of a body. ok is false where a person has removed it.
func markOf(body string) (m mark, ok bool) {
	_, rest, found := strings.Cut(body, markBegin)
	line, _, ended := strings.Cut(rest, markEnd)
	return m, found && ended && json.Unmarshal([]byte(line), &m) == nil
}

// declined finds the pull request by which a person declined a change, among
// the closed ones of its head, newest first: the newest that proposed it
// decides. title is the one that the change would have, for pull requests that
// have lost their mark.
func declined(closed []forge.PullRequest, c image.Change, title string) *forge.PullRequest {
	for i, pr := range closed {
		m, marked := markOf(pr.Body)
		if marked && !slices.Contains(m.Changes, changeID(c)) || !marked && pr.Title != title {
			continue
		}
		if pr.Merged || m.Withdrawn {
			return nil
		}
		return &closed[i]
	}
	return nil
}
