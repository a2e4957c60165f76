package gitwrite

import (
	"golang.org/x/sync/semaphore"

	"github.com/liverty-music/image-writeback/internal/limit"
)

// Limits bound what a git server may send, and what is kept of it.
type Limits struct {
	References limit.Limit // of a repository
	PackSize   limit.Limit // bytes of one answer with objects
	FileSize   limit.Limit // bytes of a file to read

	// Memory is how many bytes of all repositories together are kept in memory
	// between cycles. What needs more is kept in the cache directory, or in a
	// temporary one.
	Memory int64
}

// DefaultLimits are those of a [Service] without Options.Limits.
func DefaultLimits() Limits {
	return Limits{
		References: limit.Limit{Max: 50_000},
		PackSize:   limit.Limit{Max: 256 << 20},
		FileSize:   limit.Limit{Max: 1 << 20},
		Memory:     128 << 20,
	}
}

// The limits that no configuration changes.
const (
	maxRefusal   = 64 << 10 // what is read of an answer that is an error
	maxPreamble  = 4 << 20  // what comes before a pack, or reports on a push
	maxReference = 512      // bytes of a reference in an advertisement, on average
	maxObject    = 16 << 20 // a tree, a commit, or what must be read to make a file from its delta
	maxObjects   = 500_000  // of one pack
	maxChain     = 4000     // deltas of deltas
	// maxInflated is how much larger than its limit a pack may be when it is
	// decompressed. Files that nobody needs count only for the first.
	maxInflated, maxKept = 8, 4
	// largeAdvertisement is how many bytes of branches may be in memory without waiting
	// for room: those of at most maxLargeAdvertisements requests are more at a time.
	largeAdvertisement     = 1 << 20
	maxLargeAdvertisements = 2
)

// limits are those of a service, with what all of its repositories share.
type limits struct {
	Limits
	// unpacking is held while a large pack is unpacked, which needs memory.
	unpacking *semaphore.Weighted
	// advertising is held while the branches of a large advertisement are in memory.
	advertising *limit.Room
}

func newLimits(l Limits) *limits {
	if l == (Limits{}) {
		l = DefaultLimits()
	}

	return &limits{
		Limits: l, unpacking: semaphore.NewWeighted(1), advertising: limit.NewRoom(maxLargeAdvertisements),
	}
}
