package limit

import (
	"math"
	"sync"

	"github.com/hashicorp/golang-lru/v2/simplelru"
)

// Cache keeps values up to a number of bytes; those that were not used for the
// longest time go first. It may be used from several goroutines.
type Cache[K comparable, V any] struct {
	mu   sync.Mutex
	lru  *simplelru.LRU[K, sized[V]]
	size int64
	max  int64
	gone func(K, V)
}

type sized[V any] struct {
	value V
	size  int64
}

// NewCache returns an empty cache of at most limit bytes.
func NewCache[K comparable, V any](limit int64) *Cache[K, V] {
	c := &Cache[K, V]{max: limit}

	var err error
	c.lru, err = simplelru.NewLRU(math.MaxInt, func(_ K, gone sized[V]) { c.size -= gone.size })
	if err != nil {
		panic(err) // the number is positive
	}

	return c
}

// OnEvict makes the cache call gone for each value that must go because there is no
// room for it. gone must not use the cache.
func (c *Cache[K, V]) OnEvict(gone func(K, V)) { c.gone = gone }

// Get returns the value of a key, which counts as used.
func (c *Cache[K, V]) Get(key K) (V, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	found, ok := c.lru.Get(key)

	return found.value, ok
}

// GetOrPut returns the value of a key; if there is none, that of create is kept
// with a size.
func (c *Cache[K, V]) GetOrPut(key K, size int64, create func() V) V {
	c.mu.Lock()
	defer c.mu.Unlock()

	if found, ok := c.lru.Get(key); ok {
		return found.value
	}

	value := create()
	c.put(key, value, size)

	return value
}

// Put keeps a value that needs about size bytes. A value that alone is larger than
// the cache is not kept.
func (c *Cache[K, V]) Put(key K, value V, size int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.put(key, value, size)
}

func (c *Cache[K, V]) put(key K, value V, size int64) {
	c.lru.Remove(key)
	if size > c.max {
		if c.gone != nil {
			c.gone(key, value)
		}
		return
	}

	c.lru.Add(key, sized[V]{value, size})
	c.size += size
	for c.size > c.max {
		key, oldest, _ := c.lru.RemoveOldest()
		if c.gone != nil {
			c.gone(key, oldest.value)
		}
	}
}

// Resize notes that the value of a key, if it is still kept, has grown or shrunk.
func (c *Cache[K, V]) Resize(key K, size int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if found, ok := c.lru.Peek(key); ok {
		c.put(key, found.value, size)
	}
}

// Remove drops the value of a key.
func (c *Cache[K, V]) Remove(key K) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.lru.Remove(key)
}

// Len returns how many values are kept.
func (c *Cache[K, V]) Len() int {
	c.mu.Lock()
	defer c.mu.Unlock()

	return c.lru.Len()
}

// All calls yield for each value, the one that was not used for the longest time
// first.
func (c *Cache[K, V]) All(yield func(K, V) bool) {
	c.mu.Lock()
	defer c.mu.Unlock()

	for _, key := range c.lru.Keys() {
		if found, ok := c.lru.Peek(key); ok && !yield(key, found.value) {
			return
		}
	}
}
