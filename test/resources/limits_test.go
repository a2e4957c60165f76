package resources

import (
	"testing"
	"time"
)

// TestTooMuch has all kinds of answers that are too large in one world. The program
// holds little of them, and all updates that are not about them land.
func TestTooMuch(t *testing.T) {
	w := newWorld(t)
	w.addRegistryOffenders()
	w.addGitOffenders()
	w.addLargeFiles()
	c := w.start("interval: 1h\n")

	w.landed(c)
	w.named(c, time.Minute)
	t.Logf("%d offenders were named within %s; %.0f MB were resident at most", len(w.offenders),
		time.Since(c.begin).Round(100*time.Millisecond), c.resident())
}
