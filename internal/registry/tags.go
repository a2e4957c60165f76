package registry

import (
	"crypto/sha256"
	"sync"
	"time"

	"github.com/liverty-music/image-writeback/internal/image"
)

// tagsLife is how long it is believed, of a repository whose list of names has
// not changed, that no tag was moved. Who pushes an image gives it a new name,
// as a rule, even where a tag such as latest moves as well; where the name alone
// moves, an event tells, or this.
const tagsLife = time.Hour

// tags are what the tags of one repository stood for when they were last asked
// for. Registries that list names alone are so not asked for each of them in
// each cycle.
type tags struct {
	mu      sync.Mutex
	names   [sha256.Size]byte // of the list
	since   time.Time         // when it came
	digests map[string]string // asked for since then
	older   map[string]string // asked for before
}

// believed is what a tag stands for; empty: it must be asked for.
func (t *tags) believed(tag string) string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.digests[tag]
}

// before is what a tag stood for; empty: nobody knows.
func (t *tags) before(tag string) string {
	t.mu.Lock()
	defer t.mu.Unlock()
	if digest := t.digests[tag]; digest != "" {
		return digest
	}
	return t.older[tag]
}

// listed notes a list of names. Where it is another one than before, is doubted
// or has been believed for long, all tags are to be asked for.
func (t *tags) listed(listing []image.Tag, doubted bool, now time.Time) {
	sum := sha256.New()
	for _, tag := range listing {
		_, _ = sum.Write([]byte(tag.Name + "\n"))
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	names := [sha256.Size]byte(sum.Sum(nil))
	if t.names == names && !doubted && now.Sub(t.since) < tagsLife {
		return
	}
	kept := map[string]string{} // of tags that are there still
	for _, tag := range listing {
		if digest, ok := t.digests[tag.Name]; ok {
			kept[tag.Name] = digest
		} else if digest, ok := t.older[tag.Name]; ok {
			kept[tag.Name] = digest
		}
	}
	t.names, t.since, t.digests, t.older = names, now, nil, kept
}

func (t *tags) put(tag, digest string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.digests == nil {
		t.digests = map[string]string{}
	}
	t.digests[tag] = digest
}

// Doubt has every tag asked for again in this cycle: somebody says that one was
// pushed.
func (r *Repository) Doubt() { r.doubted = true }

// believe takes tags for what they stood for when they were last asked for.
func (r *Repository) believe(all []image.Tag) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, tag := range all {
		if digest := r.tags.believed(tag.Name); digest != "" && r.resolved[tag.Name] == "" {
			r.resolved[tag.Name] = digest
		}
	}
}

// digestOf is what a tag stands for in this cycle; empty: it was not asked for.
func (r *Repository) digestOf(tag string) string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.resolved[tag]
}

func (r *Repository) resolve(tag, digest string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.resolved[tag] = digest
	r.tags.put(tag, digest)
}

// tagsOf are those of a repository, as one set of credentials sees it.
func (c *Client) tagsOf(key string) *tags {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.tags[key] == nil {
		c.tags[key] = &tags{}
	}
	return c.tags[key]
}
