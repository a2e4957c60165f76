// Package argo reads Argo CD Applications, from a cluster or from files, and
// turns their annotations into what the rest of the program works with: an
// Application with one Update for each image, and a Problem for everything in
// the annotations that cannot be followed. The annotations are those of Argo
// CD Image Updater 0.18, and ours.
package argo

import (
	"fmt"
	"strings"
	"time"

	"github.com/liverty-music/image-writeback/internal/image"
	"github.com/liverty-music/image-writeback/internal/policy"
)

// Prefix is what every annotation's name begins with.
const Prefix = "argocd-image-updater.argoproj.io/"

// Application is what the updater reads of an Argo CD Application.
type Application struct {
	Namespace string
	Name      string
	Project   string
	UID       string // empty for one from a file
	Labels    map[string]string
	// Origin is the file and line that the Application was read from; empty
	// for one from a cluster.
	Origin   string
	Updates  []Update
	Problems []Problem
	Target   Target
	// Overrides are the lists of images or parameters of the source, in YAML,
	// where they are what is written to: write-back-method argocd.
	Overrides []byte
	// Running are the images that run, as Argo CD has them, and Health is how
	// they fare; both empty where that is not known.
	Running []string
	Health  Health
}

// Health is how an Application fares, in Argo CD's words.
type Health struct {
	Status string    // such as Healthy, Progressing or Degraded
	Since  time.Time // zero where Argo CD does not say
}

// String is namespace/name, as kubectl writes it.
func (a Application) String() string { return a.Namespace + "/" + a.Name }

// Shard is what decides which of several replicas works on the Application:
// its git repository, however its address is spelt, so that no two replicas
// push to one; the Application itself where it has none.
func (a Application) Shard() string {
	if a.Target.Repository == "" {
		return a.String()
	}
	return Address(a.Target.Repository)
}

// Address is the same for all spellings of a git repository's URL, whichever
// the protocol.
func Address(url string) string {
	address := normalURL(url)
	if _, rest, ok := strings.Cut(address, "://"); ok {
		address = rest
	}
	return address
}

// Broken reports the problems that concern the Application as a whole, and so
// each of its images.
func (a Application) Broken() []Problem {
	var broken []Problem
	for _, p := range a.Problems {
		if p.Image == "" && !p.Advice {
			broken = append(broken, p)
		}
	}
	return broken
}

// Update is what is asked for one image.
type Update struct {
	Alias string    // empty where image-list gives none
	Image image.Ref // without tag or digest
	// KustomizeName is the name: of the image in a kustomization, where it
	// differs from the image itself.
	KustomizeName string
	// HelmName, HelmTag and HelmSpec are keys of Helm values or parameters;
	// where HelmSpec is set, the other two do not count.
	HelmName, HelmTag, HelmSpec string

	Policy      policy.Policy
	Platforms   []string // os/arch[/variant]; empty: the platform that we run on
	Credentials string   // pull-secret annotation; empty: as config.yaml says
	// Live is the image as it runs; empty where that is not known.
	Live image.Ref
	// NotLive is why the image is to be skipped: it does not run and is not
	// forced. Empty otherwise.
	NotLive  string
	Problems []Problem
}

// Key tells the images of one Application apart for people: the alias, or the
// image where there is none.
func (u Update) Key() string {
	if u.Alias != "" {
		return u.Alias
	}
	return u.Image.Name
}

// Target is where a change is written to.
type Target struct {
	Method     string // MethodGit or MethodArgoCD
	Repository string // the URL as the Application gives it
	BaseBranch string // empty: the remote's default branch
	// WriteBranch is the branch to commit to, or the head of the pull request;
	// empty where git-branch does not name one.
	WriteBranch string
	// BranchTemplate makes WriteBranch of the changes; nil where git-branch
	// has no template.
	BranchTemplate *BranchTemplate
	Delivery       string // write-back-delivery: commit or pull-request; empty: as config.yaml says
	// Labels of pull requests, beside those of config.yaml.
	Labels []string
	// Credentials is what follows "git:" in write-back-method: repocreds,
	// secret:NAMESPACE/NAME, or empty.
	Credentials string
	Type        SourceType
	// Source is the index in spec.sources; -1 for spec.source.
	Source int
	// Form is the kind of file. Where Type is empty, what lies in Folder tells
	// it, and a Helm chart there makes it FormOverrides.
	Form Form
	// Folder holds the kustomization, from the repository's root, cleaned and
	// without a leading slash; "." is the root.
	Folder string
	// File is the values or override file, from the root as well.
	File string
}

// The ways to write back.
const (
	MethodGit    = "git"
	MethodArgoCD = "argocd"
)

// Form is a kind of file that images are set in.
type Form string

// The forms. Overrides are Argo CD's own .argocd-source files.
const (
	FormKustomization Form = "kustomization"
	FormHelmValues    Form = "helmvalues"
	FormOverrides     Form = "argocd-source"
)

// SourceType is the type of an Application's source; empty where only what
// lies in the repository can tell.
type SourceType string

// The types that are told apart.
const (
	Kustomize SourceType = "Kustomize"
	Helm      SourceType = "Helm"
)

// Problem is something in an Application that its author must put right.
type Problem struct {
	Application string // namespace/name
	Resource    string // the ImageUpdater that has what Annotation would say; empty: the Application itself
	Image       string // Update.Key, empty where it concerns all images
	Where       string // file:line, empty for an Application from a cluster
	Annotation  string // with prefix, empty where it is not about one
	Value       string
	Expected    string // what is wrong with it
	Remedy      string // what to do
	// Advice is something that stops nothing, such as an annotation whose
	// name is not known.
	Advice bool
}

// Error says it all in one line.
func (p Problem) Error() string {
	var b strings.Builder
	if p.Annotation != "" {
		if p.Resource != "" {
			fmt.Fprintf(&b, "ImageUpdater %s, as ", p.Resource)
		}
		fmt.Fprintf(&b, "annotation %s", p.Annotation)
		if p.Value != "" {
			fmt.Fprintf(&b, " = %q", p.Value)
		}
		b.WriteString(": ")
	}
	b.WriteString(p.Expected)
	if p.Remedy != "" {
		b.WriteString("; " + p.Remedy)
	}
	return b.String()
}

// Defaults are the settings of config.yaml that annotations leave open.
type Defaults struct {
	WriteBackMethod string // git or argocd
	WriteBackTarget string // of Kustomize sources: kustomization or argocd-source
	// Namespace is Argo CD's own; the names of override files of Applications
	// elsewhere hold their namespace.
	Namespace string
}
