package reconcile

import (
	"context"
	"strings"
	"time"

	"github.com/liverty-music/image-writeback/internal/forge"
	"github.com/liverty-music/image-writeback/internal/giturl"
	"github.com/liverty-music/image-writeback/internal/image"
)

// facts are what a pull request tells of a change beside the change itself.
type facts struct {
	tag        image.Tag        // with its digest, and when it was built
	comparison forge.Comparison // zero where the images do not say what they were built from
}

// factsTime bounds how long a pull request waits for what it tells.
const factsTime = 30 * time.Second

// facts asks the registry, and where the source lives, about the change of an
// image. What is not answered is left out: it is not worth the pull request.
func (e *Engine) facts(ctx context.Context, img Image) facts {
	ctx, cancel := context.WithTimeout(ctx, factsTime)
	defer cancel()
	f := facts{tag: img.choice.Tag}
	if img.edit == nil {
		return f
	}
	repository, err := e.Registries.Repository(img.update.Ref, img.update.Credentials)
	if err != nil {
		return f
	}
	ctx, end := repository.StartClock(ctx)
	defer end()
	tag, to, err := repository.Inspect(ctx, f.tag, defaultPlatform())
	if err != nil {
		return f
	}
	f.tag = tag
	before := image.Tag{Name: img.edit.old.Tag, Digest: img.edit.old.Digest}
	if e.Compare == nil || to.Source == "" || to.Revision == "" || before == (image.Tag{}) {
		return f
	}
	_, from, err := repository.Inspect(ctx, before, defaultPlatform())
	if err != nil || from.Revision == "" || from.Revision == to.Revision || giturl.Parse(from.Source).Key() != giturl.Parse(to.Source).Key() {
		return f
	}
	f.comparison = e.Compare(ctx, to.Source, from.Revision, to.Revision)
	return f
}

// registryLink is where people look at a tag; empty where registries of its
// kind have no page for it. Google's and GitHub's lead from the name itself
// to their consoles.
func registryLink(ref image.Ref, tag image.Tag) string {
	host := ref.Registry
	switch {
	case host == image.DockerHub && strings.HasPrefix(ref.Repository, "library/"):
		return "https://hub.docker.com/_/" + strings.TrimPrefix(ref.Repository, "library/") + "/tags?name=" + tag.Name
	case host == image.DockerHub:
		return "https://hub.docker.com/r/" + ref.Repository + "/tags?name=" + tag.Name
	case host == "quay.io":
		return "https://quay.io/repository/" + ref.Repository + "?tab=tags&tag=" + tag.Name
	case host == "ghcr.io", host == "gcr.io", strings.HasSuffix(host, ".gcr.io"), strings.HasSuffix(host, "-docker.pkg.dev"):
		return "https://" + host + "/" + ref.Repository + ":" + tag.Name
	}
	return ""
}
