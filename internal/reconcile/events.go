package reconcile

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/liverty-music/image-writeback/internal/image"
	"github.com/liverty-music/image-writeback/internal/kube"
)

// mostFailures is how many are told in one cycle: a registry that is down
// concerns thousands of Applications at once. The log has them all.
const mostFailures = 100

// notice is one Event for one Application.
type notice struct {
	application string // namespace/name
	event       kube.Event
}

// events are what is to be told of a cycle: what was written, which pull
// requests were opened, and failures that were not there in the cycle before.
// failures are those of this cycle, for the next.
func events(result *Result, before sayings) (all []notice, failures sayings) {
	failures = sayings{}
	failed := 0
	fail := func(application, about, reason, message string) {
		failures.add(application, about, message)
		if before[application][about] == message || failed == mostFailures {
			return
		}
		failed++
		all = append(all, notice{application: application, event: kube.Event{Warning: true, Reason: reason, Message: message}})
	}
	for _, o := range result.Outcomes {
		if o.Err != nil {
			fail(o.Application, "writing", "WriteFailed", o.Err.Error())
		}
		if o.Written() {
			all = append(all, notice{application: o.Application, event: kube.Event{Reason: "ImagesUpdated", Message: fmt.Sprintf("Successfully updated application '%s'", o.Name()), Annotations: eventAnnotations(o.Changes)}})
		}
		if o.Opened {
			all = append(all, notice{application: o.Application, event: kube.Event{Reason: "PullRequestOpened", Message: "A pull request waits to be merged: " + o.PullRequestURL}})
		}
	}
	for _, app := range result.Plan.Applications {
		for _, img := range app.Images {
			if img.Action == ActionError {
				fail(app.String(), img.Alias+" "+img.Image, "ImageUpdateFailed", fmt.Sprintf("%s: %s", img.Label(), img.Reason))
			}
		}
	}
	return all, failures
}

// eventAnnotations are those of Argo CD Image Updater's Events.
func eventAnnotations(changes []image.Change) map[string]string {
	annotations := map[string]string{}
	for i, c := range changes {
		name := c.Image
		if ref, err := image.ParseName(c.Image); err == nil && ref.Registry != image.DockerHub {
			name = ref.Repository
		}

		at := fmt.Sprintf("argocd-image-updater.image-%d/", i)
		annotations[at+"full-image-name"] = c.Image
		annotations[at+"image-name"] = name
		annotations[at+"old-tag"] = c.Old.String()
		annotations[at+"new-tag"] = c.New.String()
	}

	return annotations
}

// leaveEvents has it told on the Applications concerned what a cycle did. An
// Event that fails is logged; what it tells of has happened.
func (e *Engine) leaveEvents(ctx context.Context, result *Result) {
	if e.Applications == nil || e.Silent {
		return
	}
	all, failures := events(result, e.failures)
	e.failures = e.failures.after(failures, result)
	uids := map[string]string{}
	for _, app := range result.Plan.Applications {
		uids[app.String()] = app.uid
	}
	for i := range all {
		event := &all[i].event
		event.UID = uids[all[i].application]
		event.Namespace, event.Name, _ = strings.Cut(all[i].application, "/")
	}
	ctx = context.WithoutCancel(ctx)
	left := e.teller.add(all, func(one notice) {
		ctx, cancel := context.WithTimeout(ctx, eventTime)
		defer cancel()
		if err := e.Applications.CreateEvent(ctx, one.event); err != nil {
			e.Log.Warn("no Event was left", "application", one.application, "reason", one.event.Reason, "error", err.Error())
		}
	})
	if left > 0 {
		e.Log.Warn("the API server takes Events more slowly than they come; some are left out", "events", left)
	}
}

// Flush waits until all Events of the cycles so far are left, or for as long as
// is worth waiting for them.
func (e *Engine) Flush() { e.teller.flush(flushTime) }

const (
	eventTime   = 10 * time.Second // for one Event
	flushTime   = 20 * time.Second
	mostPending = 50_000
)

// teller leaves Events beside the cycles: there may be thousands, and the next
// cycle need not wait for them.
type teller struct {
	mu      sync.Mutex
	pending []notice
	workers int
	group   sync.WaitGroup
}

// add has notices told in their order, some at a time, and returns how many are
// too many.
func (t *teller) add(all []notice, tell func(notice)) (left int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	room := min(len(all), mostPending-len(t.pending))
	t.pending = append(t.pending, all[:room]...)
	for t.workers < min(perCluster, len(t.pending)) {
		t.workers++
		t.group.Go(func() {
			for one, ok := t.next(); ok; one, ok = t.next() {
				tell(one)
			}
		})
	}
	return len(all) - room
}

// next takes the first; without one, its worker ends.
func (t *teller) next() (one notice, ok bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.pending) == 0 {
		t.pending, t.workers = nil, t.workers-1
		return one, false
	}
	one, t.pending = t.pending[0], t.pending[1:]
	return one, true
}

func (t *teller) flush(limit time.Duration) {
	told := make(chan struct{})
	go func() {
		t.group.Wait()
		close(told)
	}()
	select {
	case <-told:
	case <-time.After(limit):
		t.mu.Lock()
		t.pending = nil
		t.mu.Unlock()
	}
}
