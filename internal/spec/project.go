package spec

// Source is one source of an Application, as Argo CD checks it against the
// Application's project.
type Source struct {
	Repository string // the URL as the Application gives it
	Path       string // as the Application gives it; empty for a chart
	Revision   string // a branch, tag, commit or range; empty: the default branch
	Chart      bool   // the source is a chart of a Helm registry, not a git repository
}

// Project is what the updater reads of an AppProject, with what Argo CD's global
// projects add to it.
type Project struct {
	Name             string
	SourceRepos      []string
	SourceNamespaces []string

	// SigningKeys are the OpenPGP keys of which one must have signed a commit, or
	// Argo CD does not sync it; empty: commits need no signature.
	SigningKeys []string
}

// Bounds are what is known about the project of an Application.
type Bounds struct {
	Known   bool // projects could be read
	Exists  bool // the Application's project is one of them
	Project Project
}
