package delivery

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"slices"
	"strings"

	"github.com/liverty-music/image-writeback/internal/forge"
	"github.com/liverty-music/image-writeback/internal/image"
)

// proposalRecord is what a pull request is recognised by. It is in the body, as a
// comment that nobody sees. Nothing else is kept of a pull request. Do not change
// its form: the pull requests of earlier versions have it, too.
type proposalRecord struct {
	// Key is that of the text. With another key the text is written again.
	Key string `json:"key"`
	// Changes are the proposed ones; see [changeID].
	Changes []string `json:"changes"`
	// Withdrawn is set where this program closed the pull request, so that nobody has
	// declined it.
	Withdrawn bool `json:"withdrawn,omitempty"`
}

const (
	recordBegin = "<!-- image-writeback: "
	recordEnd   = " -->"
	// leftAloneMarker is in the comment that says that a branch is left alone.
	leftAloneMarker = "<!-- image-writeback left this branch alone -->"
	// closedMarker is in the comment that says why a pull request is closed.
	closedMarker = "<!-- image-writeback closed this -->"
)

// changeID is a change as the file and the image that it is in, and the new
// version. It is short, since a body has room for 65,536 characters. It says
// nothing about the old version.
func changeID(c image.Change) string {
	location := sha256.Sum256([]byte(c.File + "\n" + c.Image))
	version := sha256.Sum256([]byte(c.New.String()))
	return hex.EncodeToString(location[:3]) + "-" + hex.EncodeToString(version[:3])
}

// locationOf is the part of a [changeID] that stands for file and image.
func locationOf(id string) string {
	location, _, _ := strings.Cut(id, "-")
	return location
}

// coveredBy reports whether changes set all images of a record, in the same files.
func (r proposalRecord) coveredBy(changes []image.Change) bool {
	covered := map[string]bool{}
	for _, c := range changes {
		covered[locationOf(changeID(c))] = true
	}

	for _, id := range r.Changes {
		if !covered[locationOf(id)] {
			return false
		}
	}

	return len(r.Changes) > 0
}

// withRecord puts a record under a text, in place of the one that it may have. JSON
// as Go writes it cannot end a comment: it has no ">".
func withRecord(text string, r proposalRecord) string {
	text, _, _ = strings.Cut(text, recordBegin)
	line, _ := json.Marshal(r) // strings and a bool: it cannot fail
	return strings.TrimRight(text, "\n") + "\n\n" + recordBegin + string(line) + recordEnd + "\n"
}

// recordOf finds the record of a body. ok is false where somebody has removed it.
func recordOf(body string) (r proposalRecord, ok bool) {
	_, rest, found := strings.Cut(body, recordBegin)
	line, _, ended := strings.Cut(rest, recordEnd)
	return r, found && ended && json.Unmarshal([]byte(line), &r) == nil
}

// declinedBy returns the newest of the closed pull requests of a head by which
// people declined changes. It returns nil where any of the changes was not
// declined: something is new then.
func declinedBy(closed []forge.PullRequest, changes []image.Change, title string) *forge.PullRequest {
	var newest *forge.PullRequest
	for _, c := range changes {
		pr := declinedChangeBy(closed, c, title)
		if pr == nil {
			return nil
		}
		if newest == nil || pr.Number > newest.Number {
			newest = pr
		}
	}

	return newest
}

// declinedChangeBy returns the pull request by which people declined one change.
// closed has the newest first: the newest that proposed the change decides. Pull
// requests that have lost their record are recognised by title.
func declinedChangeBy(closed []forge.PullRequest, c image.Change, title string) *forge.PullRequest {
	for i, pr := range closed {
		r, ok := recordOf(pr.Body)
		if ok && !slices.Contains(r.Changes, changeID(c)) || !ok && pr.Title != title {
			continue
		}
		if pr.Merged || r.Withdrawn {
			return nil
		}
		return &closed[i]
	}

	return nil
}
