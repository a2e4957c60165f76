package report

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"net/url"
	"strings"
	"text/template"

	"github.com/liverty-music/image-writeback/internal/escape"
	"github.com/liverty-music/image-writeback/internal/forge"
	"github.com/liverty-music/image-writeback/internal/image"
	"github.com/liverty-music/image-writeback/internal/plan"
)

// Text makes the title and the body of one pull request.
type Text struct {
	Templates Templates
	Proposal  *plan.Proposal
	Running   Running
}

// Facts are what a pull request shows of a change beside the change itself.
type Facts struct {
	Tag        image.Tag        // with its digest, and when it was built
	Comparison forge.Comparison // zero if the images do not say what they were built from
}

// Limits that keep a body within what GitHub and GitLab accept (65,536
// characters).
const (
	maxItems       = 50
	maxDiff        = 20_000 // bytes
	longestSubject = 200    // of a commit
	longestReason  = 500
	roomForEnd     = 4_096  // of the body
	longestBody    = 49_152 // the rest is for the record of delivery
	longestTitle   = 250
)

// Title is "backend-prod: server v1.4.2 → v1.5.0".
func (t *Text) Title(changes []image.Change) string {
	names := make([]string, len(t.Proposal.Applications))
	for i, app := range t.Proposal.Applications {
		names[i] = app.Name
	}
	title := strings.Join(names, ", ")
	if len(names) > 3 {
		title = fmt.Sprintf("%d Applications", len(names))
	}

	var parts []string
	listed := map[string]bool{}
	for _, c := range changes {
		part := changeText(c)
		if !listed[part] {
			listed[part] = true
			parts = append(parts, part)
		}
	}
	if len(parts) > 3 {
		parts = []string{fmt.Sprintf("%d images", len(changes))}
	}

	title = escape.Subject(title + ": " + strings.Join(parts, ", "))

	return t.render(t.Templates.Title, title, changes, form{longestTitle, escape.Subject})
}

// Key changes whenever the text would be different for the same changes: what
// runs where and how healthy it is, the exact changes of files, the templates.
func (t *Text) Key() string {
	sum := sha256.New()

	for _, with := range []*template.Template{t.Templates.Title, t.Templates.Body} {
		if with != nil {
			_, _ = fmt.Fprintln(sum, with.Root.String())
		}
	}
	for _, app := range t.Proposal.Applications {
		t.keyOfRunning(sum, app)
	}
	for _, f := range t.Proposal.Files {
		_, _ = fmt.Fprintln(sum, f.File, f.Diff)
	}

	return hex.EncodeToString(sum.Sum(nil)[:8])
}

func (t *Text) keyOfRunning(w io.Writer, app *plan.Application) {
	for i := range app.Images {
		img := &app.Images[i]
		for _, at := range t.Running.of(img, app.String()) {
			_, _ = fmt.Fprintln(w, app.String(), img.Image, at.application, at.health.Status)
		}
	}
}

// Images returns the images of changes that the body shows facts of.
func (t *Text) Images(changes []image.Change) []*plan.Image {
	var images []*plan.Image

	for _, c := range changes[:min(len(changes), maxItems)] {
		if _, img := t.find(c); img != nil {
			images = append(images, img)
		}
	}

	return images
}

// find returns the image of the plan that a change was made for.
func (t *Text) find(c image.Change) (*plan.Application, *plan.Image) {
	for _, app := range t.Proposal.Applications {
		for i := range app.Images {
			if img := &app.Images[i]; img.Image == c.Image && img.File == c.File && img.Label() == c.Alias {
				return app, img
			}
		}
	}

	return nil, nil
}

// changeText is "server v1.4.2 → v1.5.0".
func changeText(c image.Change) string {
	before := c.Before()
	if !c.Old.IsZero() {
		before = short(c.Old)
	}

	return fmt.Sprintf("%s %s → %s", c.Alias, before, short(c.New))
}

// short leaves out most of a digest and of a commit's hash.
func short(v image.Version) string {
	if v.Digest != "" {
		digest := strings.TrimPrefix(v.Digest, "sha256:")
		return strings.TrimPrefix(v.Tag+"@"+digest[:min(len(digest), 7)], "@")
	}
	if len(v.Tag) == 40 && strings.Trim(v.Tag, "0123456789abcdef") == "" {
		return v.Tag[:10]
	}

	return v.Tag
}

// registryLink is the page of a tag; empty if registries of its kind have no
// page for it. Google's and GitHub's lead from the name itself to their consoles.
func registryLink(ref image.Ref, tag image.Tag) string {
	host, name := ref.Registry, url.QueryEscape(tag.Name)

	switch {
	case host == image.DockerHub && strings.HasPrefix(ref.Repository, "library/"):
		return "https://hub.docker.com/_/" + strings.TrimPrefix(ref.Repository, "library/") + "/tags?name=" + name
	case host == image.DockerHub:
		return "https://hub.docker.com/r/" + ref.Repository + "/tags?name=" + name
	case host == "quay.io":
		return "https://quay.io/repository/" + ref.Repository + "?tab=tags&tag=" + name
	case host == "ghcr.io", host == "gcr.io", strings.HasSuffix(host, ".gcr.io"),
		strings.HasSuffix(host, "-docker.pkg.dev"):
		return "https://" + host + "/" + ref.Repository + ":" + name
	}

	return ""
}
