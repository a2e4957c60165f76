package report

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/liverty-music/image-writeback/internal/delivery"
	"github.com/liverty-music/image-writeback/internal/image"
	"github.com/liverty-music/image-writeback/internal/kube"
	"github.com/liverty-music/image-writeback/internal/plan"
)

// maxFailures is how many failures of one cycle become Events: a registry that
// is down concerns thousands of Applications at once. The log has them all.
const maxFailures = 100

// EventCreator creates Kubernetes Events. The error says what to grant.
type EventCreator interface {
	CreateEvent(ctx context.Context, event kube.Event) error
}

// Events creates Kubernetes Events about Applications: what was written, which
// pull requests were opened, and failures that are new. Set Creator and Log.
type Events struct {
	Creator EventCreator
	Log     *slog.Logger

	failures statements // of the cycle before
	queue    queue
}

// Cycle has the Events of a cycle created, beside the cycles that follow. An
// Event that cannot be created is logged; what it tells has happened.
func (e *Events) Cycle(ctx context.Context, c *Cycle) {
	all, failures := eventsOf(c, e.failures)
	e.failures = e.failures.after(failures, c)

	ctx = context.WithoutCancel(ctx)
	dropped := e.queue.add(all, func(event kube.Event) {
		ctx, cancel := context.WithTimeout(ctx, eventTimeout)
		defer cancel()

		if err := e.Creator.CreateEvent(ctx, event); err != nil {
			e.Log.Warn("the Event was not created", "application", event.Namespace+"/"+event.Name,
				"reason", event.Reason, "error", err.Error())
		}
	})
	if dropped > 0 {
		e.Log.Warn("the API server accepts Events too slowly; some were dropped", "events", dropped)
	}
}

// Flush waits until all Events of the cycles so far are created, for 20 seconds
// at most.
func (e *Events) Flush() { e.queue.flush(flushTimeout) }

const (
	eventTimeout = 10 * time.Second // for one Event
	flushTimeout = 20 * time.Second
)

// collector gathers the Events of one cycle.
type collector struct {
	before, failures statements
	uids             map[string]string // by namespace/name
	events           []kube.Event
	failed           int
}

// eventsOf returns the Events of a cycle, given the failures of the cycle
// before, and the failures of this one.
func eventsOf(c *Cycle, before statements) ([]kube.Event, statements) {
	col := &collector{before: before, failures: statements{}, uids: map[string]string{}}
	for _, app := range c.Plan.Applications {
		col.uids[app.String()] = app.UID
	}

	for _, o := range c.Outcomes {
		col.outcome(o)
	}
	for _, app := range c.Plan.Applications {
		for _, img := range app.Images {
			if img.Action == plan.ActionError {
				col.fail(app.String(), img.Alias+" "+img.Image, "ImageUpdateFailed", img.Label()+": "+img.Reason)
			}
		}
	}

	return col.events, col.failures
}

func (c *collector) add(application string, event kube.Event) {
	event.Namespace, event.Name, _ = strings.Cut(application, "/")
	event.UID = c.uids[application]
	c.events = append(c.events, event)
}

func (c *collector) fail(application, subject, reason, message string) {
	c.failures.add(application, subject, message)
	if c.before[application][subject] == message || c.failed == maxFailures {
		return
	}

	c.failed++
	c.add(application, kube.Event{Warning: true, Reason: reason, Message: message})
}

func (c *collector) outcome(o delivery.Outcome) {
	switch {
	case o.Kind == delivery.Failed:
		c.fail(o.Application, "writing", "WriteFailed", o.Err.Error())
	case o.Written():
		c.add(o.Application, kube.Event{
			Reason:      "ImagesUpdated",
			Message:     fmt.Sprintf("Successfully updated application '%s'", o.Name()),
			Annotations: eventAnnotations(o.Changes),
		})
	}
	if o.Opened {
		c.add(o.Application, kube.Event{
			Reason:  "PullRequestOpened",
			Message: "A pull request waits to be merged: " + o.PullRequestURL,
		})
	}
}

// maxAnnotated is how many changes the annotations of an Event tell: Kubernetes
// limits them to 256 KB.
const maxAnnotated = 100

// eventAnnotations returns the annotations of Argo CD Image Updater's Events.
func eventAnnotations(changes []image.Change) map[string]string {
	annotations := map[string]string{}

	for i, c := range changes[:min(len(changes), maxAnnotated)] {
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
