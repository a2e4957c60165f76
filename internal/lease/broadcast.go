package lease

import (
	"encoding/json"
	"time"
)

// broadcastAnnotation is the annotation of a Lease that contains the texts that its
// replica broadcasts.
const broadcastAnnotation = "image-writeback.liverty-music.github.io/passed-on"

// maxTexts limits the texts in an annotation. If there are more, the oldest are
// dropped, and replicas that have not read them receive Lost.
const maxTexts = 100

// Lost is received instead of texts that were dropped before they were read.
const Lost = ""

// outbox has the texts of this replica that others may not have read yet. First is the
// number of the first text.
type outbox struct {
	First int      `json:"first"`
	Texts []string `json:"texts"`

	since []time.Time // when each text was added
}

func (o *outbox) add(text string, now time.Time) {
	o.Texts, o.since = append(o.Texts, text), append(o.since, now)
	o.drop(len(o.Texts) - maxTexts)
}

// drop removes the first n texts.
func (o *outbox) drop(n int) {
	if n > 0 {
		o.First, o.Texts, o.since = o.First+n, o.Texts[n:], o.since[n:]
	}
}

// annotation drops the texts that are older than life, because every live replica has
// read them, and returns the rest as JSON; empty if there are none.
func (o *outbox) annotation(now time.Time, life time.Duration) string {
	old := 0
	for old < len(o.since) && now.Sub(o.since[old]) > life {
		old++
	}
	o.drop(old)

	if len(o.Texts) == 0 {
		return ""
	}
	data, err := json.Marshal(o)
	if err != nil {
		return "" // cannot happen: JSON can represent all strings
	}

	return string(data)
}

// inbox is the position up to which this replica has read another replica's outbox.
type inbox struct {
	next    int  // number of the next text
	started bool // if not, the texts are older than this replica
}

// read returns the new texts of an annotation.
func (i *inbox) read(annotation string) []string {
	var o outbox
	if annotation == "" || json.Unmarshal([]byte(annotation), &o) != nil {
		i.started = true
		return nil
	}

	end := o.First + len(o.Texts)
	next, started := i.next, i.started
	i.next, i.started = max(end, next), true
	switch {
	case !started || end <= next:
		return nil
	case o.First > next:
		return append([]string{Lost}, o.Texts...)
	}

	return o.Texts[next-o.First:]
}

// Broadcast sends a text to the other replicas. They receive it within a few
// seconds, when both sides have renewed their Leases.
func (r *Replica) Broadcast(text string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.outbox.add(text, time.Now())
}
