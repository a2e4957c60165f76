package argo

import (
	"fmt"
	"slices"
	"strings"

	"github.com/liverty-music/image-writeback/internal/spec"
	"github.com/liverty-music/image-writeback/internal/suggest"
)

// The names of annotations, without prefix. Those of one image are without its
// alias as well.
const (
	imageList      = "image-list"
	updateStrategy = "update-strategy"
	allowTags      = "allow-tags"
	tagMatch       = "tag-match" // old name of allow-tags
	ignoreTags     = "ignore-tags"
	pullSecret     = "pull-secret"
	forceUpdate    = "force-update"
	platforms      = "platforms"
	kustomizeName  = "kustomize.image-name"
	helmName       = "helm.image-name"
	helmTag        = "helm.image-tag"
	helmSpec       = "helm.image-spec"

	writeBackMethod   = "write-back-method"
	writeBackTarget   = "write-back-target"
	writeBackDelivery = "write-back-delivery"
	gitBranch         = "git-branch"
	gitRepository     = "git-repository"
)

// The annotations that stand for an Application, and after an alias for one of
// its images. To add an annotation, add it here and read it where the others
// are read.
var (
	forApplication = []string{
		imageList, updateStrategy, allowTags, ignoreTags, pullSecret, forceUpdate,
		writeBackMethod, writeBackTarget, writeBackDelivery, gitBranch, gitRepository,
	}
	forImage = []string{
		updateStrategy, allowTags, tagMatch, ignoreTags, pullSecret, forceUpdate, platforms,
		kustomizeName, helmName, helmTag, helmSpec,
	}
)

// unknownNames advises on annotations with our prefix that nobody reads.
func (r *reader) unknownNames() {
	aliases := map[string]bool{}
	for item := range strings.SplitSeq(r.value(imageList), ",") {
		if alias, _, _ := splitListItem(strings.TrimSpace(item)); alias != "" {
			aliases[alias] = true
		}
	}

	var names []string
	for annotation := range r.app.Annotations {
		name, ok := strings.CutPrefix(annotation, spec.Prefix)
		if ok && !slices.Contains(forApplication, name) {
			names = append(names, name)
		}
	}
	slices.Sort(names)

	for _, name := range names {
		r.unknownName(name, aliases)
	}
}

// unknownName advises on one annotation that does not stand for an Application.
func (r *reader) unknownName(name string, aliases map[string]bool) {
	alias, setting, dotted := strings.Cut(name, ".")
	known := slices.Contains(forImage, setting)

	var meant string
	switch {
	case dotted && aliases[alias] && known:
		return
	case dotted && known:
		r.advise(name, fmt.Sprintf("image-list has no alias %q", alias),
			"add it to image-list as "+alias+"=…, or remove the annotation")
		return
	case dotted && aliases[alias]:
		if meant = suggest.Nearest(setting, forImage); meant != "" {
			meant = alias + "." + meant
		}
	default:
		meant = suggest.Nearest(name, forApplication)
	}

	if meant == "" {
		r.advise(name, "unknown annotation", "remove it")
	} else {
		r.advise(name, "unknown annotation", "did you mean "+meant+"?")
	}
}
