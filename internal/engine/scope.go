package engine

import (
	"maps"
	"slices"
	"strings"
)

// Scope is what a cycle is about. Its zero value is nothing.
type Scope struct {
	everything bool

	// images are the images that were pushed, by registry/repository. The value
	// reports whether this replica received the trigger itself; otherwise
	// another replica passed it on.
	images map[string]bool

	// pushes are the heads of branches as triggers report them, by the address
	// of the repository and the branch; direct has the addresses whose triggers
	// this replica received itself.
	pushes map[string]map[string]string
	direct map[string]bool

	// late are the images, and the addresses of repositories, whose answers were not
	// there when a cycle decided.
	late map[string]bool

	// lost reports that more heads were reported than were kept.
	lost bool

	// retry reports that the cycle failed before, and is run whatever is known
	// about heads by now.
	retry bool
}

// Everything is a scope of all Applications.
func Everything() Scope { return Scope{everything: true} }

// maxNames bounds a scope: if more images or repositories are named, a cycle is
// about everything.
const maxNames = 10_000

func (s *Scope) empty() bool {
	return !s.everything && !s.lost && len(s.images) == 0 && len(s.pushes) == 0 && len(s.late) == 0
}

func (s *Scope) addLate(about string) {
	if s.late == nil {
		s.late = map[string]bool{}
	}

	if len(s.late) < maxNames {
		s.late[about] = true
	} else {
		s.everything = true
	}
}

func (s *Scope) addImage(name string, direct bool) {
	if s.images == nil {
		s.images = map[string]bool{}
	}

	if len(s.images) < maxNames {
		s.images[name] = s.images[name] || direct
	} else {
		s.everything = true
	}
}

// push is what a trigger reports about one branch. An empty head is for a
// branch that is gone.
type push struct{ address, branch, head string }

func (s *Scope) addPush(p push, direct bool) {
	if s.pushes == nil {
		s.pushes, s.direct = map[string]map[string]string{}, map[string]bool{}
	}

	heads := s.pushes[p.address]
	if heads == nil && len(s.pushes) < maxNames {
		heads = map[string]string{}
		s.pushes[p.address] = heads
	}
	if _, there := heads[p.branch]; heads == nil || !there && len(heads) >= maxNames {
		s.everything, s.lost = true, true
		return
	}

	heads[p.branch] = p.head
	s.direct[p.address] = s.direct[p.address] || direct
}

// add makes a scope that is about both.
func (s *Scope) add(other Scope) {
	s.everything = s.everything || other.everything
	s.lost = s.lost || other.lost
	s.retry = s.retry || other.retry

	for name, direct := range other.images {
		s.addImage(name, direct)
	}
	for about := range other.late {
		s.addLate(about)
	}
	for address, heads := range other.pushes {
		for branch, head := range heads {
			s.addPush(push{address, branch, head}, other.direct[address])
		}
	}
}

// again returns the same scope for another try. Other replicas have received
// it already.
func (s *Scope) again() Scope {
	other := Scope{retry: true}
	other.add(*s)
	for name := range other.images {
		other.images[name] = false
	}
	clear(other.direct)

	return other
}

// names reports whether an image is named, under any of its names.
func (s *Scope) names(under []string) bool {
	return slices.ContainsFunc(under, func(name string) bool { _, named := s.images[name]; return named })
}

// String names what the scope is about, for the log; empty for everything.
func (s *Scope) String() string {
	if s.everything {
		return ""
	}

	all := slices.Concat(slices.Sorted(maps.Keys(s.images)), slices.Sorted(maps.Keys(s.pushes)),
		slices.Sorted(maps.Keys(s.late)))
	if len(all) > 3 {
		return strings.Join(all[:3], ", ") + ", …"
	}

	return strings.Join(all, ", ")
}
