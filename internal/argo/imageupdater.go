package argo

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"

	"github.com/liverty-music/image-writeback/internal/image"
	"github.com/liverty-music/image-writeback/internal/spec"
)

// ImageUpdater is the custom resource of Argo CD Image Updater 1.x
// (argocd-image-updater.argoproj.io/v1alpha1), as far as it is followed. It
// says of many Applications what annotations say of one: it is turned into
// annotations, and there is one reading of both.
type ImageUpdater struct {
	metav1.ObjectMeta `json:"metadata"`

	Spec struct {
		settings
		Refs []applicationRef `json:"applicationRefs"`
	} `json:"spec"`

	where string // file:line, empty for one from a cluster
}

// settings may stand at three levels; what stands nearer to the image counts.
type settings struct {
	Common struct {
		UpdateStrategy *string  `json:"updateStrategy"`
		ForceUpdate    *bool    `json:"forceUpdate"`
		AllowTags      *string  `json:"allowTags"`
		IgnoreTags     []string `json:"ignoreTags"`
		PullSecret     *string  `json:"pullSecret"`
		Platforms      []string `json:"platforms"`
	} `json:"commonUpdateSettings"`
	WriteBack struct {
		Method *string `json:"method"`
		Git    struct {
			Repository      *string `json:"repository"`
			Branch          *string `json:"branch"`
			WriteBackTarget *string `json:"writeBackTarget"`
			PullRequest     *struct {
				Labels []string `json:"labels"`
			} `json:"pullRequest"`
		} `json:"gitConfig"`
	} `json:"writeBackConfig"`
	Verification *struct {
		Enabled *bool `json:"enabled"`
	} `json:"imagesVerification"`
}

type applicationRef struct {
	settings
	NamePattern    string                `json:"namePattern"`
	LabelSelectors *metav1.LabelSelector `json:"labelSelectors"`
	UseAnnotations bool                  `json:"useAnnotations"`
	Images         []imageRef            `json:"images"`
}

type imageRef struct {
	settings
	Alias     string `json:"alias"`
	ImageName string `json:"imageName"`
	Manifest  struct {
		Helm struct {
			Name *string `json:"name"`
			Tag  *string `json:"tag"`
			Spec *string `json:"spec"`
		} `json:"helm"`
		Kustomize struct {
			Name *string `json:"name"`
		} `json:"kustomize"`
		Plugin any `json:"plugin"`
	} `json:"manifestTargets"`
}

// imageUpdaterFrom reads the fields of one resource.
func imageUpdaterFrom(fields map[string]any) (*ImageUpdater, error) {
	data, err := json.Marshal(fields)
	if err != nil {
		return nil, err
	}
	var u ImageUpdater
	if err := json.Unmarshal(data, &u); err != nil {
		return nil, err
	}
	return &u, nil
}

// String is namespace/name.
func (u *ImageUpdater) String() string { return u.Namespace + "/" + u.Name }

// resourced is an Application with what an ImageUpdater says of it.
type resourced struct {
	app *Stored
	// resource names the ImageUpdater; empty where the Application's own
	// annotations count.
	resource string
	labels   []string // of pull requests
	problems []spec.Problem
}

// under finds what counts for an Application: the ImageUpdater that selects
// it, else its annotations. It does not change app.
func under(updaters []*ImageUpdater, app *Stored) resourced {
	var by *ImageUpdater
	var ref *applicationRef
	var others []string
	for _, u := range updaters {
		if found := u.ref(app); found != nil {
			if by == nil {
				by, ref = u, found
			}
			others = append(others, u.String())
		}
	}
	if by == nil {
		return resourced{app: app}
	}
	fail := func(expected, remedy string) resourced {
		return resourced{app: app, resource: by.String(), problems: []spec.Problem{{Application: app.Namespace + "/" + app.Name, Where: by.where, Expected: "ImageUpdater " + by.String() + ": " + expected, Remedy: remedy}}}
	}
	if len(others) > 1 {
		return fail(fmt.Sprintf("it is not alone in selecting the Application, so do %s", strings.Join(others[1:], ", ")), "leave the Application to one of them")
	}
	for _, s := range append([]settings{by.Spec.settings, ref.settings}, settingsOf(ref.Images)...) {
		if s.Verification != nil && (s.Verification.Enabled == nil || *s.Verification.Enabled) {
			return fail("imagesVerification is not supported, so that nothing is updated unverified", "remove it, or keep these Applications with Argo CD Image Updater")
		}
	}
	if ref.UseAnnotations {
		return resourced{app: app}
	}
	for _, i := range ref.Images {
		if i.Manifest.Plugin != nil {
			return fail("manifestTargets.plugin of "+i.Alias+" is not supported", "use helm or kustomize")
		}
	}
	copied := *app
	annotated := &copied
	annotated.Annotations = maps.Clone(app.Annotations)
	maps.DeleteFunc(annotated.Annotations, func(key, _ string) bool {
		return strings.HasPrefix(key, spec.Prefix) && key != spec.Prefix+writeBackDelivery
	})
	if annotated.Annotations == nil {
		annotated.Annotations = map[string]string{}
	}
	said, prLabels := annotationsOf(by.Spec.settings, *ref)
	for key, value := range said {
		annotated.Annotations[spec.Prefix+key] = value
	}
	return resourced{app: annotated, resource: by.String(), labels: prLabels}
}

func settingsOf(images []imageRef) []settings {
	var all []settings
	for _, i := range images {
		all = append(all, i.settings)
	}
	return all
}

// ref is the most specific reference that selects an Application, nil where
// none does. A resource selects in its own namespace.
func (u *ImageUpdater) ref(app *Stored) *applicationRef {
	if u.Namespace != app.Namespace {
		return nil
	}
	var best *applicationRef
	for i := range u.Spec.Refs {
		ref := &u.Spec.Refs[i]
		if ref.selects(app) && (best == nil || ref.specificity() > best.specificity()) {
			best = ref
		}
	}
	return best
}

func (r *applicationRef) selects(app *Stored) bool {
	if ok, err := path.Match(r.NamePattern, app.Name); !ok || err != nil {
		return false
	}
	if r.LabelSelectors == nil {
		return true
	}
	selector, err := metav1.LabelSelectorAsSelector(r.LabelSelectors)
	return err == nil && selector.Matches(labels.Set(app.Labels))
}

var characterSet = regexp.MustCompile(`\[[^\]]*\]`)

// specificity is by the documentation of Argo CD Image Updater: an exact name
// first, then the most of labels, then the longest pattern.
func (r *applicationRef) specificity() int {
	literal := strings.NewReplacer("*", "", "?", "").Replace(characterSet.ReplaceAllString(r.NamePattern, ""))
	score := len(literal)
	if !strings.ContainsAny(r.NamePattern, "*?[]") {
		score += 1_000_000
	}
	if s := r.LabelSelectors; s != nil {
		score += 10_000 + 100*(len(s.MatchLabels)+len(s.MatchExpressions))
	}
	return score
}

// annotationsOf says in annotations, without prefix, what a resource says for
// the Applications of one reference; and the labels of their pull requests.
func annotationsOf(all settings, ref applicationRef) (annotations map[string]string, prLabels []string) {
	annotations = map[string]string{}
	put := func(key string, values ...*string) {
		if value := cmp.Or(values...); value != nil {
			annotations[key] = *value
		}
	}
	var list []string
	for _, i := range ref.Images {
		alias := strings.ReplaceAll(i.Alias, "/", "_")
		list = append(list, i.Alias+"="+i.ImageName)
		levels := []settings{i.settings, ref.settings, all}
		first := func(get func(settings) *string) *string {
			for _, level := range levels {
				if value := get(level); value != nil {
					return value
				}
			}
			return nil
		}
		joined := func(values []string) *string {
			if len(values) == 0 {
				return nil
			}
			s := strings.Join(values, ",")
			return &s
		}
		put(alias+"."+updateStrategy, first(func(s settings) *string { return s.Common.UpdateStrategy }))
		put(alias+"."+allowTags, first(func(s settings) *string { return s.Common.AllowTags }))
		put(alias+"."+ignoreTags, first(func(s settings) *string { return joined(s.Common.IgnoreTags) }))
		put(alias+"."+platforms, first(func(s settings) *string { return joined(s.Common.Platforms) }))
		put(alias+"."+pullSecret, first(func(s settings) *string { return s.Common.PullSecret }))
		put(alias+"."+forceUpdate, first(func(s settings) *string {
			if s.Common.ForceUpdate == nil {
				return nil
			}
			text := strconv.FormatBool(*s.Common.ForceUpdate)
			return &text
		}))
		put(alias+"."+helmName, i.Manifest.Helm.Name)
		put(alias+"."+helmTag, i.Manifest.Helm.Tag)
		put(alias+"."+helmSpec, i.Manifest.Helm.Spec)
		if name := i.Manifest.Kustomize.Name; name != nil {
			bare, _, _ := image.CutTag(*name)
			annotations[alias+"."+kustomizeName] = bare
		}
	}
	annotations[imageList] = strings.Join(list, ",")
	put(writeBackMethod, ref.WriteBack.Method, all.WriteBack.Method)
	git, common := ref.WriteBack.Git, all.WriteBack.Git
	put(gitRepository, git.Repository, common.Repository)
	put(gitBranch, git.Branch, common.Branch)
	put(writeBackTarget, git.WriteBackTarget, common.WriteBackTarget)
	if request := cmp.Or(git.PullRequest, common.PullRequest); request != nil {
		annotations[writeBackDelivery] = spec.DeliverPullRequest
		prLabels = slices.Clone(request.Labels)
	}
	return annotations, prLabels
}
