package registry

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"golang.org/x/sync/errgroup"

	"github.com/liverty-music/image-writeback/internal/image"
	"github.com/liverty-music/image-writeback/internal/panics"
)

// Wanted is what Describe finds out about tags beyond their names.
type Wanted struct {
	Digest  bool
	Created bool
	// Platforms keeps only tags that have an image for one of them, each as
	// os/arch[/variant]. If it is empty, Default counts where a manifest is read
	// anyway.
	Platforms []string
	Default   string
}

// platforms returns those of which a tag must have one.
func (w Wanted) platforms() []string {
	if len(w.Platforms) > 0 {
		return w.Platforms
	}

	return []string{w.Default}
}

// needsConfig reports whether the config of a single image must be read: only
// there are its creation time and its platform.
func (w Wanted) needsConfig() bool { return w.Created || len(w.Platforms) > 0 }

// Missing is a tag that Describe left out, because it has no image for a platform.
type Missing struct {
	Tag image.Tag
	Why string
}

// maxConcurrentTags is how many tags of one repository are described at a time,
// within the registry's limit of requests per second.
const maxConcurrentTags = 8

// Describe completes the tags of a listing that the policy's rules about names
// leave. What the listing has costs nothing; the rest costs one manifest for each
// tag, and one config for each digest in the life of the Client. complete is that
// of the listing. The error is an *[Error].
func (r *Repository) Describe(
	ctx context.Context, complete bool, tags []image.Tag, want Wanted,
) ([]image.Tag, []Missing, error) {
	if len(want.Platforms) == 0 && (complete || !want.Digest && !want.Created) {
		return tags, nil, nil
	}

	// A policy that follows a digest needs the tag as it is now.
	if !want.Digest {
		r.useCachedDigests(tags)
	}
	tr, err := r.connect(ctx)
	if err != nil {
		return nil, nil, r.failed("reading manifests", err)
	}

	described, missing := make([]image.Tag, len(tags)), make([]string, len(tags))
	group, ctx := errgroup.WithContext(r.withBudget(ctx))
	group.SetLimit(maxConcurrentTags)
	for i, tag := range tags {
		group.Go(func() error {
			_, err := panics.Try(func() (_ any, err error) {
				described[i], missing[i], err = r.describe(ctx, tr, tag, want)
				return nil, err
			})
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
func (r *Repository) describe(
	ctx context.Context, tr http.RoundTripper, tag image.Tag, want Wanted,
) (_ image.Tag, missing string, _ error) {
	tag, content, err := r.read(ctx, tr, tag, want.needsConfig())
	if err != nil {
		return tag, "", err
	}

	if content.index == nil {
		if !want.needsConfig() {
			return tag, "", nil
		}
		return r.describeImage(ctx, tr, tag, want.platforms())
	}

	for _, platform := range want.platforms() {
		child, ok := content.childFor(platform)
		if !ok {
			continue
		}
		if !want.Created || !tag.Created.IsZero() {
			return tag, "", nil
		}

		config, err := r.config(ctx, tr, child.Digest)
		if err == nil {
			tag.Created = config.created
		}
		return tag, "", err
	}

	return tag, "has no image for " + strings.Join(want.platforms(), " or "), nil
}

// describeImage reads a tag of a single image.
func (r *Repository) describeImage(
	ctx context.Context, tr http.RoundTripper, tag image.Tag, platforms []string,
) (image.Tag, string, error) {
	config, err := r.config(ctx, tr, tag.Digest)
	if err != nil {
		return tag, "", err
	}

	if tag.Created.IsZero() {
		tag.Created = config.created
	}

	// A config may have no platform, as that of an artifact.
	fits := func(p string) bool { return matches(config.platform, p) }
	if config.platform != "" && !slices.ContainsFunc(platforms, fits) {
		return tag, fmt.Sprintf("is built for %s, not for %s", config.platform, strings.Join(platforms, " or ")), nil
	}

	return tag, "", nil
}

// Origin says where an image comes from, by the labels of
// https://github.com/opencontainers/image-spec/blob/main/annotations.md.
type Origin struct {
	Source   string // org.opencontainers.image.source: the URL of its repository
	Revision string // org.opencontainers.image.revision: the commit
}

// Inspect completes a tag with its digest and creation time, and returns the
// origin of the image. Of an image for several platforms it reads the image for
// platform, or else the first one. The error is an *[Error].
func (r *Repository) Inspect(ctx context.Context, tag image.Tag, platform string) (image.Tag, Origin, error) {
	tr, err := r.connect(ctx)
	if err != nil {
		return tag, Origin{}, r.failed("reading an image", err)
	}

	ctx = r.withBudget(ctx)
	tag, found, err := r.read(ctx, tr, tag, true)
	if err != nil {
		return tag, Origin{}, r.failed("reading image "+tag.Name, err)
	}

	digest := tag.Digest
	if child, ok := found.childFor(platform); ok {
		digest = child.Digest
	} else if len(found.index) > 0 {
		digest = found.index[0].Digest
	}

	config, err := r.config(ctx, tr, digest)
	if err != nil {
		return tag, Origin{}, r.failed("reading image "+tag.Name, err)
	}
	if tag.Created.IsZero() {
		tag.Created = config.created
	}

	return tag, config.origin, nil
}

// matches compares a platform with one that is asked for. A variant counts only if
// it is asked for.
func matches(have, want string) bool {
	return have == want || strings.Count(want, "/") == 1 && strings.HasPrefix(have, want+"/")
}
