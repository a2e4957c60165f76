package engine

import (
	"context"
	"fmt"
	"runtime"
	"slices"
	"strings"

	"github.com/liverty-music/image-writeback/internal/image"
	"github.com/liverty-music/image-writeback/internal/limit"
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
	choice, err := chooser{}.choose(ctx, repository, listing, p, platforms)

	return choice, orTooSlow(ctx, err)
}

// chooser lets policies choose. Among many tags, that takes time and memory: only some do
// so at a time.
type chooser struct {
	room *limit.Room // nil: nobody else chooses
	most int         // how many of the dropped tags are kept; 0: all
}

const (
	manyTags     = 5000 // from here on, a policy waits for room
	maxChoosing  = 2    // policies that choose among many tags at a time
	mostDropped  = 1000 // are kept where nobody reads them all
	piecesOfTags = 100  // that are filtered between two looks at the deadline
)

// choose completes the tags that the filters allow, and lets the policy pick
// among them.
func (c chooser) choose(
	ctx context.Context, repository *registry.Repository, listing registry.Listing, p policy.Policy, platforms []string,
) (policy.Choice, error) {
	var standing []image.Tag
	var dropped []policy.Dropped
	var none policy.Choice
	err := c.inRoom(ctx, len(listing.Tags), func() (err error) {
		if standing, dropped, err = filtered(ctx, listing.Tags, p); err == nil && len(standing) == 0 {
			none = p.Choose(nil, dropped)
		}
		dropped = c.kept(dropped)
		return err
	})
	if err != nil {
		return policy.Choice{}, err
	}
	if len(standing) == 0 {
		none.Dropped = dropped
		return none, nil
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

	var choice policy.Choice
	err = c.inRoom(ctx, len(described), func() error {
		choice = p.Choose(described, nil)
		choice.Dropped = c.kept(append(dropped, choice.Dropped...))
		return nil
	})

	return choice, err
}

// inRoom calls do, with room if there are many tags.
func (c chooser) inRoom(ctx context.Context, tags int, do func() error) error {
	if c.room == nil || tags <= manyTags {
		return do()
	}

	stay := c.room.Stay()
	defer stay.Leave()
	if err := stay.Enter(ctx, nil); err != nil {
		return err
	}

	return do()
}

// kept returns the dropped tags that are kept. The others do not stay in memory.
func (c chooser) kept(dropped []policy.Dropped) []policy.Dropped {
	if c.most == 0 || len(dropped) <= c.most {
		return dropped
	}

	return slices.Clone(dropped[:c.most])
}

// filtered is [policy.Policy.Standing], which may take long for many tags and a large
// expression. The error is that of the context.
func filtered(ctx context.Context, tags []image.Tag, p policy.Policy) (
	standing []image.Tag, dropped []policy.Dropped, err error,
) {
	for some := range slices.Chunk(tags, piecesOfTags) {
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
