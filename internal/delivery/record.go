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

// proposalRecord identifies a pull request and what it proposes. It is a hidden
// comment in the body, and the only state that is kept. Do not change its format:
// pull requests of earlier versions have it, too.
type proposalRecord struct {
	// Key is the [keyOf] for which the text was written. If the key differs, the
	// text is written again.
	Key string `json:"key"`
	// Changes has the [changeID] of each proposed change.
	Changes []string `json:"changes"`
	// Withdrawn is set if this program closed the pull request, so that it does not
	// count as declined.
	Withdrawn bool `json:"withdrawn,omitempty"`
}

const (
	recordBegin = "<!-- image-writeback: "
	recordEnd   = " -->"
	// leftAloneMarker marks the comment that a branch is no longer updated.
	leftAloneMarker = "<!-- image-writeback left this branch alone -->"
	// closedMarker marks the comment that says why a pull request is closed.
	closedMarker = "<!-- image-writeback closed this -->"
)

// changeID identifies a change by its file, its image and its new version, but not
// by its old version. It is short, because a body is limited to 65,536 characters.
func changeID(c image.Change) string {
	location := sha256.Sum256([]byte(c.File + "\n" + c.Image))
	version := sha256.Sum256([]byte(c.New.String()))
	return hex.EncodeToString(location[:3]) + "-" + hex.EncodeToString(version[:3])
}

// locationOf returns the part of a [changeID] that identifies file and image.
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

// withRecord appends a record to a text, and replaces a record that the text already
// has. Go's JSON cannot end the comment, because it escapes ">".
func withRecord(text string, r proposalRecord) string {
	text, _, _ = strings.Cut(text, recordBegin)
	line, _ := json.Marshal(r) // cannot fail for strings and a bool
	return strings.TrimRight(text, "\n") + "\n\n" + recordBegin + string(line) + recordEnd + "\n"
}

// recordOf reads the record in a body. ok is false if somebody removed it.
func recordOf(body string) (r proposalRecord, ok bool) {
	_, rest, found := strings.Cut(body, recordBegin)
	line, _, ended := strings.Cut(rest, recordEnd)
	return r, found && ended && json.Unmarshal([]byte(line), &r) == nil
}

// declinedBy returns the newest closed pull request of a head by which people
// declined changes. It returns nil unless all changes were declined.
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

// declinedChangeBy returns the pull request by which people declined one change; nil
// if they did not. closed has the newest first, and the newest pull request that
// proposed the change decides. Without a record, the title identifies it.
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
