package registry

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"golang.org/x/sync/errgroup"

	"github.com/liverty-music/image-writeback/internal/image"
)

// Wanted is what Describe shall find out beyond names.
type Wanted struct {
	Digest  bool
	Created bool
	// Platforms keeps only tags that have an image for one of them, as
	// os/arch[/variant]. Empty: Default, where a manifest is read anyway.
	Platforms []string
	Default   string
}

// Missing is a tag that Describe left out.
type Missing struct {
	Tag image.Tag
	Why string
}

// concurrency is how many tags of one repository are described at a time; the
// registry's limit of requests per second holds besides.
const concurrency = 8

// Describe completes the tags that the rules left standing. What the listing
// told already costs nothing; the rest is one manifest for each tag, and one
// config for each digest in the life of the Client. The error is an *Error.
func (r *Repository) Describe(ctx context.Context, complete bool, tags []image.Tag, want Wanted) ([]image.Tag, []Missing, error) {
	if len(want.Platforms) == 0 && (complete || !want.Digest && !want.Created) {
		return tags, nil, nil
	}
	if !want.Digest {
		r.believe(tags)
	}
	tr, err := r.connect(ctx)
	if err != nil {
		return nil, nil, r.failed("reading manifests", err)
	}
	described := make([]image.Tag, len(tags))
	missing := make([]string, len(tags))
	group, ctx := errgroup.WithContext(r.with(ctx))
	group.SetLimit(concurrency)
	for i, tag := range tags {
		group.Go(func() error {
			var err error
			described[i], missing[i], err = r.describe(ctx, tr, tag, want)
			if err != nil {
				return r.failed("reading the manifest of tag "+tag.Name, err)
			}
			return nil
		})
	}
	if err := group.Wait(); err != nil {
		return nil, nil, err
	}
	var kept []image.Tag
	var left []Missing
	for i := range tags {
		if missing[i] != "" {
			left = append(left, Missing{tags[i], missing[i]})
			continue
		}
		kept = append(kept, described[i])
	}
	return kept, left, nil
}

// describe reads one tag; missing says why it does not count.
func (r *Repository) describe(ctx context.Context, tr http.RoundTripper, tag image.Tag, want Wanted) (_ image.Tag, missing string, _ error) {
	platforms := want.Platforms
	if len(platforms) == 0 {
		platforms = []string{want.Default}
	}
	tag, content, err := r.content(ctx, tr, tag, want.Created || len(want.Platforms) > 0)
	if err != nil {
		return tag, "", err
	}
	// A single image's platform is only in its config, which is read where
	// its creation time or its platform is asked for.
	if content.index == nil {
		if !want.Created && len(want.Platforms) == 0 {
			return tag, "", nil
		}
		return r.describeImage(ctx, tr, tag, platforms)
	}
	for _, platform := range platforms {
		for _, child := range content.index {
			if !matches(child.Platform, platform) {
				continue
			}
			if !want.Created || !tag.Created.IsZero() {
				return tag, "", nil
			}
			created, err := r.config(ctx, tr, child.Digest)
			if err != nil {
				return tag, "", err
			}
			tag.Created = created.created
			return tag, "", nil
		}
	}
	return tag, "has no image for " + strings.Join(platforms, " or "), nil
}

// content finds out what lies behind a tag, or behind a digest alone; of a single
// image what its config says as well, where that is wanted.
func (r *Repository) content(ctx context.Context, tr http.RoundTripper, tag image.Tag, config bool) (image.Tag, content, error) {
	if tag.Digest == "" {
		tag.Digest = r.digestOf(tag.Name)
	}
	if found, known := r.client.known.get(tag.Digest); known {
		return tag, found, nil
	}
	var ref name.Reference = r.repo.Digest(tag.Digest)
	if tag.Name != "" {
		ref = r.repo.Tag(tag.Name)
	}
	if before := r.tags.before(tag.Name); before != "" {
		// Most tags stay where they are: to ask for that needs no manifest.
		if head, err := remote.Head(ref, remote.WithContext(ctx), remote.WithTransport(tr)); err == nil && head.Digest.String() == before {
			if found, known := r.client.known.get(before); known {
				tag.Digest = before
				r.resolve(tag.Name, before)
				return tag, found, nil
			}
		}
	}
	descriptor, err := remote.Get(ref, remote.WithContext(ctx), remote.WithTransport(tr))
	if err != nil {
		return tag, content{}, err
	}
	tag.Digest = descriptor.Digest.String()
	found, known := r.client.known.get(tag.Digest)
	if !known {
		if found, err = readContent(descriptor); err != nil {
			return tag, found, fmt.Errorf("%s: %w", ref.Name(), err)
		}
		r.client.known.put(tag.Digest, found)
	}
	if config && found.index == nil && !found.hasConfig {
		if found, err = r.readConfig(tag.Digest, descriptor.Image); err != nil {
			return tag, found, fmt.Errorf("%s: %w", ref.Name(), err)
		}
	}
	if tag.Name != "" {
		r.resolve(tag.Name, tag.Digest)
	}
	return tag, found, nil
}

// Origin is what an image says of where it comes from, by the labels of
// https://github.com/opencontainers/image-spec/blob/main/annotations.md.
type Origin struct {
	Source   string // org.opencontainers.image.source: the URL of its repository
	Revision string // org.opencontainers.image.revision: the commit
}

// About completes one tag with its digest and creation time, and tells where
// the image comes from; of an image for several platforms, that of the first
// for platform, or of the first of all. The error is an *Error.
func (r *Repository) About(ctx context.Context, tag image.Tag, platform string) (image.Tag, Origin, error) {
	tr, err := r.connect(ctx)
	if err != nil {
		return tag, Origin{}, r.failed("reading an image", err)
	}
	ctx = r.with(ctx)
	tag, found, err := r.content(ctx, tr, tag, true)
	digest := tag.Digest
	if len(found.index) > 0 {
		digest = found.index[0].Digest
		for _, child := range found.index {
			if matches(child.Platform, platform) {
				digest = child.Digest
				break
			}
		}
	}
	if err == nil {
		found, err = r.config(ctx, tr, digest)
	}
	if err != nil {
		return tag, Origin{}, r.failed("reading image "+tag.Name, err)
	}
	if tag.Created.IsZero() {
		tag.Created = found.created
	}
	return tag, found.origin, nil
}

func (r *Repository) describeImage(ctx context.Context, tr http.RoundTripper, tag image.Tag, platforms []string) (image.Tag, string, error) {
	config, err := r.config(ctx, tr, tag.Digest)
	if err != nil {
		return tag, "", err
	}
	if tag.Created.IsZero() {
		tag.Created = config.created
	}
	// A config may leave its platform out, as that of an artifact does.
	if config.platform != "" && !slices.ContainsFunc(platforms, func(p string) bool { return matches(config.platform, p) }) {
		return tag, fmt.Sprintf("is built for %s, not for %s", config.platform, strings.Join(platforms, " or ")), nil
	}
	return tag, "", nil
}

// config reads what the config of a single image says, once for its digest.
func (r *Repository) config(ctx context.Context, tr http.RoundTripper, digest string) (content, error) {
	return r.readConfig(digest, func() (v1.Image, error) {
		return remote.Image(r.repo.Digest(digest), remote.WithContext(ctx), remote.WithTransport(tr))
	})
}

// readConfig reads it of an image that is fetched where nothing is known yet.
func (r *Repository) readConfig(digest string, fetch func() (v1.Image, error)) (content, error) {
	if c, ok := r.client.known.get(digest); ok && c.hasConfig {
		return c, nil
	}
	// Two tags of one image are asked about at the same time.
	read, err, _ := r.configs.Do(digest, func() (any, error) {
		if c, ok := r.client.known.get(digest); ok && c.hasConfig {
			return c, nil
		}
		img, err := fetch()
		if err != nil {
			return content{}, err
		}
		file, err := img.ConfigFile()
		if err != nil {
			return content{}, err
		}
		c := content{hasConfig: true, created: file.Created.Time, origin: Origin{
			Source: file.Config.Labels["org.opencontainers.image.source"], Revision: file.Config.Labels["org.opencontainers.image.revision"]}}
		if p := file.Platform(); p != nil && p.Architecture != "" {
			c.platform = platformOf(p)
		}
		r.client.known.put(digest, c)
		return c, nil
	})
	return read.(content), err //nolint:forcetypeassert // as above
}

// matches compares a platform with the one asked for; a variant counts where
// one is asked for.
func matches(have, want string) bool {
	return have == want || strings.Count(want, "/") == 1 && strings.HasPrefix(have, want+"/")
}

func readContent(descriptor *remote.Descriptor) (content, error) {
	if !descriptor.MediaType.IsIndex() {
		if !descriptor.MediaType.IsImage() {
			return content{}, errors.New("the manifest has the unknown type " + string(descriptor.MediaType))
		}
		return content{}, nil
	}
	index, err := descriptor.ImageIndex()
	if err != nil {
		return content{}, err
	}
	manifest, err := index.IndexManifest()
	if err != nil {
		return content{}, err
	}
	c := content{index: []child{}}
	for _, m := range manifest.Manifests {
		if m.Platform != nil {
			c.index = append(c.index, child{m.Digest.String(), platformOf(m.Platform)})
		}
	}
	return c, nil
}

func platformOf(p *v1.Platform) string {
	s := p.OS + "/" + p.Architecture
	if p.Variant != "" {
		s += "/" + p.Variant
	}
	return s
}

func sortTags(tags []image.Tag) {
	slices.SortFunc(tags, func(a, b image.Tag) int { return strings.Compare(a.Name, b.Name) })
}
