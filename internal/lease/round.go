package lease

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// round renews our Lease, reads the others' Leases, and reports whether other replicas
// have started or stopped.
func (r *Replica) round(ctx context.Context) (moved bool, _ error) {
	begin := time.Now()
	ctx, cancel := context.WithTimeout(ctx, r.limit())
	defer cancel()

	list, own, err := r.list(ctx)
	if err != nil {
		return false, err
	}

	r.mu.Lock()
	joining := own == nil || r.expired(begin)
	r.mu.Unlock()
	if err := r.renew(ctx, own, joining); err != nil {
		return false, err
	}

	// A list that is made after our Lease exists contains all earlier replicas.
	if joining {
		if list, _, err = r.list(ctx); err != nil {
			return false, err
		}
	}

	found := r.observe(list, begin, joining)
	for _, text := range found.texts {
		if r.Receive != nil {
			r.Receive(text)
		}
	}
	for name, version := range found.dead {
		if err := r.remove(ctx, name, &version); err != nil {
			r.log.Warn("the Lease of a stopped replica could not be deleted", "lease", name, "error", err.Error())
		}
	}

	return found.moved, nil
}

// list returns the Leases of the group, and our own; nil if it does not exist.
func (r *Replica) list(ctx context.Context) (all []coordinationv1.Lease, own *coordinationv1.Lease, _ error) {
	list, err := r.leases.List(ctx, metav1.ListOptions{LabelSelector: GroupLabel + "=" + r.group})
	if err != nil {
		return nil, nil, fmt.Errorf("listing the Leases of replicas: %w%s", err, remedy(err))
	}

	for i := range list.Items {
		if list.Items[i].Name == r.identity {
			own = &list.Items[i]
		}
	}

	return list.Items, own, nil
}

// renew writes our Lease; own is nil if it does not exist.
func (r *Replica) renew(ctx context.Context, own *coordinationv1.Lease, joining bool) error {
	lease := own
	if lease == nil {
		lease = &coordinationv1.Lease{
			ObjectMeta: metav1.ObjectMeta{Name: r.identity, Labels: map[string]string{GroupLabel: r.group}},
		}
	}

	now, seconds := metav1.NowMicro(), int32(r.duration/time.Second) //nolint:gosec // config allows an hour at most
	lease.Spec.HolderIdentity, lease.Spec.LeaseDurationSeconds, lease.Spec.RenewTime = &r.identity, &seconds, &now
	if joining {
		lease.Spec.AcquireTime = &now
	}

	r.mu.Lock()
	texts := r.outbox.annotation(time.Now(), r.duration)
	r.mu.Unlock()
	delete(lease.Annotations, broadcastAnnotation)
	if texts != "" {
		metav1.SetMetaDataAnnotation(&lease.ObjectMeta, broadcastAnnotation, texts)
	}

	var err error
	if own == nil {
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
		return "; grant list, create, update and delete on leases.coordination.k8s.io " +
			"in this namespace to this account"
	case apierrors.IsNotFound(err):
		return "; check that the namespace for the replicas' Leases exists"
	}

	return ""
}

// observation is the result of reading the others' Leases.
type observation struct {
	moved bool              // other replicas have started or stopped
	dead  map[string]string // versions of the Leases to delete, by name
	texts []string          // new broadcasts of others
}

// observe records the state of the others from a list that was made after begin.
func (r *Replica) observe(list []coordinationv1.Lease, begin time.Time, joining bool) observation {
	r.mu.Lock()
	defer r.mu.Unlock()

	now := time.Now()
	before := r.live(begin)
	var found observation
	listed := map[string]bool{}
	for i := range list {
		if name := list[i].Name; name != r.identity {
			listed[name] = true
			found.texts = append(found.texts, r.observeLease(&list[i], now)...)
		}
	}
	maps.DeleteFunc(r.others, func(name string, _ *other) bool { return !listed[name] })

	found.dead = map[string]string{}
	for name, o := range r.others {
		if !o.live(now) && !o.removed {
			found.dead[name], o.removed = o.version, true
		}
	}

	r.renewed = begin
	if joining {
		r.start = now.Add(r.duration)
	}
	live := r.live(now)
	if len(live) == 0 { // no other replica must see our Lease first
		r.start = now
	}
	found.moved = !slices.Equal(before, live)

	return found
}

// observeLease records the Lease of another replica and returns its new texts. r.mu is
// held.
func (r *Replica) observeLease(lease *coordinationv1.Lease, now time.Time) (texts []string) {
	before := r.others[lease.Name]
	if before != nil && before.version == lease.ResourceVersion {
		return nil
	}

	o := &other{version: lease.ResourceVersion, since: now, life: r.duration}
	if before != nil {
		o.inbox = before.inbox
	}
	if seconds := lease.Spec.LeaseDurationSeconds; seconds != nil {
		o.life = time.Duration(*seconds) * time.Second
	}
	r.others[lease.Name] = o

	return o.inbox.read(lease.Annotations[broadcastAnnotation])
}

// remove deletes a Lease if it still has a version; nil: any version.
func (r *Replica) remove(ctx context.Context, name string, version *string) error {
	options := metav1.DeleteOptions{}
	if version != nil {
		options.Preconditions = &metav1.Preconditions{ResourceVersion: version}
	}

	err := r.leases.Delete(ctx, name, options)
	if apierrors.IsNotFound(err) || apierrors.IsConflict(err) {
		return nil // another replica deleted it, or its owner renewed it
	}
	if err != nil {
		return fmt.Errorf("%w%s", err, remedy(err))
	}

	return nil
}

// leave deletes our Lease, so that the others need not wait until it expires.
func (r *Replica) leave() {
	r.mu.Lock()
	r.renewed = time.Time{}
	r.mu.Unlock()

	ctx, cancel := context.WithTimeout(context.Background(), r.limit())
	defer cancel()
	if err := r.remove(ctx, r.identity, nil); err != nil {
		r.log.Warn("the Lease of this replica could not be deleted; the others wait until it expires",
			"lease", r.identity, "error", err.Error())
	}
}
