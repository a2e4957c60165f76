package lease

import (
	"encoding/json"
	"time"
)

// passedOn is the annotation of a Lease with what its replica passes on.
const passedOn = "image-writeback.liverty-music.github.io/passed-on"

// mostPassed bounds what is passed on at a time. A replica that finds some gone
// is told so.
const mostPassed = 100

// Lost is heard in place of what was passed on and is gone.
const Lost = ""

// passed are texts, numbered from First on.
type passed struct {
	First int      `json:"first"`
	Texts []string `json:"texts"`

	since []time.Time
}

func (p *passed) add(text string, now time.Time) {
	p.Texts, p.since = append(p.Texts, text), append(p.since, now)
	p.drop(len(p.Texts) - mostPassed)
}

func (p *passed) drop(n int) {
	if n > 0 {
		p.First, p.Texts, p.since = p.First+n, p.Texts[n:], p.since[n:]
	}
}

// note is the annotation, without what all who live have seen; empty: none.
func (p *passed) note(now time.Time, life time.Duration) string {
	old := 0
	for old < len(p.since) && now.Sub(p.since[old]) > life {
		old++
	}
	p.drop(old)
	if len(p.Texts) == 0 {
		return ""
	}
	data, err := json.Marshal(p)
	if err != nil {
		return "" // texts can be written as JSON
	}
	return string(data)
}

// heard is how much of a replica's texts was heard.
type heard struct {
	next  int
	known bool // before, its texts are older than we are
}

// read returns the texts that are new.
func (h *heard) read(note string) []string {
	var p passed
	if note == "" || json.Unmarshal([]byte(note), &p) != nil {
		h.known = true
		return nil
	}
	end := p.First + len(p.Texts)
	next, known := h.next, h.known
	h.next, h.known = max(end, next), true
	switch {
	case !known || end <= next:
		return nil
	case p.First > next:
		return append([]string{Lost}, p.Texts...)
	}
	return p.Texts[next-p.First:]
}

// Pass has the other replicas told a text, within a few seconds.
func (r *Replica) Pass(text string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.passed.add(text, time.Now())
}
