package reconcile

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/liverty-music/image-writeback/internal/argo"
)

// All Events of a cycle share this time, and so many failures are told in one:
// a registry that is down concerns thousands of Applications at once. The log
// has them all.
const (
	eventTime    = time.Minute
	mostFailures = 100
)

// notice is one Event for one Application.
type notice struct {
	application string // namespace/name
	event       argo.Event
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
		all = append(all, notice{application, argo.Event{Warning: true, Reason: reason, Message: message}})
	}
	for _, o := range result.Outcomes {
		if o.Err != nil {
			fail(o.Application, "writing", "WriteFailed", o.Err.Error())
		}
		if o.Written() {
			changes := make([]argo.ImageChange, len(o.Changes))
			for i, c := range o.Changes {
				changes[i] = argo.ImageChange{Image: c.Image, Old: c.Old, New: c.New}
			}
			all = append(all, notice{o.Application, argo.Event{Reason: "ImagesUpdated", Message: fmt.Sprintf("Successfully updated application '%s'", o.Name()), Changes: changes}})
		}
		if o.Opened {
			all = append(all, notice{o.Application, argo.Event{Reason: "PullRequestOpened", Message: "A pull request waits to be merged: " + o.PullRequestURL}})
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

// leaveEvents tells of a cycle on the Applications concerned. An Event that
// fails is logged; what it tells of has happened.
func (e *Engine) leaveEvents(ctx context.Context, result *Result) {
	if e.Applications == nil || e.Silent {
		return
	}
	all, failures := events(result, e.failures)
	e.failures = e.failures.after(failures, result)
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), eventTime)
	defer cancel()
	slots := make(chan struct{}, perCluster)
	var group sync.WaitGroup
	for _, one := range all {
		slots <- struct{}{}
		group.Go(func() {
			defer func() { <-slots }()
			namespace, name, _ := strings.Cut(one.application, "/")
			if err := e.Applications.Tell(ctx, namespace, name, one.event); err != nil {
				e.Log.Warn("no Event was left", "application", one.application, "reason", one.event.Reason, "error", err.Error())
			}
		})
	}
	group.Wait()
}
