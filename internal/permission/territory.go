package permission

import (
	"fmt"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/liverty-music/image-writeback/internal/giturl"
	"github.com/liverty-music/image-writeback/internal/spec"
)

// Territory knows which folders and branches of which repository the Applications
// deploy, annotated or not. It is made once for each cycle, and not changed after
// that. A nil Territory holds nothing.
type Territory struct {
	claims   map[string]map[string][]claim // by repository, then by folder
	values   map[string]map[string][]claim // by repository, then by values file: the oldest
	below    map[string]map[string]owners  // the projects strictly below a folder, by repository
	branches map[string]map[string]owners  // by repository, then by branch; "" is the default branch
	keys     map[string]string             // of repositories, by their spelling
}

// claim is one Application that deploys a folder, or with a values file.
type claim struct {
	project string
	created time.Time
}

// owners is a set of projects, of which up to two are known by name.
type owners struct {
	names [2]string
	more  bool
}

func (p owners) with(name string) owners {
	for i, n := range p.names {
		if n == name {
			return p
		}
		if n == "" {
			p.names[i] = name
			return p
		}
	}
	p.more = true

	return p
}

// others returns how many projects other than one are in the set, up to two, and
// the name of the first.
func (p owners) others(than string) (count int, first string) {
	for _, n := range p.names {
		if n != "" && n != than {
			if count++; first == "" {
				first = n
			}
		}
	}
	if p.more {
		count = 2
	}

	return count, first
}

// NewTerritory notes what Applications deploy; of each, Project, Created and
// Sources are read.
func NewTerritory(all []spec.Application) *Territory {
	t := &Territory{
		claims: map[string]map[string][]claim{}, below: map[string]map[string]owners{},
		branches: map[string]map[string]owners{}, keys: map[string]string{},
		values: map[string]map[string][]claim{},
	}
	for _, app := range all {
		for _, source := range app.Sources {
			for _, file := range source.Values {
				t.addValues(app, file)
			}
			if !source.Chart && source.Repository != "" {
				t.add(app, source)
			}
		}
	}

	return t
}

func (t *Territory) add(app spec.Application, source spec.Source) {
	key := t.key(source.Repository)
	t.keys[source.Repository] = key
	if t.claims[key] == nil {
		t.claims[key] = map[string][]claim{}
		t.below[key] = map[string]owners{}
		t.branches[key] = map[string]owners{}
	}

	branch := source.Branch()
	t.branches[key][branch] = t.branches[key][branch].with(app.Project)

	if source.Path == "" {
		return // a source that only lends its files claims no folder
	}
	folder := folderOf(source.Path)
	t.claims[key][folder] = append(t.claims[key][folder], claim{app.Project, app.Created})
	for above := folder; above != "."; {
		above = path.Dir(above)
		t.below[key][above] = t.below[key][above].with(app.Project)
	}
}

func (t *Territory) addValues(app spec.Application, file spec.ValuesFile) {
	key := t.key(file.Repository)
	t.keys[file.Repository] = key
	if t.values[key] == nil {
		t.values[key] = map[string][]claim{}
	}

	claims := t.values[key][file.Path]
	switch {
	case len(claims) > 0 && app.Created.After(claims[0].created):
		return
	case len(claims) > 0 && app.Created.Before(claims[0].created):
		claims = nil
	}
	if !slices.ContainsFunc(claims, func(c claim) bool { return c.project == app.Project }) {
		claims = append(claims, claim{app.Project, app.Created})
	}
	t.values[key][file.Path] = claims
}

// key is that of a repository, whatever the protocol and the port: servers have a port for
// each protocol. Those of sources are known: thousands of Applications share one.
func (t *Territory) key(repository string) string {
	if t != nil && t.keys[repository] != "" {
		return t.keys[repository]
	}

	return giturl.Parse(repository).PlaceKey()
}

// folderOf is a path as a folder from the root of its repository; "." is the root.
func folderOf(p string) string {
	folder := strings.TrimPrefix(path.Clean("/"+p), "/")
	if folder == "" {
		return "."
	}

	return folder
}

// trackedBy returns another project than one, of which an Application deploys a branch;
// empty if there is none.
func (t *Territory) trackedBy(repository, branch, defaultBranch, than string) string {
	if t == nil {
		return ""
	}

	branches := t.branches[t.key(repository)]
	_, first := branches[branch].others(than)
	if branch == defaultBranch && first == "" {
		_, first = branches[""].others(than)
	}

	return first
}

// holds reports whether a file is the Application's own: it is below one of its
// source paths, and no older Application of another project deploys a folder
// between the two; or the oldest Application that has it as values file is of the same
// project, and no other project deploys a folder that holds it. So an Application of
// Applications keeps what it deploys, and one that somebody adds above the folders of
// others gets nothing.
func (t *Territory) holds(app spec.Application, repository, file string) bool {
	key := t.key(repository)
	for _, own := range t.foldersIn(app, key) {
		if within(own, file) && !t.older(app, key, own, file) {
			return true
		}
	}

	first, ok := t.firstValues(key, file, app.Project)
	if !ok || first.project != app.Project {
		return false
	}
	_, foreign := t.folderClaim(app, key, file, func(folder string, c claim) bool {
		container := path.Dir(file) != folder && t.contains(key, folder, c.project)

		return !container || first.olderThan(c) // a newer container changes nothing
	})

	return !foreign
}

// olderThan reports whether another claim is one of another project, and not newer.
func (c claim) olderThan(other claim) bool {
	return other.project != c.project && !other.created.After(c.created)
}

// firstValues returns the oldest claim to a file as values file; of several, that of a
// project, if it is among them.
func (t *Territory) firstValues(key, file, project string) (claim, bool) {
	if t == nil || len(t.values[key][file]) == 0 {
		return claim{}, false
	}
	claims := t.values[key][file]
	mine := slices.IndexFunc(claims, func(c claim) bool { return c.project == project })

	return claims[max(mine, 0)], true
}

// older reports whether an Application of another project, which is not newer, deploys
// a folder strictly below own that holds a file; or has the file as values file, if own is
// only a container.
func (t *Territory) older(app spec.Application, key, own, file string) bool {
	if t == nil {
		return false
	}
	self := claim{app.Project, app.Created}
	first, ok := t.firstValues(key, file, app.Project)
	if ok && self.olderThan(first) && t.contains(key, own, app.Project) {
		return true
	}

	for folder := path.Dir(file); folder != own; folder = path.Dir(folder) {
		if slices.ContainsFunc(t.claims[key][folder], self.olderThan) {
			return true
		}
		if folder == "." {
			break
		}
	}

	return false
}

// contains reports whether a folder that a project deploys is only a container: the root,
// or one with folders of other projects.
func (t *Territory) contains(key, folder, project string) bool {
	count, _ := t.below[key][folder].others(project)

	return folder == "." || count > 0
}

// foreign returns what a file is to an Application of another project, which deploys a
// folder that holds it, or else was the first to have it as values file; empty if to none.
func (t *Territory) foreign(app spec.Application, repository, file string) string {
	key := t.key(repository)
	if project, ok := t.folderClaim(app, key, file, func(string, claim) bool { return true }); ok {
		return fmt.Sprintf("below the source path of an Application of another project (%s)", project)
	}
	if first, ok := t.firstValues(key, file, app.Project); ok && first.project != app.Project {
		return fmt.Sprintf("a values file of an Application of another project (%s)", first.project)
	}

	return ""
}

// folderClaim returns the project, other than that of an Application, whose claim to a
// folder is one to a file, among some claims.
func (t *Territory) folderClaim(
	app spec.Application, key, file string, some func(folder string, c claim) bool,
) (project string, ok bool) {
	if t == nil {
		return "", false
	}

	for folder := path.Dir(file); ; folder = path.Dir(folder) {
		for _, c := range t.claims[key][folder] {
			if c.project != app.Project && some(folder, c) && t.claimed(app, c.project, key, folder, file) {
				return c.project, true
			}
		}
		if folder == "." {
			return "", false
		}
	}
}

// claimed reports whether a claim to a folder is one to a file below it, against
// an Application. A folder that holds those of several other projects is only a
// container, and so is a root that holds others: it claims the files that lie
// directly in it. A folder that holds those of one other project claims everything,
// except against that project in the folder that leads to its own: otherwise an
// Application could open a folder to itself by standing in it.
func (t *Territory) claimed(app spec.Application, project, key, folder, file string) bool {
	if path.Dir(file) == folder {
		return true
	}

	below := t.below[key][folder]
	count, first := below.others(project)
	switch {
	case count == 0:
		return folder != "." || below == (owners{})
	case count > 1:
		return false
	}

	return first != app.Project || !t.leadsTo(app, key, childOf(folder, file))
}

// leadsTo reports whether an Application deploys a folder, or one below it.
func (t *Territory) leadsTo(app spec.Application, key, folder string) bool {
	return slices.ContainsFunc(t.foldersIn(app, key), func(own string) bool {
		return own == folder || within(folder, own)
	})
}

// foldersIn returns the folders of a repository that an Application deploys.
func (t *Territory) foldersIn(app spec.Application, key string) []string {
	var folders []string

	for _, source := range app.Sources {
		if !source.Chart && source.Path != "" && t.key(source.Repository) == key {
			folders = append(folders, folderOf(source.Path))
		}
	}

	return folders
}

// valuesIn reports whether a file of a repository is a values file of an Application.
func (t *Territory) valuesIn(app spec.Application, key, file string) bool {
	for _, source := range app.Sources {
		if slices.ContainsFunc(source.Values, func(v spec.ValuesFile) bool {
			return v.Path == file && t.key(v.Repository) == key
		}) {
			return true
		}
	}

	return false
}

// childOf is the folder directly below a folder that leads to a file.
func childOf(folder, file string) string {
	name, _, _ := strings.Cut(strings.TrimPrefix(file, folder+"/"), "/")

	return path.Join(folder, name)
}

// within reports whether a file lies in a folder, or below it.
func within(folder, file string) bool {
	return folder == "." || strings.HasPrefix(file, folder+"/")
}

// Owner returns the index of the Application that a file belongs to, among those
// that want to write it: one with the file as values file, else the one with the longest source path that holds it;
// of several projects with the same one, the oldest. It is -1 if no Application
// holds the file, or several of one project do.
func (t *Territory) Owner(apps []spec.Application, repository, file string) int {
	best, length := -1, -1
	tie := false
	for i, app := range apps {
		held := t.heldBy(app, repository, file)
		switch {
		case held < 0 || held < length:
		case held > length:
			best, length, tie = i, held, false
		case app.Project == apps[best].Project:
			tie = tie || app.String() != apps[best].String()
		case app.Created.Before(apps[best].Created):
			best, tie = i, false
		case app.Created.Equal(apps[best].Created):
			tie = true
		}
	}
	if tie {
		return -1
	}

	return best
}

// heldBy returns the length of the longest source path of an Application that
// holds a file, or that of the file itself, if it is a values file; -1 if none does.
func (t *Territory) heldBy(app spec.Application, repository, file string) int {
	key := t.key(repository)
	if t.valuesIn(app, key, file) {
		return len(file)
	}

	longest := -1
	for _, own := range t.foldersIn(app, key) {
		switch {
		case own == ".":
			longest = max(longest, 0)
		case within(own, file):
			longest = max(longest, len(own))
		}
	}

	return longest
}
