package engine

import (
	"context"
	"fmt"
	"runtime"
	"slices"
	"strings"

	"github.com/liverty-music/image-writeback/internal/image"
	"github.com/liverty-music/image-writeback/internal/policy"
	"github.com/liverty-music/image-writeback/internal/registry"
)

// Choose lets a policy choose among the tags of a repository, as a cycle does for
// each image of an Application. platforms are those that the image must be built
// for; none: the one that this program runs on. The error is the registry's, or that the
// deadline has passed.
func Choose(
	ctx context.Context, repository *registry.Repository, p policy.Policy, platforms []string, deadline Deadline,
) (policy.Choice, error) {
	ctx, cancel := deadline.start(ctx, "what is asked of "+repository.Host())
	defer cancel()
	ctx, end := repository.StartClock(ctx)
	defer end()

	listing, err := repository.List(ctx)
	if err != nil {
		return policy.Choice{}, orTooSlow(ctx, err)
	}
	choice, err := choose(ctx, repository, listing, p, platforms)

	return choice, orTooSlow(ctx, err)
}

// choose completes the tags that the filters allow, and lets the policy pick
// among them.
func choose(
	ctx context.Context, repository *registry.Repository, listing registry.Listing, p policy.Policy, platforms []string,
) (policy.Choice, error) {
	standing, dropped, err := standing(ctx, listing.Tags, p)
	if err != nil {
		return policy.Choice{}, err
	}
	if len(standing) == 0 {
		return p.Choose(nil, dropped), nil
	}

	needs := p.Metadata()
	described, missing, err := repository.Describe(ctx, listing.Complete, standing, registry.Wanted{
		Digest:    needs.Digest,
		Created:   needs.Created && !listing.Ranked,
		Platforms: platforms,
		Default:   defaultPlatform(),
	})
	if err != nil {
		return policy.Choice{}, err
	}
	for _, m := range missing {
		dropped = append(dropped, policy.Dropped{Tag: m.Tag, Rule: "platforms", Why: m.Why})
	}
	if len(described) == 0 {
		return policy.Choice{Reason: noPlatform(len(standing), platforms), Dropped: dropped}, nil
	}

	choice := p.Choose(described, nil)
	choice.Dropped = append(dropped, choice.Dropped...)

	return choice, nil
}

// standing is [policy.Policy.Standing], which may take long for many tags and a large
// expression. The error is that of the context.
func standing(ctx context.Context, tags []image.Tag, p policy.Policy) (
	standing []image.Tag, dropped []policy.Dropped, err error,
) {
	for some := range slices.Chunk(tags, 100) {
		if err := ctx.Err(); err != nil {
			return nil, nil, err
		}
		stand, drop := p.Standing(some)
		standing, dropped = append(standing, stand...), append(dropped, drop...)
	}

	return standing, dropped, nil
}

func noPlatform(tags int, platforms []string) string {
	if len(platforms) == 0 {
		platforms = []string{defaultPlatform()}
	}

	return fmt.Sprintf("none of %d allowed tags has an image for %s", tags, strings.Join(platforms, " or "))
}

// defaultPlatform is the one that the updater runs on, in the registry's words.
func defaultPlatform() string { return "linux/" + runtime.GOARCH }
