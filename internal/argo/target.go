package argo

import (
	"fmt"
	"path"
	"slices"
	"strings"

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
	if t.Method == spec.MethodArgoCD {
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
		r.problem("", "", "its source is a chart from a Helm registry, which nothing can be written to", "name the git repository with its values in "+spec.Prefix+gitRepository+", and the file in "+spec.Prefix+writeBackTarget+": helmvalues:/FILE")
	case t.Repository == "":
		r.problem("", "", "the Application has no spec.source.repoURL", "set it, or name the repository in "+spec.Prefix+gitRepository)
	}
	r.readBranch(t)
	r.readFile(t, source)
	if t.Delivery = r.value(writeBackDelivery); t.Delivery != "" && !slices.Contains(spec.Deliveries(), t.Delivery) {
		r.problem(writeBackDelivery, "", "it is no way of delivery", "use "+strings.Join(spec.Deliveries(), " or "))
	}
}

func (r *reader) readMethod(t *spec.Target) {
	method := r.value(writeBackMethod)
	if method == "" {
		method = r.defaults.WriteBackMethod
	}
	kind, credentials, _ := strings.Cut(method, ":")
	t.Method = spec.MethodGit
	switch {
	case method == spec.MethodArgoCD:
		t.Method = spec.MethodArgoCD
	case kind == spec.MethodGit && (credentials == "" || credentials == "repocreds"):
		t.Credentials = credentials
	case kind == spec.MethodGit && strings.HasPrefix(credentials, "secret:"):
		t.Credentials = credentials
		namespace, name, ok := strings.Cut(strings.TrimPrefix(credentials, "secret:"), "/")
		if !ok || namespace == "" || name == "" {
			r.problem(writeBackMethod, "", "it does not name a Secret", "write git:secret:NAMESPACE/NAME")
		}
	case kind == spec.MethodRestart:
		r.problem(writeBackMethod, "", "the method restart is not supported by this version", "use git")
	default:
		r.problem(writeBackMethod, "", "it is no write-back method", "use argocd, git, git:repocreds or git:secret:NAMESPACE/NAME"+nearest(kind, spec.Methods()))
	}
}

// source picks the source whose images are set: the only one, or of several
// the first that is Kustomize or Helm, as Argo CD or else its fields say.
func (r *reader) source(t *spec.Target) *StoredSource {
	stored, status := &r.app.Spec, &r.app.Status
	if len(stored.Sources) == 0 {
		if stored.Source == nil {
			r.problem("", "", "the Application has neither spec.source nor spec.sources", "set spec.source")
			return nil
		}
		t.Type = r.sourceType(stored.Source, status.SourceType)
		return stored.Source
	}
	candidate := -1
	for i := range stored.Sources {
		source := &stored.Sources[i]
		var told spec.SourceType
		if i < len(status.SourceTypes) {
			told = status.SourceTypes[i]
		}
		if kind := fieldsType(source, told); kind == spec.Kustomize || kind == spec.Helm {
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
	t.Source, t.Type = candidate, r.sourceType(&stored.Sources[candidate], "")
	return &stored.Sources[candidate]
}

// sourceType is told by the write-back target, else by Argo CD, else by the
// fields of the source; empty where only the repository can tell.
func (r *reader) sourceType(source *StoredSource, told spec.SourceType) spec.SourceType {
	if r.out.Target.Method == spec.MethodGit {
		if kind, _, ok := manifest.Named(r.value(writeBackTarget)); ok {
			return spec.SourceType(kind.Source)
		}
	}
	t := fieldsType(source, told)
	switch t {
	case spec.Kustomize, spec.Helm, "":
	default:
		r.problem("", "", fmt.Sprintf("its source is of type %s, in which no image can be set", t), "use a Kustomize or Helm source, or name the file in "+spec.Prefix+writeBackTarget+": kustomization:FOLDER or helmvalues:FILE")
	}
	return t
}

func fieldsType(source *StoredSource, told spec.SourceType) spec.SourceType {
	if told != "" {
		return told
	}
	if kind := source.explicitType(); kind != "" || source.Chart == "" {
		return kind
	}
	return spec.Helm
}

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
			r.problem(gitBranch, "", err.Error(), "write base:write, where write may use .AppName, .Images (.Name .Alias .OldTag .NewTag) and .SHA256")
		}
		t.BranchTemplate, write = parsed, ""
	}
	t.WriteBranch = write
	for _, branch := range []string{base, write} {
		if branch != "" && !spec.ValidBranch(branch) {
			r.problem(gitBranch, "", fmt.Sprintf("git does not allow %q as the name of a branch", branch), "name the branches as base or base:write")
		}
	}
}

// readFile reads which file is to be edited.
func (r *reader) readFile(t *spec.Target, source *StoredSource) {
	folder, err := within("", source.Path)
	if err != nil {
		r.problem("", "", "spec.source.path: "+err.Error(), "correct the path")
		return
	}
	target := r.value(writeBackTarget)
	kind, file, named := manifest.Named(target)
	t.Folder = folder
	switch {
	case target == "":
		t.File = path.Join(folder, r.overrideName())
		switch {
		case source.Chart != "" && t.Repository != "":
			r.problem("", "", "its source is a chart from a Helm registry, in which no file can be written", "name the values file in "+spec.Prefix+writeBackTarget+": helmvalues:/FILE")
		case t.Type == spec.Helm || r.defaults.WriteBackTarget == string(manifest.FormOverrides):
			t.Form = manifest.FormOverrides
		default:
			t.Form = manifest.FormKustomization
		}
		return
	case !named:
		t.Form = manifest.FormOverrides
		t.File, err = within("", target)
	case kind.Names != nil:
		t.Form = kind.Form
		t.Folder, err = within(folder, file)
	default:
		t.Form = kind.Form
		t.File, err = within(folder, file)
	}
	if err == nil && t.File == "." {
		err = fmt.Errorf("%q names no file", target)
	}
	if err != nil {
		r.problem(writeBackTarget, "", err.Error(), "use "+strings.Join(manifest.Usages(), ", ")+
			", where a relative path starts at spec.source.path and one with a leading / at the root of the repository; "+
			"or the path of an override file from the root")
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
