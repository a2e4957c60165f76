package permission

import (
	"fmt"
	"slices"
	"strings"

	"github.com/bmatcuk/doublestar/v4"

	"github.com/liverty-music/image-writeback/internal/giturl"
	"github.com/liverty-music/image-writeback/internal/image"
	"github.com/liverty-music/image-writeback/internal/spec"
)

// Rules are what the operator allows Applications to do. The zero value holds the
// built-in rules.
type Rules struct {
	Namespace string      // of Argo CD
	Writes    []WriteRule // git.allow
	Images    []string    // images.allow: globs; empty: all
	Secrets   Secrets     // annotations
	Projects  *Projects   // answers what AppProjects permit

	// Signing tells how commits in a repository are signed; nil: they are not.
	Signing func(repository giturl.Address) Signing
}

// WriteRule is an entry of git.allow: it allows the Applications that match to
// write somewhere, instead of the built-in rule. Globs that are empty match
// everything; they are valid globs of doublestar.
type WriteRule struct {
	Project, Namespace, Application string
	Repositories, Branches, Paths   []string
}

// Application returns why nothing that an Application asks for may be done, and
// nothing may be read for it: its project does not take it, or its repositories
// are not permitted. It returns nil if no rule forbids it.
func (r *Rules) Application(app spec.Application) *Refusal {
	if refusal := r.project(app); refusal != nil {
		return refusal
	}
	if !app.Target.InGit() {
		return nil
	}
	if refusal := r.Repository(app, app.Target.Repository); refusal != nil {
		return refusal
	}

	return r.Secrets.Repository(app)
}

// project refuses an Application that its AppProject does not take. Argo CD does
// not sync such an Application either.
func (r *Rules) project(app spec.Application) *Refusal {
	bounds := app.Bounds
	if !bounds.Known {
		return nil
	}
	if !bounds.Exists {
		return &Refusal{
			"projects", fmt.Sprintf("its project %s does not exist in Argo CD's namespace", app.Project),
			"create the AppProject, or correct spec.project",
		}
	}
	if !r.Projects.PermitsNamespace(&bounds.Project, app.Namespace, r.Namespace) {
		return &Refusal{
			"projects", fmt.Sprintf("its project %s does not accept Applications in namespace %s",
				app.Project, app.Namespace),
			fmt.Sprintf("add the namespace to spec.sourceNamespaces of the AppProject %s", app.Project),
		}
	}

	for _, source := range app.Sources {
		if refusal := r.sourceRepo(app, source.Repository); refusal != nil {
			return refusal
		}
	}

	return nil
}

// Deployed reports whether Argo CD deploys an Application, as far as its project decides
// that. One that it does not deploy has no claim to anything.
func (r *Rules) Deployed(app spec.Application) bool { return r.project(app) == nil }

// sourceRepo refuses a repository that spec.sourceRepos of the project lacks.
func (r *Rules) sourceRepo(app spec.Application, repository string) *Refusal {
	if !app.Bounds.Known || r.Projects.PermitsRepository(&app.Bounds.Project, repository) {
		return nil
	}

	remedy := fmt.Sprintf("add the repository to spec.sourceRepos of the AppProject %s", app.Project)
	if slices.ContainsFunc(app.Bounds.Project.SourceRepos, func(entry string) bool {
		return strings.HasPrefix(entry, "!")
	}) {
		remedy += ", or remove its entry with a ! that excludes the repository"
	}

	return &Refusal{
		"projects", fmt.Sprintf("its project %s does not permit the repository %s",
			app.Project, giturl.Parse(repository)), remedy,
	}
}

// Repository returns why a git repository may not be read or written for an
// Application; nil if no rule forbids it.
func (r *Rules) Repository(app spec.Application, repository string) *Refusal {
	if repository == "" {
		return nil // a problem of the Application says so
	}

	address := giturl.Parse(repository)
	if refusal := plainAddress(address); refusal != nil {
		return refusal
	}

	if rules := r.writeRules(app); len(rules) > 0 {
		for _, rule := range rules {
			if rule.hasRepository(address) {
				return nil
			}
		}

		return r.notAllowed(app, fmt.Sprintf("git.allow does not have the repository %s for this Application", address),
			Place{Repository: address.Public(), Base: "BRANCH", Write: "BRANCH", Path: "FOLDER/FILE"})
	}

	if len(app.SourcesIn(address.Key())) > 0 {
		return nil // the project permits it
	}

	return r.sourceRepo(app, repository)
}

// Project returns the project of an Application for which credentials may be used:
// empty if it is not known that the project accepts the Application.
func (r *Rules) Project(app spec.Application) string {
	if !app.Bounds.Known && app.Namespace != r.Namespace {
		return ""
	}

	return app.Project
}

// MayShow reports whether the commits of a source repository may be shown in what an
// Application proposes: it is one that the Application may write, and a rule says so.
// The Applications of files are those of the person who runs the program.
func (r *Rules) MayShow(app spec.Application, address giturl.Address) bool {
	url := address.HTTPS()
	ruled := app.Bounds.Known || app.Origin != "" || len(r.writeRules(app)) > 0 ||
		slices.ContainsFunc(app.Sources, func(s spec.Source) bool {
			return giturl.Parse(s.Repository).Key() == giturl.Parse(url).Key()
		})

	return ruled && r.Repository(app, url) == nil
}

// plainAddress refuses addresses that a server and a glob may understand
// differently, and those that do not lead to a server.
func plainAddress(address giturl.Address) *Refusal {
	const rule, remedy = "git-repository", "write it as https://HOST/OWNER/NAME or git@HOST:OWNER/NAME"
	switch address.Protocol() {
	case "http", "https", "ssh":
	default:
		return &Refusal{
			rule, "the address of its git repository is neither that of HTTPS nor that of SSH", remedy,
		}
	}

	if strings.ContainsAny(address.Key(), "?#") {
		return &Refusal{rule, "the address of its git repository has a query or a fragment", remedy}
	}
	for segment := range strings.SplitSeq(address.Path(), "/") {
		// A space of Azure DevOps is written so in the short form of SSH.
		plain := strings.ReplaceAll(segment, "%20", " ")
		if segment == "" || segment == "." || segment == ".." || strings.ContainsAny(plain, `\%?#:`) ||
			!printable(segment) {
			return &Refusal{rule, "the address of its git repository holds a path that can be read in two ways", remedy}
		}
	}

	return nil
}

// Image returns why an image may not be written, or its registry not be asked;
// nil if no rule forbids it.
func (r *Rules) Image(app spec.Application, i spec.Image) *Refusal {
	if len(r.Images) > 0 && !anyGlob(r.Images, fullName(i.Ref)) {
		return &Refusal{
			"images.allow", fmt.Sprintf("images.allow does not have the image %s", fullName(i.Ref)),
			fmt.Sprintf("the operator can add it to images.allow in config.yaml: - %s", literalGlob(fullName(i.Ref))),
		}
	}

	return r.Secrets.Image(app, i)
}

func fullName(ref image.Ref) string { return ref.Registry + "/" + ref.Repository }

// writeRules are those of git.allow that are about an Application.
func (r *Rules) writeRules(app spec.Application) []WriteRule {
	var about []WriteRule

	for _, rule := range r.Writes {
		if globMatches(rule.Project, app.Project) && globMatches(rule.Namespace, app.Namespace) &&
			globMatches(rule.Application, app.Name) {
			about = append(about, rule)
		}
	}

	return about
}

// hasRepository compares both the address as it is written and that of HTTPS, so
// that one glob is enough for both protocols. As in sourceRepos of AppProjects, neither
// the case nor .git at the end counts.
func (w WriteRule) hasRepository(address giturl.Address) bool {
	if len(w.Repositories) == 0 {
		return true
	}

	plain := func(url string) string { return strings.TrimSuffix(strings.ToLower(url), ".git") }
	for _, url := range []string{address.Public(), giturl.Parse(address.HTTPS()).Public()} {
		if slices.ContainsFunc(w.Repositories, func(glob string) bool {
			ok, err := doublestar.Match(plain(glob), plain(url))
			return ok && err == nil
		}) {
			return true
		}
	}

	return false
}

func globMatches(glob, text string) bool {
	ok, _ := doublestar.Match(glob, text)

	return glob == "" || ok
}

func anyGlob(globs []string, text string) bool {
	for _, glob := range globs {
		if globMatches(glob, text) {
			return true
		}
	}

	return false
}
