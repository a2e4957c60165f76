package argo

import (
	"fmt"
	"strings"

	"github.com/argoproj/argo-cd/v2/pkg/apis/application/v1alpha1"
)

// The ways that a change can be delivered.
const (
	DeliverCommit      = "commit"
	DeliverPullRequest = "pull-request"
)

// readTarget reads where the Application wants its changes written.
func (r *reader) readTarget() {
	t := &r.out.Target
	r.readMethod(t)
	source, sourceType := r.source()
	if source == nil {
		return
	}
	t.Repository, t.Type = source.RepoURL, sourceType
	t.BaseBranch = source.TargetRevision
	if repository := r.value(gitRepository); repository != "" {
		t.Repository = repository
	}
	if t.Repository == "" {
		r.problem("", "", "the Application has no spec.source.repoURL", "set it, or name the repository in "+Prefix+gitRepository)
	}
	r.readBranch(t)
	r.readFolder(t, source.Path)
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
	switch {
	case kind == "git" && (credentials == "" || credentials == "repocreds"):
		t.Credentials = credentials
	case kind == "git" && strings.HasPrefix(credentials, "secret:"):
		t.Credentials = credentials
		namespace, name, ok := strings.Cut(strings.TrimPrefix(credentials, "secret:"), "/")
		if !ok || namespace == "" || name == "" {
			r.problem(writeBackMethod, "", "it does not name a Secret", "write git:secret:NAMESPACE/NAME")
		}
	case kind == "argocd" || kind == "restart":
		r.problem(writeBackMethod, "", fmt.Sprintf("the method %s is not supported by this version", kind), "use git")
	default:
		r.problem(writeBackMethod, "", "it is no write-back method", "use git, git:repocreds or git:secret:NAMESPACE/NAME"+nearest(kind, []string{"git", "argocd"}))
	}
}

// source picks the source to write to: the only one, or of several the one
// that is Kustomize or Helm, or that git-repository names.
func (r *reader) source() (*v1alpha1.ApplicationSource, SourceType) {
	spec, status := &r.app.Spec, &r.app.Status
	if len(spec.Sources) == 0 {
		if spec.Source == nil {
			r.problem("", "", "the Application has neither spec.source nor spec.sources", "set spec.source")
			return nil, ""
		}
		return spec.Source, r.sourceType(spec.Source, status.SourceType)
	}
	var candidate *v1alpha1.ApplicationSource
	for i := range spec.Sources {
		source := &spec.Sources[i]
		if repository := r.value(gitRepository); repository != "" && source.RepoURL != repository {
			continue
		}
		var told v1alpha1.ApplicationSourceType
		if i < len(status.SourceTypes) {
			told = status.SourceTypes[i]
		}
		if t := fieldsType(source, told); t == Kustomize || t == Helm {
			return source, r.sourceType(source, told)
		}
		if source.Path != "" && source.Chart == "" && candidate == nil {
			candidate = source
		}
	}
	if candidate == nil {
		r.problem("", "", "none of spec.sources is a Kustomize or Helm source", "add one, or set spec.source")
		return nil, ""
	}
	return candidate, r.sourceType(candidate, "")
}

// sourceType is told by the write-back target, else by Argo CD, else by the
// fields of the source; empty where only the repository can tell.
func (r *reader) sourceType(source *v1alpha1.ApplicationSource, told v1alpha1.ApplicationSourceType) SourceType {
	switch kind, _, _ := strings.Cut(r.value(writeBackTarget), ":"); kind {
	case "kustomization":
		return Kustomize
	case "helmvalues":
		return Helm
	}
	t := fieldsType(source, told)
	switch t {
	case Kustomize, Helm, "":
	default:
		r.problem("", "", fmt.Sprintf("its source is of type %s, in which no image can be set", t), "use a Kustomize source, or name the kustomization in "+Prefix+writeBackTarget)
	}
	return t
}

func fieldsType(source *v1alpha1.ApplicationSource, told v1alpha1.ApplicationSourceType) SourceType {
	if told != "" {
		return SourceType(told)
	}
	// An error means fields of several types, which Argo CD refuses as well.
	explicit, err := source.ExplicitType()
	switch {
	case err == nil && explicit != nil:
		return SourceType(*explicit)
	case source.Chart != "":
		return Helm
	}
	return ""
}

func (r *reader) readBranch(t *Target) {
	value := r.value(gitBranch)
	base, write, _ := strings.Cut(value, ":")
	if strings.Contains(value, "{{") {
		r.problem(gitBranch, "", "templates are not supported by this version", "name the branches as base or base:write")
		return
	}
	if base != "" {
		t.BaseBranch = base
	}
	if t.BaseBranch == "HEAD" {
		t.BaseBranch = ""
	}
	t.WriteBranch = write
	for _, branch := range []string{base, write} {
		if branch != "" && !validBranch(branch) {
			r.problem(gitBranch, "", fmt.Sprintf("git does not allow %q as the name of a branch", branch), "name the branches as base or base:write")
		}
	}
}

// validBranch follows git check-ref-format.
func validBranch(name string) bool {
	for component := range strings.SplitSeq(name, "/") {
		if component == "" || strings.HasPrefix(component, ".") || strings.HasSuffix(component, ".lock") {
			return false
		}
	}
	return !strings.ContainsAny(name, " ~^:?*[\\\x7f") && !strings.Contains(name, "..") && !strings.Contains(name, "@{") &&
		!strings.HasSuffix(name, ".") && !strings.HasPrefix(name, "-") && name != "@" &&
		strings.IndexFunc(name, func(c rune) bool { return c < ' ' }) < 0
}

func (r *reader) readFolder(t *Target, sourcePath string) {
	folder, err := within("", sourcePath)
	if err != nil {
		r.problem("", "", "spec.source.path: "+err.Error(), "correct the path")
		return
	}
	target := r.value(writeBackTarget)
	if target == "" {
		target = r.defaults.WriteBackTarget
	}
	kind, sub, _ := strings.Cut(target, ":")
	switch {
	case kind != "kustomization":
		r.problem(writeBackTarget, "", "this target is not supported by this version", "use kustomization or kustomization:FOLDER")
	case t.Type == Helm:
		r.problem("", "", "its source is a Helm chart, which this version cannot write to", "use a Kustomize source, or name the kustomization in "+Prefix+writeBackTarget)
	default:
		if t.Folder, err = within(folder, sub); err != nil {
			r.problem(writeBackTarget, "", err.Error(), "name a folder within it; a relative path starts at spec.source.path, one with / at the root")
		}
	}
}
