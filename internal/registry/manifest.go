package registry

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote"

	"github.com/liverty-music/image-writeback/internal/image"
)

// read finds out what a tag points to, or what a digest alone stands for. For a
// single image, the content includes the config if that is asked for.
func (r *Repository) read(
	ctx context.Context, tr http.RoundTripper, tag image.Tag, config bool,
) (image.Tag, content, error) {
	if tag.Digest == "" {
		tag.Digest = r.digestOf(tag.Name)
	}
	if found, known := r.client.contents.get(tag.Digest); known {
		return tag, found, nil
	}

	var ref name.Reference = r.repo.Digest(tag.Digest)
	if tag.Name != "" {
		ref = r.repo.Tag(tag.Name)
	}
	if found, digest, ok := r.unmoved(ctx, tr, ref, tag.Name); ok {
		tag.Digest = digest
		return tag, found, nil
	}

	descriptor, err := remote.Get(ref, remote.WithContext(ctx), remote.WithTransport(tr))
	if err != nil {
		return tag, content{}, err
	}
	tag.Digest = descriptor.Digest.String()

	found, known := r.client.contents.get(tag.Digest)
	if !known {
		if found, err = contentOf(descriptor); err != nil {
			return tag, found, fmt.Errorf("%s: %w", ref.Name(), err)
		}
		r.client.contents.put(tag.Digest, found)
	}
	if config && found.index == nil && !found.hasConfig {
		if found, err = r.readConfig(tag.Digest, descriptor.Image); err != nil {
			return tag, found, fmt.Errorf("%s: %w", ref.Name(), err)
		}
	}

	if tag.Name != "" {
		r.setDigest(tag.Name, tag.Digest)
	}

	return tag, found, nil
}

// unmoved reports whether a tag still points to the digest that it pointed to
// before, and returns what is known about it. Most tags never move, and this
// question needs no manifest.
func (r *Repository) unmoved(
	ctx context.Context, tr http.RoundTripper, ref name.Reference, tag string,
) (found content, digest string, ok bool) {
	last := r.tags.last(tag)
	if last == "" {
		return content{}, "", false
	}

	head, err := remote.Head(ref, remote.WithContext(ctx), remote.WithTransport(tr))
	if err != nil || head.Digest.String() != last {
		return content{}, "", false
	}

	found, ok = r.client.contents.get(last)
	if ok {
		r.setDigest(tag, last)
	}

	return found, last, ok
}

// config reads the config of a single image, once for its digest.
func (r *Repository) config(ctx context.Context, tr http.RoundTripper, digest string) (content, error) {
	return r.readConfig(digest, func() (v1.Image, error) {
		return remote.Image(r.repo.Digest(digest), remote.WithContext(ctx), remote.WithTransport(tr))
	})
}

// readConfig reads the config of an image, which is fetched only if the config is
// not known.
func (r *Repository) readConfig(digest string, fetch func() (v1.Image, error)) (content, error) {
	if c, ok := r.client.contents.get(digest); ok && c.hasConfig {
		return c, nil
	}

	// Two tags of one image may be read at the same time.
	read, err, _ := r.configs.Do(digest, func() (any, error) {
		if c, ok := r.client.contents.get(digest); ok && c.hasConfig {
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

		c := configContent(file)
		r.client.contents.put(digest, c)
		return c, nil
	})

	return read.(content), err //nolint:forcetypeassert // as above
}

func configContent(file *v1.ConfigFile) content {
	labels := file.Config.Labels
	c := content{hasConfig: true, created: file.Created.Time, origin: Origin{
		Source:   short(labels["org.opencontainers.image.source"]),
		Revision: short(labels["org.opencontainers.image.revision"]),
	}}
	if p := file.Platform(); p != nil && p.Architecture != "" {
		c.platform = short(platformOf(p))
	}

	return c
}

// short returns a text that is to be remembered; empty if it is too long to be what
// it should be.
func short(text string) string {
	if len(text) > maxLabel {
		return ""
	}

	return strings.Clone(text) // not the whole config
}

// contentOf reads a manifest: the images of an index, or nothing for one image.
func contentOf(descriptor *remote.Descriptor) (content, error) {
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

	// Of two images for one platform, the first counts.
	c, known := content{index: []child{}}, map[string]bool{}
	for _, m := range manifest.Manifests {
		if m.Platform == nil {
			continue
		}
		platform := short(platformOf(m.Platform))
		if platform != "" && !known[platform] && len(c.index) < maxChildren {
			known[platform] = true
			c.index = append(c.index, child{m.Digest.String(), platform})
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
