package engine

import (
	"slices"

	"github.com/liverty-music/image-writeback/internal/gitwrite"
	"github.com/liverty-music/image-writeback/internal/spec"
)

// noteOpened notes which repositories have an address.
func (e *Engine) noteOpened(address string, repository *gitwrite.Repository) {
	if e.state.opened == nil {
		e.state.opened = map[string]map[*gitwrite.Repository]bool{}
	}
	if e.state.opened[address] == nil {
		e.state.opened[address] = map[*gitwrite.Repository]bool{}
	}
	e.state.opened[address][repository] = true
}

// applyHeads tells repositories which heads were reported, and leaves in the
// scope the repositories whose heads have moved.
func (e *Engine) applyHeads(scope *Scope) {
	for address, repositories := range e.state.opened {
		heads, reported := scope.pushes[address]
		moved := false

		for repository := range repositories {
			if scope.lost {
				repository.Forget()
			}
			if reported {
				moved = repository.ReportHeads(heads) || moved
			}
		}
		if reported && !moved && !scope.retry {
			delete(scope.pushes, address)
		}
	}
}

// selected returns the Applications that a scope is about, and those that must
// be decided together with them: they share a file, where two could want one
// entry, or a pull request, which is always built as a whole.
func (e *Engine) selected(scope *Scope, apps []spec.Application) []spec.Application {
	if scope.everything {
		return apps
	}

	var queue []int
	sharing := map[string][]int{}
	for i, app := range apps {
		for _, key := range e.shares(app) {
			sharing[key] = append(sharing[key], i)
		}
		if e.concerns(scope, app) {
			queue = append(queue, i)
		}
	}

	in := make([]bool, len(apps))
	for len(queue) > 0 {
		i := queue[0]
		queue = queue[1:]
		if in[i] {
			continue
		}

		in[i] = true
		for _, key := range e.shares(apps[i]) {
			queue = append(queue, sharing[key]...)
			delete(sharing, key)
		}
	}

	var selected []spec.Application
	for i, app := range apps {
		if in[i] {
			selected = append(selected, app)
		}
	}

	return selected
}

// concerns reports whether a scope names an image or the repository of an
// Application.
func (e *Engine) concerns(scope *Scope, app spec.Application) bool {
	_, moved := scope.pushes[app.Shard()]
	if (moved || scope.late[app.Shard()]) && app.Target.InGit() {
		return true
	}

	return slices.ContainsFunc(app.Images, func(i spec.Image) bool {
		return scope.names(e.Registries.Names(i.Ref)) || scope.late[imageName(i.Ref)]
	})
}

// shares returns the files and the head of a pull request that an Application
// may share with others.
func (e *Engine) shares(app spec.Application) []string {
	target := app.Target
	if !target.InGit() || len(app.Broken()) > 0 {
		return nil
	}

	var keys []string
	for _, files := range target.Candidates() {
		keys = append(keys, app.Shard()+" "+target.BaseBranch+" file "+files.Path())
	}

	head, err := e.Settings.PullRequests.Head(app)
	if err == nil && head != "" && target.Delivery != spec.DeliverCommit {
		keys = append(keys, app.Shard()+" head "+head)
	}

	return keys
}
