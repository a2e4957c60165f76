// Package lease divides git repositories among replicas. Each replica renews its
// own Lease and watches the others' Leases. Each repository belongs to one live
// replica, by rendezvous hashing: when a replica starts or stops, only the
// repositories that it gains or loses change their owner. Use [Replica.Owns] before
// each piece of work, and [Replica.Broadcast] to inform the other replicas.
//
// Do not use it as a lock. A process that pauses between calling Owns and writing
// may write late: nothing is fenced, as with client-go's leader election. Leases
// only prevent duplicate work. Correctness does not depend on them: git rejects a
// push that is based on an outdated commit.
//
// The rules are the same as in client-go's leader election, which gives one lock to
// one holder, while this package divides many repositories with one small request
// every few seconds. A new replica waits until all others must have seen its Lease.
// A replica that could not renew its Lease in time, by its own clock, owns nothing.
// The clocks of two machines are never compared.
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

// Replica is a member of a group of replicas.
type Replica struct {
	// Receive is called with each text that another replica broadcasts, or with
	// Lost; nil: texts are dropped. Set it before Join.
	Receive func(text string)

	leases          client.LeaseInterface
	group, identity string
	duration        time.Duration
	log             *slog.Logger
	loggedError     string // the last logged error

	mu sync.Mutex
	// renewed is the begin of the last round that renewed our Lease and listed the
	// others; zero: we are not a member. Time passes while the process is paused.
	renewed time.Time
	// start is when we may work, because all others must have seen our Lease.
	start         time.Time
	others        map[string]*other // by identity, also those that are not live
	loggedWorking bool              // the last logged state
	outbox        outbox
}

// other is another replica. It is live as long as its Lease keeps changing.
type other struct {
	version string
	since   time.Time // when version was first seen
	life    time.Duration
	removed bool // we tried to delete its Lease
	inbox   inbox
}

func (o *other) live(now time.Time) bool { return now.Sub(o.since) <= o.life }

// New returns a replica that is not a member yet. identity is the name of its Lease
// and must be unique for each process. duration, in whole seconds, is the time
// without a renewal after which the others take over the replica's repositories.
func New(
	leases client.LeaseInterface, group, identity string, duration time.Duration, log *slog.Logger,
) *Replica {
	return &Replica{
		leases: leases, group: group, identity: identity, duration: duration, log: log, others: map[string]*other{},
	}
}

// Identity returns a name for the Lease of this process: the host name, which is the
// pod's name, and random letters. If the host name is not valid in the name of a
// Lease, fallback replaces it.
func Identity(fallback string) string {
	host, err := os.Hostname()
	if err != nil || len(validation.IsDNS1123Subdomain(host)) > 0 {
		host = fallback
	}

	return host + "-" + rand.String(5)
}

// period is the interval of renewals: 2 s of 15 s, as in client-go.
func (r *Replica) period() time.Duration { return r.duration * 2 / 15 }

// limit is how long a replica works without renewing its Lease: 10 s of 15 s, as in
// client-go.
func (r *Replica) limit() time.Duration { return r.duration * 2 / 3 }

// Join makes the replica a member. It logs errors, and Run retries.
func (r *Replica) Join(ctx context.Context) { _ = r.turn(ctx) }

// Run renews the Lease until ctx ends, and then deletes it; all work must have ended
// before. It calls changed when the owner of a repository may have changed.
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

// turn runs a round and logs its results. It reports whether the owner of a repository
// may have changed.
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

// logWorking logs when this replica starts or stops working, and reports whether it
// did.
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
		r.log.Info("this replica now works on its share of the repositories",
			"lease", r.identity, "otherReplicas", len(r.live(now)))
	} else {
		r.log.Warn("this replica pauses, because its Lease has expired", "lease", r.identity)
	}

	return true
}

// Owns reports whether a thing, such as a git repository, belongs to this replica now.
// A replica owns nothing while its Lease has expired, or is so new that others may not
// have seen it.
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

// score is the bid of a replica for a repository; the highest bid owns it.
func score(identity, thing string) uint64 {
	sum := sha256.Sum256([]byte(identity + "\x00" + thing))

	return binary.BigEndian.Uint64(sum[:8])
}
