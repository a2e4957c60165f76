package reconcile

import (
	"strings"

	"github.com/liverty-music/image-writeback/internal/spec"
)

// Of several replicas, one hears of an event, and another may be the one that
// works on it. What is passed on between them is a line: "image NAME", or
// "push ADDRESS BRANCH HEAD".

// passOn has other replicas told what is theirs of that which was told to us.
func (e *Engine) passOn(scope *Scope, apps []spec.Application) {
	if e.PassOn == nil {
		return
	}
	lines := map[string]bool{}
	for _, app := range apps {
		address := app.Shard()
		if e.owns(address) {
			continue
		}
		for _, u := range app.Images {
			for _, name := range e.Registries.Names(u.Ref) {
				if scope.images[name] {
					lines["image "+name] = true
				}
			}
		}
		if scope.told[address] {
			for branch, head := range scope.pushes[address] {
				lines[strings.Join([]string{"push", address, branch, head}, " ")] = true
			}
		}
	}
	for line := range lines {
		e.PassOn(line)
	}
}

// Heard takes what another replica has passed on. What cannot be read, or was
// lost on the way, asks for everything.
func (b *Inbox) Heard(line string) {
	b.put(func(s *Scope) {
		words := strings.Split(line, " ")
		switch {
		case len(words) == 2 && words[0] == "image":
			s.addImage(words[1], false)
		case len(words) == 4 && words[0] == "push":
			s.addPush(words[1], words[2], words[3], false)
		default:
			s.everything, s.lost = true, true
		}
	})
}
