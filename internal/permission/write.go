package permission

import (
	"cmp"
	"fmt"
	"path"
	"slices"
	"strings"
	"unicode"

	"github.com/liverty-music/image-writeback/internal/giturl"
	"github.com/liverty-music/image-writeback/internal/spec"
)

// HeadPrefix begins the names of the branches that the updater makes for pull
// requests. Open pull requests are found by these names, so it must not change
// between versions.
const HeadPrefix = "image-writeback/"

// Place is where a change of an Application would be written.
type Place struct {
	Repository string // its URL
	Path       string // of the file, from the root of the repository
	Base       string // the branch that is deployed, or that the pull request is for; empty: not known
	Write      string // the branch that commits go to; empty: Base
	Named      bool   // the annotation git-branch names Write
	Default    string // the default branch of the repository

	// Tracked are the branches of the repository that the Application's own
	// sources name.
	Tracked []string
}

// Write returns why a change may not be written to a place; nil if no rule forbids
// it. t holds what all Applications deploy.
func (r *Rules) Write(app spec.Application, at Place, t *Territory) *Refusal {
	at.Write = cmp.Or(at.Write, at.Base)
	if refusal := forbiddenFile(at.Path); refusal != nil {
		return refusal
	}
	if refusal := r.head(app, at, t); refusal != nil {
		return refusal
	}

	if rules := r.writeRules(app); len(rules) > 0 {
		for _, rule := range rules {
			if rule.has(at) {
				return nil
			}
		}

		where := at.Path
		if at.Base != "" {
			where += " on branch " + at.Base
		}

		return r.notAllowed(app, fmt.Sprintf("git.allow does not have %s for this Application", where), at)
	}

	if refusal := r.base(app, at, t); refusal != nil {
		return refusal
	}

	return r.file(app, at, t)
}

func (w WriteRule) has(at Place) bool {
	return w.hasRepository(giturl.Parse(at.Repository)) &&
		(len(w.Branches) == 0 || at.Base == "" || anyGlob(w.Branches, at.Base)) &&
		(len(w.Paths) == 0 || anyGlob(w.Paths, at.Path))
}

// head refuses branches that belong to others: a commit goes to the base, or to a
// head of the Application's own.
func (r *Rules) head(app spec.Application, at Place, t *Territory) *Refusal {
	switch {
	case at.Write == at.Base:
		return nil
	case at.Named && strings.HasPrefix(strings.ToLower(at.Write), HeadPrefix):
		return &Refusal{
			"git-branch", fmt.Sprintf("the branch %s belongs to the updater's own pull requests", at.Write),
			"name a branch that does not begin with " + HeadPrefix + " in the annotation git-branch, or none",
		}
	case slices.Contains(at.Tracked, at.Write):
		return nil
	case strings.HasPrefix(strings.ToLower(at.Write), HeadPrefix): // whoever deploys it
		return nil
	case at.Write == at.Default:
		return notOwn(at.Write, "is the default branch")
	}
	project := t.trackedBy(at.Repository, at.Write, at.Default, app.Project)
	if project == "" || r.allowsHead(app, at) {
		return nil
	}

	refusal := notOwn(at.Write, fmt.Sprintf("is deployed by an Application of another project (%s)", project))
	refusal.Remedy += ", or " + r.notAllowed(app, "", at).Remedy

	return refusal
}

// notOwn refuses a branch as the head of changes.
func notOwn(branch, why string) *Refusal {
	return &Refusal{
		"git-branch", fmt.Sprintf("the branch %s %s, so changes are not gathered there", branch, why),
		"name a branch that nobody deploys, or the branch of the Application's source",
	}
}

// allowsHead reports whether git.allow names the branch that an Application writes to.
func (r *Rules) allowsHead(app spec.Application, at Place) bool {
	return slices.ContainsFunc(r.writeRules(app), func(rule WriteRule) bool {
		return len(rule.Branches) > 0 && anyGlob(rule.Branches, at.Write) && rule.has(at)
	})
}

// base refuses a branch that the Application does not deploy.
func (r *Rules) base(app spec.Application, at Place, t *Territory) *Refusal {
	switch {
	case slices.Contains(at.Tracked, at.Base):
		return nil
	case len(at.Tracked) > 0:
		return r.notAllowed(app, fmt.Sprintf("its source deploys the branch %s, but git-branch names %s",
			strings.Join(at.Tracked, ", "), at.Base), at)
	case at.Base != at.Default:
		if project := t.trackedBy(at.Repository, at.Base, at.Default, app.Project); project != "" {
			return r.notAllowed(app, fmt.Sprintf("an Application of another project (%s) deploys the branch %s",
				project, at.Base), at)
		}
	}

	return nil
}

// file refuses files that are not manifests, and those of other projects.
func (r *Rules) file(app spec.Application, at Place, t *Territory) *Refusal {
	if !isManifest(at.Path) {
		return r.notAllowed(app, fmt.Sprintf("%s does not end in .yaml, .yml or .json", at.Path), at)
	}

	if t.holds(app, at.Repository, at.Path) {
		return nil
	}
	if why := t.foreign(app, at.Repository, at.Path); why != "" {
		return r.notAllowed(app, at.Path+" is "+why, at)
	}

	return nil
}

// isManifest reports whether a file has the name of a manifest; Kustomize accepts
// one without an extension.
func isManifest(file string) bool {
	return path.Base(file) == "Kustomization" ||
		slices.Contains([]string{".yaml", ".yml", ".json"}, strings.ToLower(path.Ext(file)))
}

// The files by which CI systems find out what to run, in lower case: ciFiles are
// names without extension, and ciFolders the beginnings of hidden files and
// folders. A name that ends in "*" is a beginning.
var (
	ciFiles = []string{
		"azure-pipelines*", "cloudbuild*", "jenkinsfile*", "jenkins-x*", "bitbucket-pipelines", "buildkite", "skaffold",
		"appveyor", "codefresh", "buildspec", "wercker", "taskfile",
	}
	ciFolders = []string{
		".circleci", ".tekton", ".drone", ".woodpecker", ".buildkite", ".travis", ".forgejo", ".semaphore", ".cirrus",
		".appveyor", ".azure", ".pipelines", ".pre-commit", ".teamcity", ".onedev", ".concourse", ".codefresh",
	}
)

// forbiddenFile refuses files that no rule can allow: those of git and of the
// forges, and those by which CI systems find out what to run.
func forbiddenFile(file string) *Refusal {
	const rule, remedy = "write-back-target", "name a manifest of the Application in the annotation write-back-target"
	if file == "" {
		return nil // nothing is written: the file could not be read
	}
	if !printable(file) || strings.ContainsAny(file, `\:*?"<>|`) || path.IsAbs(file) || path.Clean(file) != file {
		return &Refusal{rule, "the path of its file holds characters that no manifest's path needs", remedy}
	}

	for part := range strings.SplitSeq(strings.ToLower(file), "/") {
		switch {
		case part == "..", strings.HasPrefix(part, ".git"), strings.HasPrefix(part, "git~"),
			strings.HasSuffix(part, "."), strings.HasSuffix(part, " "):
			return &Refusal{rule, fmt.Sprintf("%s belongs to git or its forge", file), remedy}
		case slices.ContainsFunc(ciFolders, func(name string) bool { return strings.HasPrefix(part, name) }):
			return &Refusal{rule, fmt.Sprintf("%s says what a CI system runs, and is never written", file), remedy}
		}
	}

	name := strings.ToLower(path.Base(file))
	stem := strings.TrimSuffix(name, path.Ext(name))
	for _, ci := range ciFiles {
		if prefix, ok := strings.CutSuffix(ci, "*"); stem == ci || ok && strings.HasPrefix(name, prefix) {
			return &Refusal{rule, fmt.Sprintf("%s says what a CI system runs, and is never written", file), remedy}
		}
	}

	return nil
}

// printable reports whether text can be seen as it is: it has no control
// characters, and none that are invisible or change the direction.
func printable(text string) bool {
	for _, c := range text {
		if c == unicode.ReplacementChar || unicode.IsControl(c) || unicode.Is(unicode.Cf, c) ||
			unicode.Is(unicode.Zl, c) || unicode.Is(unicode.Zp, c) {
			return false
		}
	}

	return true
}
