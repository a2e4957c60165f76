package plan

import (
	"github.com/liverty-music/image-writeback/internal/manifest"
	"github.com/liverty-music/image-writeback/internal/permission"
	"github.com/liverty-music/image-writeback/internal/policy"
	"github.com/liverty-music/image-writeback/internal/spec"
)

// Case is one Application and all that is known about it when a cycle decides.
type Case struct {
	Application spec.Application
	Images      []Candidate // one for each image of the Application, in its order
	Place       Place

	// Refused is why nothing is read or written for the Application; nil if the
	// rules permit it.
	Refused error

	// Territory holds what all Applications deploy.
	Territory *permission.Territory

	// BranchErr is why the template of git-branch makes no usable name.
	BranchErr error
}

// Candidate is what the registry and the policy answered about one image.
type Candidate struct {
	Spec   spec.Image
	Choice policy.Choice
	Err    error // why there is no answer; it says what to do
}

// Waiting means that something was not there yet when the cycle decided. It goes on, and
// the next cycle decides.
type Waiting struct{ For string }

// Error says what is waited for.
func (w *Waiting) Error() string { return "waits for " + w.For + "; the others go on" }

// NewCase returns the case of an Application about which nothing is known yet.
func NewCase(app spec.Application) *Case {
	c := &Case{Application: app, Images: make([]Candidate, len(app.Images))}
	for i := range app.Images {
		c.Images[i].Spec = app.Images[i]
	}

	return c
}

// Open reports whether anything is to be asked for the Application: no problem
// and no rule says that nothing can be done.
func (c *Case) Open() bool { return len(c.Application.Broken()) == 0 && c.Refused == nil }

// File is a file of a repository, or of an Application itself.
type File struct {
	Branch string // empty: the file is not in git
	Path   string
	Data   []byte
}

// String returns the path with the branch, for messages.
func (f File) String() string {
	if f.Branch == "" {
		return f.Path
	}

	return f.Path + " on " + f.Branch
}

// Place is where the images of an Application are set, as it is now.
type Place struct {
	Repository string          // the URL that may be shown; empty: the Application itself
	Remote     int             // the same for one repository, read with the same credentials
	Format     manifest.Format // nil if Err or BaseErr kept it from being known

	Base      File
	BaseErr   error // why Base cannot be read; it says what to do
	MayCreate bool  // the file may be missing, and is then created

	// Head is the file on the branch that is written to, if that is another
	// branch than the base and has the file.
	Head       *File
	HeadBranch string
	HeadExists bool

	Default string   // the default branch of the repository
	Tracked []string // the branches that the Application's own sources name

	Named        bool // git-branch names the head branch
	PullRequests bool // pull requests can be opened in the repository

	Err error // why the repository cannot be read at all; it says what to do
}

// current returns the file whose content counts for a delivery.
func (p *Place) current(delivery string) (File, error) {
	if p.Err != nil {
		return File{}, p.Err
	}
	if p.Head != nil && p.Named && delivery != spec.DeliverPullRequest {
		return *p.Head, nil
	}

	return p.Base, p.BaseErr
}

// inApplication reports whether the images are set in the Application itself.
func (c *Case) inApplication() bool {
	return !c.Application.Target.InGit() && len(c.Application.Broken()) == 0
}
