package argo

import (
	"encoding/json"
	"path"
	"regexp"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
)

// ImageUpdater is the custom resource of Argo CD Image Updater 1.x
// (argocd-image-updater.argoproj.io/v1alpha1), as far as it is followed. It sets
// for many Applications what annotations set for one. It is turned into
// annotations, so that both are read in one way.
type ImageUpdater struct {
	metav1.ObjectMeta `json:"metadata"`

	Spec struct {
		settings
		Refs []applicationRef `json:"applicationRefs"`
	} `json:"spec"`

	where string // file:line; empty for an ImageUpdater from a cluster
}

// settings can be given at three levels. The level nearest to the image counts.
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

// String returns namespace/name.
func (u *ImageUpdater) String() string { return u.Namespace + "/" + u.Name }

// ref returns the most specific reference that selects an Application; nil if
// none does. An ImageUpdater selects Applications of its own namespace only.
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

// specificity ranks references as the documentation of Argo CD Image Updater
// does: an exact name first, then the most labels, then the longest pattern.
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
