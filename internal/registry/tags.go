package registry

import (
	"crypto/sha256"
	"sync"
	"time"

	"github.com/liverty-music/image-writeback/internal/image"
)

// tagLife is how long tags of a repository are assumed not to move while the list
// of its names stays the same. A push normally adds a name, even if it moves a tag
// such as latest too. A push that only moves a tag is noticed by a trigger, or
// after this time.
const tagLife = time.Hour

// tagCache has what the tags of one repository pointed to when they were looked up
// last, so that a registry that lists names alone is not asked for each of them in
// each cycle.
type tagCache struct {
	mu       sync.Mutex
	names    [sha256.Size]byte // hash of the list
	since    time.Time         // when the list came
	digests  map[string]string // looked up since then
	previous map[string]string // looked up before
}

// bytes is about how much memory it needs.
func (c *tagCache) bytes() int64 {
	c.mu.Lock()
	defer c.mu.Unlock()

	return tagCacheSize + int64(len(c.digests)+len(c.previous))*tagSize
}

// What a tagCache needs: by itself, and for each tag that was looked up.
const (
	tagCacheSize = 1 << 10
	tagSize      = 200
)

// current returns what a tag points to; empty: it must be looked up.
func (c *tagCache) current(tag string) string {
	c.mu.Lock()
	defer c.mu.Unlock()

	return c.digests[tag]
}

// last returns what a tag pointed to when it was looked up last; empty: it never
// was.
func (c *tagCache) last(tag string) string {
	c.mu.Lock()
	defer c.mu.Unlock()
	if digest := c.digests[tag]; digest != "" {
		return digest
	}

	return c.previous[tag]
}

// update takes a new list. All tags must be looked up again if the list differs
// from the one before, if that is older than tagLife, or with recheck.
func (c *tagCache) update(list []image.Tag, now time.Time, recheck bool) {
	hash := sha256.New()
	for _, tag := range list {
		_, _ = hash.Write([]byte(tag.Name + "\n"))
	}
	names := [sha256.Size]byte(hash.Sum(nil))

	c.mu.Lock()
	defer c.mu.Unlock()
	if c.names == names && !recheck && now.Sub(c.since) < tagLife {
		return
	}

	previous := map[string]string{} // of tags that still exist
	for _, tag := range list {
		if digest, ok := c.digests[tag.Name]; ok {
			previous[tag.Name] = digest
		} else if digest, ok := c.previous[tag.Name]; ok {
			previous[tag.Name] = digest
		}
	}
	c.names, c.since, c.digests, c.previous = names, now, nil, previous
}

func (c *tagCache) put(tag, digest string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.digests == nil {
		c.digests = map[string]string{}
	}
	c.digests[tag] = digest
}

// useCachedDigests takes what the tags are assumed to point to as looked up.
func (r *Repository) useCachedDigests(tags []image.Tag) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, tag := range tags {
		if digest := r.tags.current(tag.Name); digest != "" && r.digests[tag.Name] == "" {
			r.digests[tag.Name] = digest
		}
	}
}

// digestOf returns what a tag points to in this cycle; empty: it was not looked up.
func (r *Repository) digestOf(tag string) string {
	r.mu.Lock()
	defer r.mu.Unlock()

	return r.digests[tag]
}

// setDigest notes what a tag points to.
func (r *Repository) setDigest(tag, digest string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.digests[tag] = digest
	r.tags.put(tag, digest)
}

// tagCache returns the cache of a repository, as one set of credentials sees it.
func (c *Client) tagCache(key string) *tagCache {
	return c.tags.GetOrPut(key, tagCacheSize, func() *tagCache { return &tagCache{} })
}
