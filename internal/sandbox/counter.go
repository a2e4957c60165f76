package sandbox

import "sync"

// Counter counts the requests that a part serves, by kind.
type Counter struct {
	mu     sync.Mutex
	counts map[string]int
}

// Served counts one more request of a kind.
func (c *Counter) Served(kind string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.counts == nil {
		c.counts = map[string]int{}
	}
	c.counts[kind]++
}

// Count is how many requests of a kind were served; the part's own text names
// its kinds.
func (c *Counter) Count(kind string) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.counts[kind]
}
