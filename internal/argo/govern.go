package argo

import (
	"cmp"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/liverty-music/image-writeback/internal/image"
	"github.com/liverty-music/image-writeback/internal/spec"
)

// governed is an Application with the annotations that count for it: its own, or
// those that an ImageUpdater stands for.
type governed struct {
	app      *Stored
	resource string   // the ImageUpdater; empty if the Application's own annotations count
	labels   []string // of pull requests
	problems []spec.Problem
}

// govern finds what counts for an Application: the ImageUpdater that selects it,
// or else its own annotations. It does not change app.
func govern(updaters []*ImageUpdater, app *Stored) governed {
	var by *ImageUpdater
	var ref *applicationRef
	var others []string
	for _, u := range updaters {
		found := u.ref(app)
		switch {
		case found == nil:
		case by == nil:
			by, ref = u, found
		default:
			others = append(others, u.String())
		}
	}
	if by == nil {
		return governed{app: app}
	}

	expected, remedy := unsupported(by, ref)
	if len(others) > 0 {
		expected = "it selects the Application, and so do " + strings.Join(others, ", ")
		remedy = "change them so that only one selects it"
	}
	if expected != "" {
		return governed{app: app, resource: by.String(), problems: []spec.Problem{{
			Application: app.Namespace + "/" + app.Name,
			Where:       by.where,
			Expected:    "ImageUpdater " + by.String() + ": " + expected,
			Remedy:      remedy,
		}}}
	}
	if ref.UseAnnotations {
		return governed{app: app}
	}

	return translated(app, by, ref)
}

// unsupported returns what an ImageUpdater asks for that this version does not
// do, and what to do; nothing if there is none.
func unsupported(u *ImageUpdater, ref *applicationRef) (expected, remedy string) {
	levels := []settings{u.Spec.settings, ref.settings}
	for _, i := range ref.Images {
		levels = append(levels, i.settings)
	}
	for _, s := range levels {
		if s.Verification != nil && (s.Verification.Enabled == nil || *s.Verification.Enabled) {
			return "imagesVerification is not supported, so nothing is updated",
				"remove it, or keep these Applications with Argo CD Image Updater"
		}
	}

	// With useAnnotations, the images of the reference do not count.
	if ref.UseAnnotations {
		return "", ""
	}
	for _, i := range ref.Images {
		if i.Manifest.Plugin != nil {
			return "manifestTargets.plugin of " + i.Alias + " is not supported", "use helm or kustomize"
		}
	}

	return "", ""
}

// translated returns a copy of an Application with the annotations that an
// ImageUpdater stands for. Of its own, only write-back-delivery still counts,
// unless the ImageUpdater asks for pull requests.
func translated(app *Stored, by *ImageUpdater, ref *applicationRef) governed {
	copied := *app
	copied.Annotations = map[string]string{}
	maps.Copy(copied.Annotations, app.Annotations)
	maps.DeleteFunc(copied.Annotations, func(name, _ string) bool {
		return strings.HasPrefix(name, spec.Prefix) && name != spec.Prefix+writeBackDelivery
	})

	annotations, labels := annotationsOf(by.Spec.settings, *ref)
	for name, value := range annotations {
		copied.Annotations[spec.Prefix+name] = value
	}

	return governed{app: &copied, resource: by.String(), labels: labels}
}

// annotationSet collects annotations, whose names are without prefix.
type annotationSet map[string]string

// put sets an annotation to the first value that is given, if there is one.
func (a annotationSet) put(name string, values ...*string) {
	if value := cmp.Or(values...); value != nil {
		a[name] = *value
	}
}

// annotationsOf returns the annotations, without prefix, that an ImageUpdater
// stands for in the Applications of one reference, and the labels of their pull
// requests.
func annotationsOf(common settings, ref applicationRef) (annotations annotationSet, labels []string) {
	annotations = annotationSet{}

	var list []string
	for _, i := range ref.Images {
		list = append(list, i.Alias+"="+i.ImageName)
		annotations.putImage(i, []settings{i.settings, ref.settings, common})
	}
	annotations[imageList] = strings.Join(list, ",")

	annotations.put(writeBackMethod, ref.WriteBack.Method, common.WriteBack.Method)
	near, far := ref.WriteBack.Git, common.WriteBack.Git
	annotations.put(gitRepository, near.Repository, far.Repository)
	annotations.put(gitBranch, near.Branch, far.Branch)
	annotations.put(writeBackTarget, near.WriteBackTarget, far.WriteBackTarget)
	if request := cmp.Or(near.PullRequest, far.PullRequest); request != nil {
		annotations[writeBackDelivery] = spec.DeliverPullRequest
		labels = slices.Clone(request.Labels)
	}

	return annotations, labels
}

// putImage sets the annotations of one image. levels are its settings, the
// nearest first.
func (a annotationSet) putImage(i imageRef, levels []settings) {
	alias := strings.ReplaceAll(i.Alias, "/", "_") + "."
	put := func(name string, get func(settings) *string) {
		var values []*string
		for _, level := range levels {
			values = append(values, get(level))
		}
		a.put(alias+name, values...)
	}

	put(updateStrategy, func(s settings) *string { return s.Common.UpdateStrategy })
	put(allowTags, func(s settings) *string { return s.Common.AllowTags })
	put(ignoreTags, func(s settings) *string { return joined(s.Common.IgnoreTags) })
	put(platforms, func(s settings) *string { return joined(s.Common.Platforms) })
	put(pullSecret, func(s settings) *string { return s.Common.PullSecret })
	put(forceUpdate, func(s settings) *string {
		if s.Common.ForceUpdate == nil {
			return nil
		}
		text := strconv.FormatBool(*s.Common.ForceUpdate)
		return &text
	})

	a.put(alias+helmName, i.Manifest.Helm.Name)
	a.put(alias+helmTag, i.Manifest.Helm.Tag)
	a.put(alias+helmSpec, i.Manifest.Helm.Spec)
	if name := i.Manifest.Kustomize.Name; name != nil {
		bare, _, _ := image.CutTag(*name)
		a[alias+kustomizeName] = bare
	}
}

// joined returns a list as annotations have it; nil if it is empty.
func joined(values []string) *string {
	if len(values) == 0 {
		return nil
	}
	s := strings.Join(values, ",")

	return &s
}
