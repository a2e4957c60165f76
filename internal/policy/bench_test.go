package policy

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/liverty-music/image-writeback/internal/image"
)

// BenchmarkChoose chooses among 10,000 tags, as a registry's listing gives them.
func BenchmarkChoose(b *testing.B) {
	begin := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	var tags []image.Tag
	for i := range 10_000 {
		tags = append(tags, image.Tag{
			Name:    fmt.Sprintf("1.%d.%d", i/100, i%100),
			Digest:  "sha256:" + strings.Repeat("0", 64),
			Created: begin.Add(time.Duration(i) * time.Minute),
		})
	}
	for _, p := range []Policy{
		{Strategy: SemVer, Constraint: "^1.0"},
		{Strategy: NewestBuild},
		{Strategy: Alphabetical},
		{Strategy: Digest, Constraint: "1.50.50"},
	} {
		b.Run(string(p.Strategy), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if c := p.Choose(p.Standing(tags)); !c.Found {
					b.Fatal(c.Reason)
				}
			}
		})
	}
}
