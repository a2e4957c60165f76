package spec

import "strings"

// Source is one source of an Application, as Argo CD checks it against the
// Application's project.
type Source struct {
	Repository string // the URL as the Application gives it
	Path       string // as the Application gives it; empty for a chart
	Revision   string // a branch, tag, commit or range; empty: the default branch
	Chart      bool   // the source is a chart or an OCI artifact, not a git repository

	// Values are the values files in git that the source names outside of its own
	// folder, or for a chart that is not in git.
	Values []ValuesFile
}

// ValuesFile is a values file of Helm in a git repository.
type ValuesFile struct {
	Repository string // the URL as the Application gives it
	Path       string // from the root of the repository, without dots
}

// Branch returns the branch that the revision names, if it names one; empty for the
// default branch.
func (s Source) Branch() string {
	branch := strings.TrimPrefix(s.Revision, "refs/heads/")
	if branch == "HEAD" {
		return ""
	}

	return branch
}

// Project is what the updater reads of an AppProject, with what Argo CD's global
// projects add to it.
type Project struct {
	Name             string
	SourceRepos      []string
	SourceNamespaces []string

	// Signatures say which commits Argo CD does not sync unless they are signed.
	Signatures []SignaturePolicy
}

// SignaturePolicy is what Argo CD demands of the commits of some repositories.
type SignaturePolicy struct {
	Repositories []string // globs; those that begin with a ! exclude
	Mode         string   // VerifyNone, VerifyHead or VerifyStrict
	Keys         []string // the IDs of OpenPGP keys, in hexadecimal digits
}

// The modes of a SignaturePolicy.
const (
	VerifyNone   = "none"   // nothing is verified
	VerifyHead   = "head"   // the commit that is synced is verified
	VerifyStrict = "strict" // its ancestors are verified as well
)

// Bounds are what is known about the project of an Application.
type Bounds struct {
	Known   bool // projects could be read
	Exists  bool // the Application's project is one of them
	Project Project
}
