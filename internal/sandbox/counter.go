package sandbox

import "sync"

// counter counts the requests that a part serves, by kind.
type counter struct {
	countMu sync.Mutex
	counts  map[string]int
}

func (c *counter) served(kind string) {
	c.countMu.Lock()
	defer c.countMu.Unlock()
	if c.counts == nil {
		c.counts = map[string]int{}
	}
	c.counts[kind]++
}

// Count is how many requests of a kind were served; the part's own text names
// its kinds.
func (c *counter) Count(kind string) int {
	c.countMu.Lock()
	defer c.countMu.Unlock()
	return c.counts[kind]
}
