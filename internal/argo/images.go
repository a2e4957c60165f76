package argo

import (
	"fmt"
	"regexp"
	"strings"

	"github.com/liverty-music/image-writeback/internal/image"
	"github.com/liverty-music/image-writeback/internal/policy"
	"github.com/liverty-music/image-writeback/internal/spec"
)

// maxItem is how long an item of image-list may be: longer than any name of an image
// with its constraint.
const maxItem = 1000

const imageListForm = "write [alias=]registry/repository[:constraint], separated by commas"

// aliasPattern is what an alias may be. It names annotations, and stands in titles,
// branches and commands.
var aliasPattern = regexp.MustCompile(`^[A-Za-z0-9._/-]{1,63}$`)

// readImages reads image-list, and what is asked for each of its images.
func (r *reader) readImages() {
	var live []image.Ref
	for _, s := range r.app.Status.Summary.Images {
		if ref, err := image.ParseRunning(s); err == nil {
			live = append(live, ref)
		}
	}
	liveKnown := len(r.app.Status.Summary.Images) > 0 || r.from.file == ""

	list := r.value(imageList)
	if n := int64(strings.Count(list, ",") + 1); r.defaults.Images.Max > 0 && n > r.defaults.Images.Max {
		exceeded := r.defaults.Images.TooMany("the Application", "images")
		r.problem(imageList, exceeded.What, "divide the Application, or "+exceeded.Remedy)
		return
	}

	for item := range strings.SplitSeq(list, ",") {
		if item = strings.TrimSpace(item); item == "" {
			continue
		}
		if len(item) > maxItem {
			r.problem(imageList, fmt.Sprintf("one image has a name of %d characters", len(item)), imageListForm)
			continue
		}

		alias, name, constraint := splitListItem(item)
		if alias != "" && !aliasPattern.MatchString(alias) {
			r.problem(imageList, fmt.Sprintf("%.80q is not an alias", alias),
				"write an alias with letters, digits, '.', '_', '-' and '/' only, 63 characters at most")
			continue
		}
		ref, err := image.ParseName(name)
		if err != nil {
			r.problem(imageList, err.Error(), imageListForm)
			continue
		}

		i := imageReader{reader: r, image: spec.Image{Alias: alias, Ref: ref}}
		i.readPolicy(constraint)
		i.readCredentials()
		i.readNames()
		i.readPlatforms()
		if i.image.Live, err = i.running(live, liveKnown); err != nil {
			i.image.NotLive = err.Error()
		}
		r.out.Images = append(r.out.Images, i.image)
	}

	if len(r.out.Images) == 0 && len(r.out.Problems) == 0 {
		r.problem(imageList, "it does not name an image", imageListForm)
	}
}

// splitListItem splits [alias=]image[:constraint]. A constraint can have "=" in
// it: text before the first "=" is an alias only if it has no colon.
func splitListItem(item string) (alias, name, constraint string) {
	if left, right, ok := strings.Cut(item, "="); ok && !strings.Contains(left, ":") {
		alias, item = strings.ReplaceAll(strings.TrimSpace(left), "/", "_"), strings.TrimSpace(right)
	}
	name, constraint, _ = image.CutTag(item)

	return alias, strings.TrimSpace(name), strings.TrimSpace(constraint)
}

// imageReader collects what is asked for one image.
type imageReader struct {
	*reader
	image spec.Image
}

// value returns a setting of the image, and the name of its annotation.
func (i *imageReader) value(settings ...string) (value, name string) {
	return i.imageValue(i.image.Alias, settings...)
}

// problem records what is wrong with an annotation of the image.
func (i *imageReader) problem(name, expected, remedy string) {
	i.image.Problems = append(i.image.Problems, i.record(spec.Problem{
		Image: i.image.Key(), Annotation: spec.Prefix + name, Expected: expected, Remedy: remedy,
	}))
}

// readPolicy reads which tags are allowed, and which of them wins.
func (i *imageReader) readPolicy(constraint string) {
	p := policy.Policy{Strategy: policy.SemVer, Constraint: constraint}
	strategyKnown := true

	if v, name := i.value(updateStrategy); v != "" {
		strategy, err := policy.ParseStrategy(v)
		if err != nil {
			all := policy.StrategyNames()
			i.problem(name, err.Error(), orNearest("use one of "+strings.Join(all, ", "), v, all))
			strategyKnown = false
		}
		p.Strategy = strategy
	}

	v, name := i.value(allowTags, tagMatch)
	allow, err := policy.ParseAllow(v)
	if err != nil {
		i.problem(name, err.Error(), "no tag is allowed until this is corrected")
	}

	v, name = i.value(ignoreTags)
	ignore, err := policy.ParseIgnore(v)
	if err != nil {
		i.problem(name, err.Error(), `write globs separated by commas, such as "latest, *-rc*"`)
	}

	p.Allow, p.Ignore = allow, ignore
	if strategyKnown {
		if err := p.Validate(); err != nil {
			i.problem(imageList, err.Error(), "correct what follows ':' after the image")
		}
	}
	i.image.Policy = p
}

// readCredentials reads the credentials for the registry.
func (i *imageReader) readCredentials() {
	var name string
	i.image.Credentials, name = i.value(pullSecret)
	if source := i.image.Credentials; source != "" && !image.ValidCredentials(source) {
		i.problem(name, "the value does not name credentials",
			"use one of "+strings.Join(image.CredentialForms(), ", "))
	}
}

// readNames reads under which names files have the image.
func (i *imageReader) readNames() {
	var name string
	i.image.KustomizeName, name = i.value(kustomizeName)
	if i.image.KustomizeName != "" {
		if _, err := image.ParseName(i.image.KustomizeName); err != nil {
			i.problem(name, err.Error(), "write the name: of the image in the kustomization, without a tag")
		}
	}

	i.image.HelmSpec, _ = i.value(helmSpec)
	if i.image.HelmName, _ = i.value(helmName); i.image.HelmName == "" {
		i.image.HelmName = "image.name"
	}
	if i.image.HelmTag, _ = i.value(helmTag); i.image.HelmTag == "" {
		i.image.HelmTag = "image.tag"
	}
}

// readPlatforms reads which platforms an image must have.
func (i *imageReader) readPlatforms() {
	list, name := i.value(platforms)
	for p := range strings.SplitSeq(list, ",") {
		if p = strings.TrimSpace(p); p == "" {
			continue
		}
		if n := strings.Count(p, "/"); n < 1 || n > 2 {
			i.problem(name, fmt.Sprintf("%q is not a platform", p),
				"write os/arch[/variant], such as linux/amd64, separated by commas")
		}
		i.image.Platforms = append(i.image.Platforms, p)
	}
}

// running finds the image among those that run: kustomize.image-name first,
// since that is what runs. The error is the reason to skip the image: it does
// not run, which is known, and is not forced.
func (i *imageReader) running(live []image.Ref, known bool) (image.Ref, error) {
	names := []image.Ref{i.image.Ref}
	if ref, err := image.ParseName(i.image.KustomizeName); i.image.KustomizeName != "" && err == nil {
		names = []image.Ref{ref, i.image.Ref}
	}
	for _, name := range names {
		for _, l := range live {
			if l.SameImage(name) {
				return l, nil
			}
		}
	}

	if forced, _ := i.value(forceUpdate); !known || strings.EqualFold(forced, "true") {
		return image.Ref{}, nil
	}

	name := forceUpdate
	if i.image.Alias != "" {
		name = i.image.Alias + "." + forceUpdate
	}

	return image.Ref{}, fmt.Errorf("%s is not among the running images of the Application; "+
		"deploy it first, or set %s%s to \"true\"", i.image.Ref.Name, spec.Prefix, name)
}
