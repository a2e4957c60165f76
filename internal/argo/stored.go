package argo

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/liverty-music/image-writeback/internal/spec"
)

// Stored is an Application as Argo CD stores it, as far as it is read. Argo CD's
// own types (TestStoredIsAsArgoCDHasIt compares them) draw in half of Kubernetes:
// they made the program half as large again, and four times as slow to start.
type Stored struct {
	metav1.ObjectMeta `json:"metadata"`
	Spec              struct {
		Project string         `json:"project"`
		Source  *StoredSource  `json:"source"`
		Sources []StoredSource `json:"sources"`
	} `json:"spec"`
	Status struct {
		SourceType  spec.SourceType   `json:"sourceType"`
		SourceTypes []spec.SourceType `json:"sourceTypes"`
		Health      struct {
			Status             string       `json:"status"`
			LastTransitionTime *metav1.Time `json:"lastTransitionTime"`
		} `json:"health"`
		Summary struct {
			Images []string `json:"images"`
		} `json:"summary"`
	} `json:"status"`
}

// StoredSource is one source of an Application.
type StoredSource struct {
	RepoURL        string `json:"repoURL"`
	Path           string `json:"path,omitempty"`
	TargetRevision string `json:"targetRevision,omitempty"`
	Chart          string `json:"chart,omitempty"`
	Ref            string `json:"ref,omitempty"`
	// At most one of these is set; it tells the type of the source.
	Kustomize *StoredKustomize `json:"kustomize,omitempty"`
	Helm      *struct {
		Parameters []struct {
			Name        string `json:"name,omitempty"`
			Value       string `json:"value,omitempty"`
			ForceString bool   `json:"forceString,omitempty"`
		} `json:"parameters,omitempty"`
	} `json:"helm,omitempty"`
	Directory *struct{} `json:"directory,omitempty"`
	Plugin    *struct{} `json:"plugin,omitempty"`
}

// StoredKustomize is what is read of the settings of Kustomize.
type StoredKustomize struct {
	Images []string `json:"images,omitempty"`
}

// explicitType is told by the fields of a source; empty where there are none, or
// of several types, which Argo CD refuses as well.
func (s *StoredSource) explicitType() spec.SourceType {
	found := spec.SourceType("")
	for kind, is := range map[spec.SourceType]bool{spec.Kustomize: s.Kustomize != nil, spec.Helm: s.Helm != nil, "Directory": s.Directory != nil, "Plugin": s.Plugin != nil} {
		if is && found != "" {
			return ""
		}
		if is {
			found = kind
		}
	}
	return found
}
