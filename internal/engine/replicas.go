package engine

import (
	"strings"

	"github.com/liverty-music/image-writeback/internal/spec"
)

// One replica receives a trigger, and another one may own the Applications that
// it is about. What is passed on between them is a line: "image NAME", or
// "push ADDRESS BRANCH HEAD". See [Inbox.Heard].

// passOn passes triggers on to the replicas that own their Applications.
func (e *Engine) passOn(scope *Scope, apps []spec.Application) {
	if e.Replicas.PassOn == nil {
		return
	}

	lines := map[string]bool{}
	for _, app := range apps {
		if !e.Replicas.owns(app.Shard()) {
			e.linesFor(lines, scope, app)
		}
	}

	for line := range lines {
		e.Replicas.PassOn(line)
	}
}

// linesFor adds what a scope holds for one Application.
func (e *Engine) linesFor(lines map[string]bool, scope *Scope, app spec.Application) {
	for _, i := range app.Images {
		for _, name := range e.Registries.Names(i.Ref) {
			if scope.images[name] {
				lines["image "+name] = true
			}
		}
	}

	address := app.Shard()
	if scope.direct[address] {
		for branch, head := range scope.pushes[address] {
			lines[strings.Join([]string{"push", address, branch, head}, " ")] = true
		}
	}
}
