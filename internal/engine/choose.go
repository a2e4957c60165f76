package engine

import (
	"context"
	"fmt"
	"runtime"
	"strings"

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
	standing, dropped := p.Standing(listing.Tags)
	if len(standing) == 0 {
		return p.Choose(listing.Tags), nil
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

	choice := p.Choose(described)
	choice.Dropped = append(dropped, choice.Dropped...)

	return choice, nil
}

func noPlatform(tags int, platforms []string) string {
	if len(platforms) == 0 {
		platforms = []string{defaultPlatform()}
	}

	return fmt.Sprintf("none of %d allowed tags has an image for %s", tags, strings.Join(platforms, " or "))
}

// defaultPlatform is the one that the updater runs on, in the registry's words.
func defaultPlatform() string { return "linux/" + runtime.GOARCH }
