package argo

import (
	"cmp"
	"fmt"
	"os"
	"path"
	"slices"
	"strings"

	"github.com/liverty-music/image-writeback/internal/manifest"
	"github.com/liverty-music/image-writeback/internal/spec"
)

// source returns the source whose images are set, and records its type and
// index: the only source, or the first of several that is Kustomize or Helm. It
// is nil if there is none, which is a problem.
func (r *reader) source(t *spec.Target) *StoredSource {
	stored, status := &r.app.Spec, &r.app.Status
	if len(stored.Sources) == 0 {
		if stored.Source == nil {
			r.applicationProblem("the Application has neither spec.source nor spec.sources", "set spec.source")
			return nil
		}

		t.Type = r.sourceType(stored.Source, status.SourceType)
		return stored.Source
	}

	untyped := -1
	for i := range stored.Sources {
		source := &stored.Sources[i]
		var reported spec.SourceType
		if i < len(status.SourceTypes) {
			reported = status.SourceTypes[i]
		}

		if kind := fieldsType(source, reported); kind == spec.Kustomize || kind == spec.Helm {
			t.Source, t.Type = i, r.sourceType(source, reported)
			return source
		}
		if reported == "" && source.Path != "" && source.Chart == "" && untyped < 0 {
			untyped = i
		}
	}

	// Without a type, the first source with a path can be one of them.
	if untyped < 0 {
		r.applicationProblem("none of spec.sources is a Kustomize or Helm source", "add one, or set spec.source")
		return nil
	}
	t.Source, t.Type = untyped, r.sourceType(&stored.Sources[untyped], "")

	return &stored.Sources[untyped]
}

// sourceType returns the type of the write-back-target, else that which Argo CD
// reports, else that of the fields of the source. It is empty if only the
// content of the repository can decide it.
func (r *reader) sourceType(source *StoredSource, reported spec.SourceType) spec.SourceType {
	if r.out.Target.Method == spec.MethodGit {
		if kind, _, ok := manifest.Named(r.value(writeBackTarget)); ok {
			return spec.SourceType(kind.Source)
		}
	}

	t := fieldsType(source, reported)
	switch t {
	case spec.Kustomize, spec.Helm, "":
	default:
		r.applicationProblem(fmt.Sprintf("its source has the type %s, which has no images to set", t),
			"use a Kustomize or Helm source, or set "+spec.Prefix+writeBackTarget+
				" to kustomization:FOLDER or helmvalues:FILE")
	}

	return t
}

// fieldsType returns the type that Argo CD reports, else that of the fields.
func fieldsType(source *StoredSource, reported spec.SourceType) spec.SourceType {
	if reported != "" {
		return reported
	}
	if kind := source.explicitType(); kind != "" || source.Chart == "" {
		return kind
	}

	return spec.Helm
}

// sources returns all sources of an Application, as Argo CD checks them.
func (s *Stored) sources() []spec.Source {
	if h := s.Spec.Hydrator; h != nil {
		return []spec.Source{
			{Repository: h.Dry.RepoURL, Path: bounded(h.Dry.Path), Revision: h.Dry.TargetRevision},
			{
				Repository: cmp.Or(h.Sync.RepoURL, h.Dry.RepoURL), Path: bounded(h.Sync.Path),
				Revision: h.Sync.TargetBranch,
			},
		}
	}

	stored := s.Spec.Sources
	if len(stored) == 0 && s.Spec.Source != nil {
		stored = []StoredSource{*s.Spec.Source}
	}

	var all []spec.Source
	for _, one := range stored {
		all = append(all, spec.Source{
			Repository: one.RepoURL, Path: bounded(one.Path), Revision: one.TargetRevision,
			Chart:  one.inRegistry(),
			Values: s.valuesFiles(one, stored),
		})
	}

	return all
}

// bounded returns the path of a folder, empty if no repository has such a long one: it
// would take long to find out what lies around it.
func bounded(path string) string {
	if len(path) > longestPath {
		return ""
	}

	return path
}

// inRegistry reports whether a source is a chart or an artifact, not a git repository.
func (s *StoredSource) inRegistry() bool {
	return s.Chart != "" || strings.HasPrefix(strings.ToLower(s.RepoURL), "oci://")
}

// valuesFiles returns the values files in git that a source names, and that are not
// in its own folder. Others are left out: URLs, and names with variables whose value
// only Argo CD knows.
// https://argo-cd.readthedocs.io/en/stable/user-guide/helm/#values-files
func (s *Stored) valuesFiles(source StoredSource, all []StoredSource) []spec.ValuesFile {
	if source.Helm == nil {
		return nil
	}

	var files []spec.ValuesFile
	for _, name := range source.Helm.ValueFiles {
		from, folder := source, source.Path
		if ref, rest, ok := strings.Cut(name, "/"); ok && strings.HasPrefix(ref, "$") {
			i := slices.IndexFunc(all, func(one StoredSource) bool { return "$"+one.Ref == ref })
			if i >= 0 {
				from, folder, name = all[i], "", rest
			}
		}

		file, ok := s.withVariables(name)
		if !ok || from.inRegistry() || strings.Contains(file, "://") {
			continue
		}
		resolved, err := resolve(folder, file)
		if err != nil || strings.HasPrefix(resolved, path.Clean(source.Path)+"/") && from.RepoURL == source.RepoURL {
			continue
		}
		files = append(files, spec.ValuesFile{Repository: from.RepoURL, Path: resolved})
	}

	return files
}

// withVariables puts the variables of Argo CD's build environment into the name of
// a file. ok is false if it has others than those that are known here.
func (s *Stored) withVariables(name string) (text string, ok bool) {
	ok = true
	text = os.Expand(name, func(variable string) string {
		switch variable {
		case "ARGOCD_APP_NAME":
			return s.Name
		case "ARGOCD_APP_PROJECT_NAME":
			return s.Spec.Project
		}
		ok = false

		return ""
	})

	return text, ok
}
