package argo

import (
	"fmt"
	"path"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/liverty-music/image-writeback/internal/escape"
	"github.com/liverty-music/image-writeback/internal/manifest"
	"github.com/liverty-music/image-writeback/internal/spec"
)

// readTarget reads where the Application wants its changes written.
func (r *reader) readTarget() {
	t := &r.out.Target
	t.Source = -1
	r.readMethod(t)

	source := r.source(t)
	if source == nil {
		return
	}
	if !t.InGit() {
		if t.Type == "" {
			r.applicationProblem("neither its status nor its fields say whether its source is Kustomize or Helm",
				"wait until Argo CD has processed it, or set write-back-method: git")
		}
		return
	}

	r.readRepository(t, source)
	r.readBranch(t)
	r.readFile(t, source)

	t.Delivery = r.value(writeBackDelivery)
	if t.Delivery != "" && !slices.Contains(spec.Deliveries(), t.Delivery) {
		r.problem(writeBackDelivery, "invalid value", "use "+strings.Join(spec.Deliveries(), " or "))
	}
}

// readMethod reads the method, and the credentials of the method git.
func (r *reader) readMethod(t *spec.Target) {
	method := r.value(writeBackMethod)
	if method == "" {
		method = r.defaults.WriteBackMethod
	}
	kind, credentials, _ := strings.Cut(method, ":")

	t.Method = spec.MethodGit
	switch {
	case method != spec.MethodGit && slices.Contains(spec.Methods(), method):
		t.Method = method
	case kind == spec.MethodGit && (credentials == "" || credentials == "repocreds"):
		t.Credentials = credentials
	case kind == spec.MethodGit && strings.HasPrefix(credentials, "secret:"):
		t.Credentials = credentials
		namespace, name, ok := strings.Cut(strings.TrimPrefix(credentials, "secret:"), "/")
		if !ok || namespace == "" || name == "" {
			r.problem(writeBackMethod, "it does not name a Secret", "write git:secret:NAMESPACE/NAME")
		}
	case kind == spec.MethodRestart:
		r.problem(writeBackMethod, "the method restart is not supported by this version", "use git")
	default:
		r.problem(writeBackMethod, "invalid value",
			orNearest("use argocd, git, git:repocreds or git:secret:NAMESPACE/NAME", kind, spec.Methods()))
	}
}

// readRepository reads the repository and its base branch: those of the source,
// or those of git-repository.
func (r *reader) readRepository(t *spec.Target, source *StoredSource) {
	if source.Chart == "" { // otherwise they are those of a Helm registry
		t.Repository, t.BaseBranch = source.RepoURL, source.TargetRevision
	}

	if repository := r.value(gitRepository); repository != "" {
		t.Repository = repository
		for _, other := range r.app.Spec.Sources {
			if other.RepoURL == repository {
				t.BaseBranch = other.TargetRevision
			}
		}
	}

	switch {
	case t.Repository == "" && source.Chart != "":
		r.applicationProblem("its source is a chart from a Helm registry, which cannot be written to",
			"set "+spec.Prefix+gitRepository+" to the git repository that has its values, and "+
				spec.Prefix+writeBackTarget+" to helmvalues:/FILE")
	case t.Repository == "":
		r.applicationProblem("the Application has no spec.source.repoURL",
			"set it, or set "+spec.Prefix+gitRepository+" to the repository")
	}
}

// readBranch reads the base branch and the branch to write to.
func (r *reader) readBranch(t *spec.Target) {
	base, write, _ := strings.Cut(r.value(gitBranch), ":")
	if base != "" {
		t.BaseBranch = base
	}
	if t.BaseBranch == "HEAD" {
		t.BaseBranch = ""
	}

	if strings.Contains(write, "{{") {
		parsed, err := spec.ParseBranchTemplate(write, r.app.Namespace, r.app.Name)
		if err != nil {
			r.problem(gitBranch, err.Error(),
				"write base:write; "+spec.BranchTemplateUsage)
		}
		t.BranchTemplate, write = parsed, ""
	}
	t.WriteBranch = write

	for _, branch := range []string{base, write} {
		if branch != "" && !spec.ValidBranch(branch) {
			r.problem(gitBranch, fmt.Sprintf("git does not allow %q as the name of a branch", branch),
				"write base or base:write")
		}
	}
}

// readFile reads which file is edited.
func (r *reader) readFile(t *spec.Target, source *StoredSource) {
	folder, err := resolve("", source.Path)
	if err != nil {
		r.applicationProblem("spec.source.path: "+err.Error(), "correct the path")
		return
	}

	t.Folder = folder
	if r.value(writeBackTarget) == "" {
		r.defaultFile(t, source)
		return
	}

	if err := r.namedFile(t, folder); err != nil {
		r.problem(writeBackTarget, err.Error(), "use "+strings.Join(manifest.Usages(), ", ")+
			", where a relative path starts at spec.source.path "+
			"and one with a leading / at the root of the repository; or the path of an override file from the root")
		t.Folder, t.File = "", ""
	}
}

// defaultFile is for an Application that does not name a write-back-target.
func (r *reader) defaultFile(t *spec.Target, source *StoredSource) {
	var err error
	if t.File, err = resolve(t.Folder, r.overrideName()); err == nil && path.Dir(t.File) != t.Folder {
		err = fmt.Errorf("its name has a slash")
	}

	switch {
	case err != nil:
		r.applicationProblem(err.Error(), "give the Application a name that Kubernetes allows")
		t.File = ""
	case source.Chart != "" && t.Repository != "":
		r.applicationProblem("its source is a chart from a Helm registry, in which no file can be written",
			"set "+spec.Prefix+writeBackTarget+" to the values file: helmvalues:/FILE")
	case t.Type == spec.Helm || r.defaults.WriteBackTarget == string(manifest.FormOverrides):
		t.Form = manifest.FormOverrides
	default:
		t.Form = manifest.FormKustomization
	}
}

// namedFile reads the file that write-back-target names.
func (r *reader) namedFile(t *spec.Target, folder string) (err error) {
	target := r.value(writeBackTarget)
	kind, file, named := manifest.Named(target)

	switch {
	case !named:
		t.Form = manifest.FormOverrides
		t.File, err = resolve("", target)
	case kind.Names != nil:
		t.Form = kind.Form
		t.Folder, err = resolve(folder, file)
	default:
		t.Form = kind.Form
		t.File, err = resolve(folder, file)
	}
	if err == nil && t.File == "." {
		err = fmt.Errorf("%q does not name a file", target)
	}

	return err
}

// overrideName returns the name of the file that Argo CD itself reads next to a
// source.
func (r *reader) overrideName() string {
	if r.app.Namespace == "" || r.app.Namespace == r.defaults.Namespace {
		return ".argocd-source-" + r.app.Name + ".yaml"
	}

	return ".argocd-source-" + r.app.Namespace + "_" + r.app.Name + ".yaml"
}

// longestPath is how long a path may be, in bytes: no checkout has longer ones.
const longestPath = 1024

// resolve returns a path relative to the root of the repository. p is relative
// to a folder, or to the root if it begins with a slash. The error is for a path
// that leads out of the repository, and for one that no file should have.
func resolve(folder, p string) (string, error) {
	if strings.ContainsFunc(p, func(r rune) bool { return r == utf8.RuneError || !unicode.IsPrint(r) }) {
		return "", fmt.Errorf("the path %.80q has a character that is not visible", p)
	}
	if len(p) > longestPath {
		return "", fmt.Errorf("the path is longer than %d bytes", longestPath)
	}

	joined := path.Join(folder, p)
	if strings.HasPrefix(p, "/") {
		joined = path.Clean(strings.TrimLeft(p, "/"))
	}

	if joined == ".." || strings.HasPrefix(joined, "../") || strings.HasPrefix(joined, "/") {
		return "", fmt.Errorf("the path %q leads out of the repository", escape.Cut(p, 200))
	}
	if joined == "" {
		return ".", nil
	}

	return joined, nil
}
