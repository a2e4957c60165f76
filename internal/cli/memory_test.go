package cli

import "testing"

// TestMemoryLimit checks what Go may use of a container's memory.
func TestMemoryLimit(t *testing.T) {
	for _, c := range []struct {
		goLimit, container string
		want               int64
		ok                 bool
	}{
		{"", "536870912", 483183819, true}, // 512Mi
		{"400MiB", "536870912", 0, false},  // Go reads its own setting itself
		{"", "", 0, false},
		{"", "512Mi", 0, false},
		{"", "0", 0, false},
	} {
		got, ok := memoryLimit(c.goLimit, c.container)
		if ok != c.ok || got/10 != c.want/10 {
			t.Errorf("%q, %q: %d, %t", c.goLimit, c.container, got, ok)
		}
	}
}
