// Package lease divides work among replicas. Each replica keeps a Lease of its
// own and sees those of the others; every git repository belongs to one of the
// replicas that live, chosen by rendezvous hashing, so that only what a replica
// that comes or goes has to do changes hands. Of one repository's replicas, one
// works and the others wait to take over.
//
// client-go's leader election gives one lock to one holder; this divides many
// things with one small request every few seconds. Its rules are the same: a
// replica that comes waits until all others must have seen its Lease, one that
// cannot renew its Lease in time owns nothing, by its own clock, and clocks of
// two machines are never compared. As there, nothing is fenced: a process that
// is halted between the question whether it owns a repository and the write
// may write late. So Leases only save work; what is right rests on git, where
// every push names the head that it was made from.
package lease

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"slices"
	"sync"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/rand"
	"k8s.io/apimachinery/pkg/util/validation"
	client "k8s.io/client-go/kubernetes/typed/coordination/v1"
)

// GroupLabel is on every Lease; its value is the name of the group.
const GroupLabel = "image-writeback.liverty-music.github.io/replicas-of"

// Replica is a member of a group that divides work.
type Replica struct {
	// Heard is told what others pass on, or Lost; nil: nobody is. Set it before
	// Join.
	Heard func(text string)

	leases          client.LeaseInterface
	group, identity string
	duration        time.Duration
	log             *slog.Logger
	failed          string // what was logged last

	mu sync.Mutex
	// renewed is when the last round began that renewed our Lease and saw the
	// others; zero: we are no member. The clock goes on while we are halted.
	renewed time.Time
	// from is when all others must have seen our Lease, so that we may work.
	from    time.Time
	others  map[string]*other // by identity, the dead ones too
	working bool              // what was logged last
	passed  passed
}

// other is another replica as we see it: it lives as long as its Lease changes.
type other struct {
	version string
	seen    time.Time // when version was seen first
	life    time.Duration
	buried  bool // its Lease was to be deleted
	heard   heard
}

func (o *other) lives(now time.Time) bool { return now.Sub(o.seen) <= o.life }

// New returns a replica that is not a member yet. Identity is the name of its
// Lease, another one for each process. Duration, in whole seconds, is how long
// the others wait for a replica that is silent before they take over its work.
func New(leases client.LeaseInterface, group, identity string, duration time.Duration, log *slog.Logger) *Replica {
	return &Replica{leases: leases, group: group, identity: identity, duration: duration, log: log, others: map[string]*other{}}
}

// Identity makes a name for the Lease of this process: its host's, which is the
// pod's, so that people see whose it is, and some letters of chance. Where the
// host has no name that a Lease may have, it is otherwise.
func Identity(otherwise string) string {
	host, err := os.Hostname()
	if err != nil || len(validation.IsDNS1123Subdomain(host)) > 0 {
		host = otherwise
	}
	return host + "-" + rand.String(5)
}

// How often a Lease is renewed, and after which time without success its owner
// stops to work: with 15 s, these are client-go's 2 s and 10 s.
func (r *Replica) period() time.Duration { return r.duration * 2 / 15 }
func (r *Replica) limit() time.Duration  { return r.duration * 2 / 3 }

// Join makes us a member. What hinders it is logged, and tried again by Run.
func (r *Replica) Join(ctx context.Context) { _ = r.turn(ctx) }

// Run keeps our Lease until ctx ends, and deletes it then, for which work must
// have ended. It calls changed whenever something may have changed hands.
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

// turn is a round with its logs. It tells whether something may have changed
// hands.
func (r *Replica) turn(ctx context.Context) bool {
	moved, err := r.round(ctx)
	failed := ""
	if err != nil && ctx.Err() == nil {
		if failed = err.Error(); failed != r.failed {
			r.log.Error("the Lease of this replica cannot be kept", "error", failed)
		}
	}
	r.failed = failed
	return r.say() || moved
}

// round renews our Lease, looks at the others', and tells whether others have
// come or gone.
func (r *Replica) round(ctx context.Context) (moved bool, _ error) {
	begin := time.Now()
	ctx, cancel := context.WithTimeout(ctx, r.limit())
	defer cancel()
	list, ours, err := r.list(ctx)
	if err != nil {
		return false, err
	}
	joining := ours == nil || r.expired(begin)
	if err := r.renew(ctx, ours, joining); err != nil {
		return false, err
	}
	if joining { // whoever came before us is seen once our Lease is there
		if list, _, err = r.list(ctx); err != nil {
			return false, err
		}
	}
	moved, dead, texts := r.observe(list, begin, joining)
	for _, text := range texts {
		if r.Heard != nil {
			r.Heard(text)
		}
	}
	for name, version := range dead {
		if err := r.remove(ctx, name, &version); err != nil {
			r.log.Warn("the Lease of a replica that is gone was not deleted", "lease", name, "error", err.Error())
		}
	}
	return moved, nil
}

func (r *Replica) list(ctx context.Context) (all []coordinationv1.Lease, ours *coordinationv1.Lease, _ error) {
	list, err := r.leases.List(ctx, metav1.ListOptions{LabelSelector: GroupLabel + "=" + r.group})
	if err != nil {
		return nil, nil, fmt.Errorf("listing the Leases of replicas: %w%s", err, remedy(err))
	}
	for i := range list.Items {
		if list.Items[i].Name == r.identity {
			ours = &list.Items[i]
		}
	}
	return list.Items, ours, nil
}

// renew writes our Lease: anew where it is not there.
func (r *Replica) renew(ctx context.Context, ours *coordinationv1.Lease, joining bool) error {
	now, seconds := metav1.NowMicro(), int32(r.duration/time.Second) //nolint:gosec // config allows an hour at most
	lease := ours
	if lease == nil {
		lease = &coordinationv1.Lease{ObjectMeta: metav1.ObjectMeta{Name: r.identity, Labels: map[string]string{GroupLabel: r.group}}}
	}
	lease.Spec.HolderIdentity, lease.Spec.LeaseDurationSeconds, lease.Spec.RenewTime = &r.identity, &seconds, &now
	if joining {
		lease.Spec.AcquireTime = &now
	}
	r.mu.Lock()
	note := r.passed.note(time.Now(), r.duration)
	r.mu.Unlock()
	delete(lease.Annotations, passedOn)
	if note != "" {
		metav1.SetMetaDataAnnotation(&lease.ObjectMeta, passedOn, note)
	}
	var err error
	if ours == nil {
		_, err = r.leases.Create(ctx, lease, metav1.CreateOptions{})
	} else {
		_, err = r.leases.Update(ctx, lease, metav1.UpdateOptions{})
	}
	if err != nil {
		return fmt.Errorf("renewing the Lease %s: %w%s", r.identity, err, remedy(err))
	}
	return nil
}

func remedy(err error) string {
	switch {
	case apierrors.IsForbidden(err):
		return "; grant list, create, update and delete on leases.coordination.k8s.io in this namespace to this account"
	case apierrors.IsNotFound(err):
		return "; is leaderElection.namespace right?"
	}
	return ""
}

// observe notes how the others are, in a list that was made after begin. dead
// are the Leases to be deleted, with their versions; texts were passed on.
func (r *Replica) observe(list []coordinationv1.Lease, begin time.Time, joining bool) (moved bool, dead map[string]string, texts []string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	now := time.Now()
	before := r.living(begin)
	there := map[string]bool{}
	for i := range list {
		name, version := list[i].Name, list[i].ResourceVersion
		if name == r.identity {
			continue
		}
		there[name] = true
		if o := r.others[name]; o == nil || o.version != version {
			var before heard
			if o != nil {
				before = o.heard
			}
			o = &other{version: version, seen: now, life: r.duration, heard: before}
			texts = append(texts, o.heard.read(list[i].Annotations[passedOn])...)
			if seconds := list[i].Spec.LeaseDurationSeconds; seconds != nil {
				o.life = time.Duration(*seconds) * time.Second
			}
			r.others[name] = o
		}
	}
	maps.DeleteFunc(r.others, func(name string, _ *other) bool { return !there[name] })
	dead = map[string]string{}
	for name, o := range r.others {
		if !o.lives(now) && !o.buried {
			dead[name], o.buried = o.version, true
		}
	}
	r.renewed = begin
	if joining {
		r.from = now.Add(r.duration)
	}
	living := r.living(now)
	if len(living) == 0 {
		r.from = now
	}
	return !slices.Equal(before, living), dead, texts
}

// remove deletes a Lease, unless it is not at version any more; nil: whichever.
func (r *Replica) remove(ctx context.Context, name string, version *string) error {
	options := metav1.DeleteOptions{}
	if version != nil {
		options.Preconditions = &metav1.Preconditions{ResourceVersion: version}
	}
	err := r.leases.Delete(ctx, name, options)
	if apierrors.IsNotFound(err) || apierrors.IsConflict(err) {
		return nil // somebody else has deleted it, or it lives after all
	}
	if err != nil {
		return fmt.Errorf("%w%s", err, remedy(err))
	}
	return nil
}

// leave gives up our Lease, so that the others need not wait for its end.
func (r *Replica) leave() {
	r.mu.Lock()
	r.renewed = time.Time{}
	r.mu.Unlock()
	ctx, cancel := context.WithTimeout(context.Background(), r.limit())
	defer cancel()
	if err := r.remove(ctx, r.identity, nil); err != nil {
		r.log.Warn("the Lease of this replica was not given up; the others wait for its end", "lease", r.identity, "error", err.Error())
	}
}

// expired tells whether we are no member, or have not renewed our Lease in time.
func (r *Replica) expired(now time.Time) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.renewed.IsZero() || now.Sub(r.renewed) > r.limit()
}

// living are the others that live. r.mu is held.
func (r *Replica) living(now time.Time) []string {
	var living []string
	for name, o := range r.others {
		if o.lives(now) {
			living = append(living, name)
		}
	}
	slices.Sort(living)
	return living
}

// works tells whether we may work at all. r.mu is held.
func (r *Replica) works(now time.Time) bool {
	return !r.renewed.IsZero() && now.Sub(r.renewed) <= r.limit() && !now.Before(r.from)
}

// say logs when we begin and cease to work, and tells whether we did.
func (r *Replica) say() (changed bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	now := time.Now()
	working := r.works(now)
	if working == r.working {
		return false
	}
	r.working = working
	if working {
		r.log.Info("this replica takes its share of the work", "lease", r.identity, "otherReplicas", len(r.living(now)))
	} else {
		r.log.Warn("this replica pauses, since its Lease has run out", "lease", r.identity)
	}
	return true
}

// Owns tells whether something, such as a git repository, is ours to work on
// now. Nothing is while our Lease has run out, or is too new to be known.
func (r *Replica) Owns(thing string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	now := time.Now()
	if !r.works(now) {
		return false
	}
	own := bid(r.identity, thing)
	for name, o := range r.others {
		if o.lives(now) && bid(name, thing) > own {
			return false
		}
	}
	return true
}

// bid is what a replica offers for a thing; the highest wins.
func bid(identity, thing string) uint64 {
	sum := sha256.Sum256([]byte(identity + "\x00" + thing))
	return binary.BigEndian.Uint64(sum[:8])
}
