package argo

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"sigs.k8s.io/yaml"

	"github.com/liverty-music/image-writeback/internal/spec"
)

// StoredProject is an AppProject as Argo CD stores it, as far as it is read.
type StoredProject struct {
	metav1.ObjectMeta `json:"metadata"`

	Spec struct {
		SourceRepos      []string `json:"sourceRepos,omitempty"`
		SourceNamespaces []string `json:"sourceNamespaces,omitempty"`
		SignatureKeys    []struct {
			KeyID string `json:"keyID"`
		} `json:"signatureKeys,omitempty"`

		// SourceIntegrity replaces SignatureKeys from Argo CD 3.5 on.
		SourceIntegrity struct {
			Git *struct {
				Policies []storedPolicy `json:"policies"`
			} `json:"git"`
		} `json:"sourceIntegrity"`
	} `json:"spec"`
}

// storedPolicy is one policy of spec.sourceIntegrity.
type storedPolicy struct {
	Repos []struct {
		URL string `json:"url"`
	} `json:"repos"`
	GPG *struct {
		Mode string   `json:"mode"`
		Keys []string `json:"keys"`
	} `json:"gpg"`
}

// TrimProject reads of an AppProject, in JSON, what is kept between cycles. If it cannot
// be read, the result has its name, and permits nothing.
func TrimProject(data []byte) *StoredProject {
	var project StoredProject
	if err := json.Unmarshal(data, &project); err != nil {
		var named metav1.PartialObjectMetadata
		_ = json.Unmarshal(data, &named)
		project = StoredProject{ObjectMeta: named.ObjectMeta}
	}

	from := project.ObjectMeta
	project.ObjectMeta = metav1.ObjectMeta{Namespace: from.Namespace, Name: from.Name, Labels: from.Labels}

	return &project
}

// project returns what the AppProject says, without global projects.
func (p *StoredProject) project() spec.Project {
	return spec.Project{
		Name: p.Name, SourceRepos: p.Spec.SourceRepos, SourceNamespaces: p.Spec.SourceNamespaces,
		Signatures: p.signatures(),
	}
}

// signatures returns the policies of the AppProject. Signature keys are a policy for all
// repositories, unless there are others.
func (p *StoredProject) signatures() []spec.SignaturePolicy {
	if p.Spec.SourceIntegrity.Git == nil {
		if len(p.Spec.SignatureKeys) == 0 {
			return nil
		}

		policy := spec.SignaturePolicy{Repositories: []string{"*"}, Mode: spec.VerifyHead}
		for _, key := range p.Spec.SignatureKeys {
			policy.Keys = append(policy.Keys, key.KeyID)
		}

		return []spec.SignaturePolicy{policy}
	}

	var policies []spec.SignaturePolicy
	for _, stored := range p.Spec.SourceIntegrity.Git.Policies {
		policy := spec.SignaturePolicy{Mode: spec.VerifyNone}
		for _, repo := range stored.Repos {
			policy.Repositories = append(policy.Repositories, repo.URL)
		}
		if stored.GPG != nil {
			policy.Mode, policy.Keys = stored.GPG.Mode, stored.GPG.Keys
		}
		policies = append(policies, policy)
	}

	return policies
}

// globalProject is an entry of globalProjects in the ConfigMap argocd-cm: the project
// that it names adds to those that it selects.
type globalProject struct {
	ProjectName   string               `json:"projectName"`
	LabelSelector metav1.LabelSelector `json:"labelSelector"`
}

// withGlobals returns the projects by their names, each with what global projects add to
// it. globals is what the ConfigMap says. If that cannot be read, the error says so, and
// global projects add nothing, as in Argo CD.
func withGlobals(stored []*StoredProject, globals string) (map[string]spec.Project, error) {
	byName := map[string]*StoredProject{}
	for _, p := range stored {
		byName[p.Name] = p
	}

	var entries []globalProject
	err := yaml.Unmarshal([]byte(globals), &entries)
	if err != nil {
		entries, err = nil, errors.New("globalProjects in the ConfigMap argocd-cm is not a list of global projects")
	}

	all := map[string]spec.Project{}
	for _, p := range stored {
		project := p.project()
		for _, repos := range added(p, entries, byName) {
			project.SourceRepos = slices.Concat(project.SourceRepos, repos)
		}
		all[p.Name] = project
	}

	return all, err
}

// added returns the sourceRepos that global projects add to a project. The first entry
// with a wrong selector, or whose project does not exist, ends the list, as in Argo CD.
func added(to *StoredProject, entries []globalProject, byName map[string]*StoredProject) [][]string {
	var all [][]string
	for _, entry := range entries {
		if entry.ProjectName == to.Name {
			continue
		}

		selector, err := metav1.LabelSelectorAsSelector(&entry.LabelSelector)
		if err != nil {
			break
		}
		if !selector.Matches(labels.Set(to.Labels)) {
			continue
		}

		global, ok := byName[entry.ProjectName]
		if !ok {
			break
		}
		all = append(all, global.Spec.SourceRepos)
	}

	return all
}

// defaultProject is the project that Argo CD creates by itself.
const defaultProject = "default"

// withDefault adds the project that Argo CD creates, if it is not there.
func withDefault(stored []*StoredProject) []*StoredProject {
	for _, p := range stored {
		if p.Name == defaultProject {
			return stored
		}
	}

	p := &StoredProject{}
	p.Name = defaultProject
	p.Spec.SourceRepos = []string{"*"}

	return append(stored, p)
}

// bounds returns what is known about the project of an Application; projects is nil if
// they are not known.
func bounds(projects map[string]spec.Project, name string) spec.Bounds {
	if projects == nil {
		return spec.Bounds{}
	}
	project, exists := projects[name]

	return spec.Bounds{Known: true, Exists: exists, Project: project}
}

// The values of Follow: whether AppProjects limit what Applications may do.
const (
	FollowAuto     = "auto"     // if they can be read
	FollowRequired = "required" // nothing is done unless they can be read
	FollowOff      = "off"      // they are not read
)

// requires returns the error for projects that are required and not known.
func requires(setting string, why error) error {
	return fmt.Errorf("%w; %s is %s, so nothing is updated until AppProjects can be read", why, setting, FollowRequired)
}
