package argo

import (
	"fmt"
	"path"
	"strings"
)

// The ways that a change can be delivered.
const (
	DeliverCommit      = "commit"
	DeliverPullRequest = "pull-request"
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
	if t.Method == MethodArgoCD {
		if t.Type == "" {
			r.problem("", "", "neither its status nor its fields tell whether its source is Kustomize or Helm", "wait for Argo CD to look at it, or set write-back-method: git")
		}
		return
	}
	t.Repository = source.RepoURL
	t.BaseBranch = source.TargetRevision
	if source.Chart != "" {
		t.Repository, t.BaseBranch = "", "" // those of a chart's registry
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
		r.problem("", "", "its source is a chart from a Helm registry, which nothing can be written to", "name the git repository with its values in "+Prefix+gitRepository+", and the file in "+Prefix+writeBackTarget+": helmvalues:/FILE")
	case t.Repository == "":
		r.problem("", "", "the Application has no spec.source.repoURL", "set it, or name the repository in "+Prefix+gitRepository)
	}
	r.readBranch(t)
	r.readFile(t, source)
	if t.Delivery = r.value(writeBackDelivery); t.Delivery != "" && t.Delivery != DeliverCommit && t.Delivery != DeliverPullRequest {
		r.problem(writeBackDelivery, "", "it is no way of delivery", "use commit or pull-request")
	}
}

func (r *reader) readMethod(t *Target) {
	method := r.value(writeBackMethod)
	if method == "" {
		method = r.defaults.WriteBackMethod
	}
	kind, credentials, _ := strings.Cut(method, ":")
	t.Method = MethodGit
	switch {
	case method == MethodArgoCD:
		t.Method = MethodArgoCD
	case kind == MethodGit && (credentials == "" || credentials == "repocreds"):
		t.Credentials = credentials
	case kind == MethodGit && strings.HasPrefix(credentials, "secret:"):
		t.Credentials = credentials
		namespace, name, ok := strings.Cut(strings.TrimPrefix(credentials, "secret:"), "/")
		if !ok || namespace == "" || name == "" {
			r.problem(writeBackMethod, "", "it does not name a Secret", "write git:secret:NAMESPACE/NAME")
		}
	case kind == "restart":
		r.problem(writeBackMethod, "", "the method restart is not supported by this version", "use git")
	default:
		r.problem(writeBackMethod, "", "it is no write-back method", "use argocd, git, git:repocreds or git:secret:NAMESPACE/NAME"+nearest(kind, []string{MethodGit, MethodArgoCD}))
	}
}

// source picks the source whose images are set: the only one, or of several
// the first that is Kustomize or Helm, as Argo CD or else its fields say.
func (r *reader) source(t *Target) *StoredSource {
	spec, status := &r.app.Spec, &r.app.Status
	if len(spec.Sources) == 0 {
		if spec.Source == nil {
			r.problem("", "", "the Application has neither spec.source nor spec.sources", "set spec.source")
			return nil
		}
		t.Type = r.sourceType(spec.Source, status.SourceType)
		return spec.Source
	}
	candidate := -1
	for i := range spec.Sources {
		source := &spec.Sources[i]
		var told SourceType
		if i < len(status.SourceTypes) {
			told = status.SourceTypes[i]
		}
		if kind := fieldsType(source, told); kind == Kustomize || kind == Helm {
			t.Source, t.Type = i, r.sourceType(source, told)
			return source
		}
		if told == "" && source.Path != "" && source.Chart == "" && candidate < 0 {
			candidate = i
		}
	}
	if candidate < 0 {
		r.problem("", "", "none of spec.sources is a Kustomize or Helm source", "add one, or set spec.source")
		return nil
	}
	t.Source, t.Type = candidate, r.sourceType(&spec.Sources[candidate], "")
	return &spec.Sources[candidate]
}

// sourceType is told by the write-back target, else by Argo CD, else by the
// fields of the source; empty where only the repository can tell.
func (r *reader) sourceType(source *StoredSource, told SourceType) SourceType {
	if r.out.Target.Method == MethodGit {
		switch kind, _, _ := strings.Cut(r.value(writeBackTarget), ":"); Form(kind) {
		case FormKustomization:
			return Kustomize
		case FormHelmValues:
			return Helm
		}
	}
	t := fieldsType(source, told)
	switch t {
	case Kustomize, Helm, "":
	default:
		r.problem("", "", fmt.Sprintf("its source is of type %s, in which no image can be set", t), "use a Kustomize or Helm source, or name the file in "+Prefix+writeBackTarget+": kustomization:FOLDER or helmvalues:FILE")
	}
	return t
}

func fieldsType(source *StoredSource, told SourceType) SourceType {
	if told != "" {
		return told
	}
	if kind := source.explicitType(); kind != "" || source.Chart == "" {
		return kind
	}
	return Helm
}

func (r *reader) readBranch(t *Target) {
	base, write, _ := strings.Cut(r.value(gitBranch), ":")
	if base != "" {
		t.BaseBranch = base
	}
	if t.BaseBranch == "HEAD" {
		t.BaseBranch = ""
	}
	if strings.Contains(write, "{{") {
		parsed, err := parseBranchTemplate(write, r.app.Namespace, r.app.Name)
		if err != nil {
			r.problem(gitBranch, "", err.Error(), "write base:write, where write may use .AppName, .Images (.Name .Alias .OldTag .NewTag) and .SHA256")
		}
		t.BranchTemplate, write = parsed, ""
	}
	t.WriteBranch = write
	for _, branch := range []string{base, write} {
		if branch != "" && !ValidBranch(branch) {
			r.problem(gitBranch, "", fmt.Sprintf("git does not allow %q as the name of a branch", branch), "name the branches as base or base:write")
		}
	}
}

// ValidBranch tells whether git allows a name for a branch. It follows git check-ref-format.
func ValidBranch(name string) bool {
	for component := range strings.SplitSeq(name, "/") {
		if component == "" || strings.HasPrefix(component, ".") || strings.HasSuffix(component, ".lock") {
			return false
		}
	}
	return !strings.ContainsAny(name, " ~^:?*[\\\x7f") && !strings.Contains(name, "..") && !strings.Contains(name, "@{") &&
		!strings.HasSuffix(name, ".") && !strings.HasPrefix(name, "-") && name != "@" &&
		strings.IndexFunc(name, func(c rune) bool { return c < ' ' }) < 0
}

// readFile reads which file is to be edited.
func (r *reader) readFile(t *Target, source *StoredSource) {
	folder, err := within("", source.Path)
	if err != nil {
		r.problem("", "", "spec.source.path: "+err.Error(), "correct the path")
		return
	}
	target := r.value(writeBackTarget)
	kind, sub, _ := strings.Cut(target, ":")
	t.Folder = folder
	switch {
	case target == "":
		t.File = path.Join(folder, r.overrideName())
		switch {
		case source.Chart != "" && t.Repository != "":
			r.problem("", "", "its source is a chart from a Helm registry, in which no file can be written", "name the values file in "+Prefix+writeBackTarget+": helmvalues:/FILE")
		case t.Type == Helm || r.defaults.WriteBackTarget == string(FormOverrides):
			t.Form = FormOverrides
		default:
			t.Form = FormKustomization
		}
		return
	case kind == string(FormKustomization):
		t.Form = FormKustomization
		t.Folder, err = within(folder, sub)
	case kind == string(FormHelmValues):
		if sub == "" {
			sub = "values.yaml"
		}
		t.Form = FormHelmValues
		t.File, err = within(folder, sub)
	default:
		t.Form = FormOverrides
		t.File, err = within("", target)
	}
	if err == nil && t.File == "." {
		err = fmt.Errorf("%q names no file", target)
	}
	if err != nil {
		r.problem(writeBackTarget, "", err.Error(), "use kustomization[:FOLDER], helmvalues[:FILE] or the file of overrides; a relative path starts at spec.source.path, one with / at the root")
		t.Folder, t.File = "", ""
	}
}

// overrideName is that of the file which Argo CD itself reads beside a source.
func (r *reader) overrideName() string {
	if r.app.Namespace == "" || r.app.Namespace == r.defaults.Namespace {
		return ".argocd-source-" + r.app.Name + ".yaml"
	}
	return ".argocd-source-" + r.app.Namespace + "_" + r.app.Name + ".yaml"
}
