package reconcile

import (
	"maps"
	"slices"
	"strings"

	"github.com/liverty-music/image-writeback/internal/gitwrite"
	"github.com/liverty-music/image-writeback/internal/image"
	"github.com/liverty-music/image-writeback/internal/spec"
)

// Scope is what a cycle is about. Its zero value is nothing.
type Scope struct {
	everything bool
	images     map[string]bool              // by registry/repository; true: told to us, not by another replica
	pushes     map[string]map[string]string // what is said of branches' heads, by giturl.Address.Key
	told       map[string]bool              // which of them were told to us
	// lost tells that more was said of heads than was kept.
	lost bool
	// again tells that it was tried before, and has to be done whatever is
	// known of heads by now.
	again bool
}

// Everything is all Applications.
func Everything() Scope { return Scope{everything: true} }

// mostNames bounds a scope: where more images or repositories are named, a
// cycle looks at all of them.
const mostNames = 10_000

func (s *Scope) empty() bool {
	return !s.everything && !s.lost && len(s.images) == 0 && len(s.pushes) == 0
}

func (s *Scope) addImage(name string, told bool) {
	if s.images == nil {
		s.images = map[string]bool{}
	}
	if len(s.images) < mostNames {
		s.images[name] = s.images[name] || told
	} else {
		s.everything = true
	}
}

func (s *Scope) addPush(address, branch, head string, told bool) {
	if s.pushes == nil {
		s.pushes, s.told = map[string]map[string]string{}, map[string]bool{}
	}
	heads := s.pushes[address]
	if heads == nil && len(s.pushes) < mostNames {
		heads = map[string]string{}
		s.pushes[address] = heads
	}
	if _, there := heads[branch]; heads == nil || !there && len(heads) >= mostNames {
		s.everything, s.lost = true, true
		return
	}
	heads[branch] = head
	s.told[address] = s.told[address] || told
}

// add makes a scope that is about both.
func (s *Scope) add(other Scope) {
	s.everything, s.lost, s.again = s.everything || other.everything, s.lost || other.lost, s.again || other.again
	for name, told := range other.images {
		s.addImage(name, told)
	}
	for address, heads := range other.pushes {
		for branch, head := range heads {
			s.addPush(address, branch, head, other.told[address])
		}
	}
}

// retry is the same scope to be tried again; other replicas have been told.
func (s *Scope) retry() Scope {
	other := Scope{again: true}
	other.add(*s)
	for name := range other.images {
		other.images[name] = false
	}
	clear(other.told)
	return other
}

// names tells whether an image is named, under any of its names.
func (s *Scope) names(under []string) bool {
	return slices.ContainsFunc(under, func(name string) bool { _, named := s.images[name]; return named })
}

// String is for the log; empty for everything.
func (s *Scope) String() string {
	if s.everything {
		return ""
	}
	all := append(slices.Sorted(maps.Keys(s.images)), slices.Sorted(maps.Keys(s.pushes))...)
	if len(all) > 3 {
		return strings.Join(all[:3], ", ") + ", …"
	}
	return strings.Join(all, ", ")
}

// heed tells repositories what was said of their heads, and leaves in the scope
// those that have moved.
func (e *Engine) heed(scope *Scope) {
	for address, repositories := range e.opened {
		heads, told := scope.pushes[address]
		moved := false
		for repository := range repositories {
			if scope.lost {
				repository.Forget()
			}
			if told {
				moved = repository.Told(heads) || moved
			}
		}
		if told && !moved && !scope.again {
			delete(scope.pushes, address)
		}
	}
}

// within are the Applications that a scope is about, and those that have to be
// decided along with them: they are written to the same file, where two could
// want one place, or proposed in the same pull request, which is made whole.
func (e *Engine) within(scope *Scope, apps []spec.Application) []spec.Application {
	if scope.everything {
		return apps
	}
	var chosen []int
	sharing := map[string][]int{}
	for i, app := range apps {
		for _, key := range e.shares(app) {
			sharing[key] = append(sharing[key], i)
		}
		_, moved := scope.pushes[app.Shard()]
		if moved && app.Target.Method != spec.MethodArgoCD || slices.ContainsFunc(app.Images, func(u spec.Image) bool { return scope.names(e.Registries.Names(u.Ref)) }) {
			chosen = append(chosen, i)
		}
	}
	in := make([]bool, len(apps))
	for len(chosen) > 0 {
		i := chosen[0]
		chosen = chosen[1:]
		if in[i] {
			continue
		}
		in[i] = true
		for _, key := range e.shares(apps[i]) {
			chosen = append(chosen, sharing[key]...)
			delete(sharing, key)
		}
	}
	var within []spec.Application
	for i, app := range apps {
		if in[i] {
			within = append(within, app)
		}
	}
	return within
}

// shares are the files and the head of a pull request that an Application may
// have together with others.
func (e *Engine) shares(app spec.Application) []string {
	target := app.Target
	if target.Method == spec.MethodArgoCD || len(app.Broken()) > 0 {
		return nil
	}
	var keys []string
	for _, files := range target.Candidates() {
		keys = append(keys, app.Shard()+" "+target.BaseBranch+" file "+files.Path())
	}
	if head, err := e.Settings.PullRequests.head(app); err == nil && head != "" && target.Delivery != spec.DeliverCommit {
		keys = append(keys, app.Shard()+" head "+head)
	}
	return keys
}

// memory is what policies chose, so that a cycle that is about some images
// need not ask for the others that it meets. Tags that were dropped are not
// kept.
type memory struct{ choices map[string]answer }

func (m *memory) recall(key string) (answer, bool) {
	found, ok := m.choices[key]
	return found, ok
}

func (m *memory) keep(key string, a answer) {
	if m.choices == nil {
		m.choices = map[string]answer{}
	}
	if a.err != nil {
		delete(m.choices, key)
		return
	}
	a.choice.Dropped = nil
	m.choices[key] = a
}

// open notes which repositories lie at an address.
func (e *Engine) open(address string, repository *gitwrite.Repository) {
	if e.opened == nil {
		e.opened = map[string]map[*gitwrite.Repository]bool{}
	}
	if e.opened[address] == nil {
		e.opened[address] = map[*gitwrite.Repository]bool{}
	}
	e.opened[address][repository] = true
}

// imageName is how scopes name an image.
func imageName(ref image.Ref) string { return ref.Registry + "/" + ref.Repository }
