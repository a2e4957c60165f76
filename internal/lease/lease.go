// Package lease divides work among replicas. Each replica keeps a Lease of its own
// and watches those of the others; each git repository belongs to one of the live
// replicas, by rendezvous hashing, so that a replica that comes or goes changes
// the owner only of what it takes or leaves. Use [Replica.Owns] before each piece
// of work, and [Replica.Broadcast] for what another replica must know.
//
// Do not use it as a lock. A process that stops between asking Owns and writing
// may write late: nothing is fenced, as with client-go's leader election. Leases
// only prevent duplicate work. Correctness does not depend on them: git rejects a
// push that is based on an outdated commit.
//
// The rules are those of client-go's leader election, which gives one lock to one
// holder, while this divides many things with one small request every few seconds:
// a new replica waits until all others must have seen its Lease; one that could
// not renew its Lease in time owns nothing, by its own clock; and clocks of two
// machines are never compared.
package lease

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"log/slog"
	"os"
	"slices"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/util/rand"
	"k8s.io/apimachinery/pkg/util/validation"
	client "k8s.io/client-go/kubernetes/typed/coordination/v1"
)

// GroupLabel is the label of every Lease; its value is the name of the group.
const GroupLabel = "image-writeback.liverty-music.github.io/replicas-of"

// Replica is a member of a group that divides work.
type Replica struct {
	// Receive is called with what other replicas broadcast, or with Lost; nil: it
	// is not. Set it before Join.
	Receive func(text string)

	leases          client.LeaseInterface
	group, identity string
	duration        time.Duration
	log             *slog.Logger
	loggedError     string // the newest

	mu sync.Mutex
	// renewed is when the last round began that renewed our Lease and saw the
	// others; zero: we are not a member. The clock goes on while we are halted.
	renewed time.Time
	// start is when all others must have seen our Lease, so that we may work.
	start         time.Time
	others        map[string]*other // by identity, also those that are not live
	loggedWorking bool              // the newest
	outbox        outbox
}

// other is another replica as this one sees it. It is live as long as its Lease
// changes.
type other struct {
	version string
	since   time.Time // when version was first seen
	life    time.Duration
	removed bool // its Lease was to be deleted
	inbox   inbox
}

func (o *other) live(now time.Time) bool { return now.Sub(o.since) <= o.life }

// New returns a replica that is not a member yet. identity is the name of its
// Lease, which differs for each process. duration, in whole seconds, is how long
// the others wait for a replica that does not renew its Lease before they take
// over its work.
func New(
	leases client.LeaseInterface, group, identity string, duration time.Duration, log *slog.Logger,
) *Replica {
	return &Replica{
		leases: leases, group: group, identity: identity, duration: duration, log: log, others: map[string]*other{},
	}
}

// Identity returns a name for the Lease of this process: the name of its host,
// which is the pod's, and random letters. If that is not a valid name of a Lease,
// it begins with fallback.
func Identity(fallback string) string {
	host, err := os.Hostname()
	if err != nil || len(validation.IsDNS1123Subdomain(host)) > 0 {
		host = fallback
	}

	return host + "-" + rand.String(5)
}

// period is how often a Lease is renewed; 2 s of 15 s, as in client-go.
func (r *Replica) period() time.Duration { return r.duration * 2 / 15 }

// limit is how long a replica works without renewing its Lease; 10 s of 15 s, as in
// client-go.
func (r *Replica) limit() time.Duration { return r.duration * 2 / 3 }

// Join makes the replica a member. An error is logged, and Run tries again.
func (r *Replica) Join(ctx context.Context) { _ = r.turn(ctx) }

// Run keeps the Lease until ctx ends, and then deletes it; all work must have ended
// before. It calls changed when the owner of something may have changed.
func (r *Replica) Run(ctx context.Context, changed func()) {
	ticker := time.NewTicker(r.period())
	defer ticker.Stop()

	for {
		select {
		case <-ctx.Done():
			r.leave()
			return
		case <-ticker.C:
			if r.turn(ctx) {
				changed()
			}
		}
	}
}

// turn is a round with its logs. It reports whether the owner of something may have
// changed.
func (r *Replica) turn(ctx context.Context) bool {
	moved, err := r.round(ctx)

	text := ""
	if err != nil && ctx.Err() == nil {
		if text = err.Error(); text != r.loggedError {
			r.log.Error("the Lease of this replica cannot be renewed", "error", text)
		}
	}
	r.loggedError = text

	return r.logWorking() || moved
}

// logWorking logs when this replica starts and stops to work, and reports whether
// it did.
func (r *Replica) logWorking() (changed bool) {
	r.mu.Lock()
	defer r.mu.Unlock()

	now := time.Now()
	working := r.works(now)
	if working == r.loggedWorking {
		return false
	}

	r.loggedWorking = working
	if working {
		r.log.Info("this replica takes its share of the work", "lease", r.identity, "otherReplicas", len(r.live(now)))
	} else {
		r.log.Warn("this replica pauses, because its Lease has expired", "lease", r.identity)
	}

	return true
}

// Owns reports whether something, such as a git repository, is for this replica to
// work on now. Nothing is while its Lease has expired, or is so new that others may
// not have seen it.
func (r *Replica) Owns(thing string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()

	now := time.Now()
	if !r.works(now) {
		return false
	}

	own := score(r.identity, thing)
	for name, o := range r.others {
		if o.live(now) && score(name, thing) > own {
			return false
		}
	}

	return true
}

// works reports whether this replica may work at all. r.mu is held.
func (r *Replica) works(now time.Time) bool { return !r.expired(now) && !now.Before(r.start) }

// expired reports whether this replica is not a member, or has not renewed its
// Lease in time. r.mu is held.
func (r *Replica) expired(now time.Time) bool {
	return r.renewed.IsZero() || now.Sub(r.renewed) > r.limit()
}

// live returns the other replicas that are live. r.mu is held.
func (r *Replica) live(now time.Time) []string {
	var live []string
	for name, o := range r.others {
		if o.live(now) {
			live = append(live, name)
		}
	}
	slices.Sort(live)

	return live
}

// score is the claim of a replica to a thing; the highest one owns it.
func score(identity, thing string) uint64 {
	sum := sha256.Sum256([]byte(identity + "\x00" + thing))

	return binary.BigEndian.Uint64(sum[:8])
}
