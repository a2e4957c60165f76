package spec

import (
	"crypto/sha256"
	"encoding/hex"
	"slices"

	"github.com/liverty-music/image-writeback/internal/manifest"
)

// Target is where a change is written to.
type Target struct {
	Method     string // MethodGit or MethodArgoCD
	Repository string // the URL as the Application gives it
	BaseBranch string // empty: the remote's default branch

	// WriteBranch is the branch to commit to, or the head of the pull request;
	// empty if git-branch does not name one.
	WriteBranch string

	// BranchTemplate makes WriteBranch from the changes; nil if git-branch has
	// no template.
	BranchTemplate *BranchTemplate
	Delivery       string   // DeliverCommit or DeliverPullRequest; empty: as config.yaml says
	Labels         []string // of pull requests, in addition to those of config.yaml

	// Credentials is what follows "git:" in write-back-method: repocreds,
	// secret:NAMESPACE/NAME, or empty.
	Credentials string
	Type        SourceType
	Source      int // index in spec.sources; -1 for spec.source

	// Form is the kind of file. If Type is empty, the files in Folder decide;
	// see OfType.
	Form manifest.Form

	// Folder holds the kustomization. It is relative to the root of the
	// repository, clean, and without a leading slash; "." is the root.
	Folder string
	File   string // the values or override file, relative to the root as well
}

// The methods of write-back.
const (
	MethodGit     = "git"
	MethodArgoCD  = "argocd"
	MethodRestart = "restart" // known, and not supported by this version
)

// InGit reports whether the method writes to a git repository. Any other method
// writes to the Application or its workloads.
func (t Target) InGit() bool { return t.Method == MethodGit || t.Method == "" }

// Methods lists the methods of write-back that this version supports.
func Methods() []string { return []string{MethodGit, MethodArgoCD} }

// The ways to deliver a change.
const (
	DeliverCommit      = "commit"
	DeliverPullRequest = "pull-request"
)

// Deliveries lists the ways to deliver a change.
func Deliveries() []string { return []string{DeliverCommit, DeliverPullRequest} }

// DefaultForms lists the forms that a configuration can choose for Kustomize
// sources whose Application does not name a write-back-target.
func DefaultForms() []string {
	return []string{string(manifest.FormKustomization), string(manifest.FormOverrides)}
}

// SourceType is the type of an Application's source; empty if only the content
// of the repository can decide it.
type SourceType string

// The types of sources that images can be set in.
const (
	Kustomize SourceType = manifest.SourceKustomize
	Helm      SourceType = manifest.SourceHelm
)

// Kind is the target's row in the table of formats; if Type is empty, the
// first row of its form.
func (t Target) Kind() manifest.Kind {
	kind, _ := manifest.For(t.Form, string(t.Type))

	return kind
}

// OfType returns the target for a type of source that the files in Folder
// indicate. A form that does not exist for the type becomes that of overrides.
func (t Target) OfType(source SourceType) Target {
	t.Type = source
	if _, ok := manifest.For(t.Form, string(source)); !ok {
		t.Form = manifest.FormOverrides
	}

	return t
}

// Write returns the file that the target writes to. Type is not empty.
func (t Target) Write() manifest.Files { return t.Kind().Files(t.Folder, t.File) }

// Marker returns the files in Folder that decide, if Type is empty.
func (t Target) Marker() manifest.Files {
	return manifest.Files{Folder: t.Folder, Names: manifest.KustomizationNames}
}

// Candidates returns all files that the target may write to, and, if Type is
// empty, those that decide.
func (t Target) Candidates() []manifest.Files {
	if t.Type != "" {
		return []manifest.Files{t.Write()}
	}

	all := []manifest.Files{t.Marker()}
	for _, source := range []SourceType{Kustomize, Helm} {
		files := t.OfType(source).Write()
		if !slices.ContainsFunc(all, func(f manifest.Files) bool { return f.Path() == files.Path() }) {
			all = append(all, files)
		}
	}

	return all
}

// Key is a short identifier of the file that a target writes to on one branch,
// computed as in Argo CD Image Updater 1.x.
func (t Target) Key() string {
	file := t.File
	if t.Kind().Names != nil {
		file = t.Folder
	}

	sum := sha256.Sum256([]byte(t.Repository + "|" + t.BaseBranch + "|" + file))

	return hex.EncodeToString(sum[:])[:8]
}
