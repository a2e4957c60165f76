package argo

import (
	"encoding/json"
	"maps"
	"reflect"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"

	"github.com/liverty-music/image-writeback/internal/spec"
)

// Stored is an Application as Argo CD stores it, as far as it is read. Argo CD's
// own types (TestStoredIsAsArgoCDHasIt compares them) import half of Kubernetes:
// they made the program half as large again, and four times as slow to start.
type Stored struct {
	metav1.ObjectMeta `json:"metadata"`

	Spec struct {
		Project  string          `json:"project"`
		Source   *StoredSource   `json:"source"`
		Sources  []StoredSource  `json:"sources"`
		Hydrator *StoredHydrator `json:"sourceHydrator"`
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

	// Unreadable is why the Application cannot be read; then only its metadata
	// is known. It is empty otherwise.
	Unreadable string `json:"-"`
}

// StoredSource is one source of an Application. At most one of Kustomize, Helm,
// Directory and Plugin is set, and is the type of the source.
type StoredSource struct {
	RepoURL        string `json:"repoURL"`
	Path           string `json:"path,omitempty"`
	TargetRevision string `json:"targetRevision,omitempty"`
	Chart          string `json:"chart,omitempty"`
	Ref            string `json:"ref,omitempty"`

	Kustomize *StoredKustomize `json:"kustomize,omitempty"`
	Helm      *struct {
		ValueFiles []string `json:"valueFiles,omitempty"`
		Parameters []struct {
			Name        string `json:"name,omitempty"`
			Value       string `json:"value,omitempty"`
			ForceString bool   `json:"forceString,omitempty"`
		} `json:"parameters,omitempty"`
	} `json:"helm,omitempty"`
	Directory *struct{} `json:"directory,omitempty"`
	Plugin    *struct{} `json:"plugin,omitempty"`
}

// StoredHydrator is a source hydrator: what it reads, and what Argo CD then syncs.
type StoredHydrator struct {
	Dry struct {
		RepoURL        string `json:"repoURL"`
		Path           string `json:"path"`
		TargetRevision string `json:"targetRevision"`
	} `json:"drySource"`

	Sync struct {
		RepoURL      string `json:"repoURL,omitempty"` // from Argo CD 3.5 on; empty: that of Dry
		Path         string `json:"path"`
		TargetBranch string `json:"targetBranch"`
	} `json:"syncSource"`
}

// StoredKustomize is what is read of the settings of Kustomize.
type StoredKustomize struct {
	Images []string `json:"images,omitempty"`
}

// Trim reads of an Application, in JSON, what is kept between cycles. If it
// cannot be read, the result has its name and Unreadable.
func Trim(data []byte) *Stored {
	var app Stored
	if err := json.Unmarshal(data, &app); err != nil {
		var named metav1.PartialObjectMetadata
		_ = json.Unmarshal(data, &named)
		app = Stored{ObjectMeta: named.ObjectMeta, Unreadable: err.Error()}
	}

	from := app.ObjectMeta
	app.ObjectMeta = metav1.ObjectMeta{
		Namespace: from.Namespace, Name: from.Name, UID: from.UID,
		ResourceVersion: from.ResourceVersion, Labels: from.Labels, CreationTimestamp: from.CreationTimestamp,
	}
	if app.Unreadable != "" {
		return &app
	}

	for key, value := range from.Annotations {
		if strings.HasPrefix(key, spec.Prefix) {
			if app.Annotations == nil {
				app.Annotations = map[string]string{}
			}
			app.Annotations[key] = value
		}
	}

	return &app
}

// sameAs reports whether nothing differs that the next cycle should look at
// now. The health of an Application can wait.
func (s *Stored) sameAs(other *Stored) bool {
	if s.Unreadable != "" || other.Unreadable != "" {
		return s.Unreadable == other.Unreadable
	}

	before, after := s.Status, other.Status
	before.Health = after.Health

	return maps.Equal(s.Annotations, other.Annotations) && maps.Equal(s.Labels, other.Labels) &&
		reflect.DeepEqual(s.Spec, other.Spec) && reflect.DeepEqual(before, after)
}

// explicitType returns the type that the fields of a source say; empty if there
// are none, or of several types, which Argo CD refuses as well.
func (s *StoredSource) explicitType() spec.SourceType {
	found := spec.SourceType("")
	for kind, is := range map[spec.SourceType]bool{
		spec.Kustomize: s.Kustomize != nil,
		spec.Helm:      s.Helm != nil,
		"Directory":    s.Directory != nil,
		"Plugin":       s.Plugin != nil,
	} {
		if is && found != "" {
			return ""
		}
		if is {
			found = kind
		}
	}

	return found
}

// overrides returns the images or parameters of a source, in the YAML of
// .argocd-source files; nil if it has neither.
func (s *StoredSource) overrides() ([]byte, error) {
	found := map[string]any{}
	if s.Kustomize != nil && len(s.Kustomize.Images) > 0 {
		found["kustomize"] = map[string]any{"images": s.Kustomize.Images}
	}
	if s.Helm != nil && len(s.Helm.Parameters) > 0 {
		found["helm"] = map[string]any{"parameters": s.Helm.Parameters}
	}
	if len(found) == 0 {
		return nil, nil
	}

	return yaml.Marshal(found)
}
