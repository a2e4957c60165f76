package registry

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	"golang.org/x/sync/singleflight"

	"github.com/liverty-music/image-writeback/internal/image"
	"github.com/liverty-music/image-writeback/internal/limit"
)

// Repository is one image repository, seen with one set of credentials, in one
// cycle: it has a budget of retries and time, and remembers what tags point to.
type Repository struct {
	client   *Client
	ref      image.Ref
	repo     name.Repository
	registry Registry
	creds    string
	budget   *budget
	tags     *tagCache
	recheck  bool
	stay     *limit.Stay // in the room for large lists, from StartClock on
	configs  singleflight.Group

	mu      sync.Mutex
	digests map[string]string // by tag, looked up once in a cycle
}

// Repository returns the repository of an image for one cycle. credentials are
// those of an annotation, one of [image.CredentialForms]; empty: those of the
// registry's configuration. The error means that the registry protocol does not
// allow the name.
func (c *Client) Repository(ref image.Ref, credentials string) (*Repository, error) {
	ref, registry := c.locate(ref)
	if credentials == "" {
		credentials = registry.Credentials
	}

	repo, err := apiName(ref, registry)
	if err != nil {
		return nil, fmt.Errorf("image %s: %w", ref.Name, err)
	}

	r := &Repository{
		client:   c,
		ref:      ref,
		repo:     repo,
		registry: registry,
		creds:    credentials,
		budget:   newBudget(),
		digests:  map[string]string{},
	}
	r.tags = c.tagCache(r.key())

	return r, nil
}

// key identifies a repository as one set of credentials sees it.
func (r *Repository) key() string { return r.repo.Name() + " " + r.creds }

// Host is the registry that is asked, for grouping.
func (r *Repository) Host() string { return r.repo.RegistryStr() }

// Concurrency is how many repositories of this registry to ask at a time: as many
// as the registry takes requests per second, so that its limit is reached even
// if each answer takes a second.
func (r *Repository) Concurrency() int { return r.registry.concurrency() }

// Recheck makes this cycle look up again what each tag points to. Call it before
// [Repository.List] if something says that an image was pushed.
func (r *Repository) Recheck() { r.recheck = true }

// StopRetrying makes failed requests of this cycle final.
func (r *Repository) StopRetrying() { r.budget.retries.Store(0) }

// StartClock starts the time limits of this repository in this cycle: the context
// that it returns ends when the registry has not answered for too long. Call end
// when nothing more will be asked.
func (r *Repository) StartClock(ctx context.Context) (_ context.Context, end func()) {
	ctx, stop := r.budget.start(ctx)
	r.stay = r.client.large.Stay()

	return ctx, func() {
		stop()
		r.stay.Leave()
		r.client.tags.Resize(r.key(), r.tags.bytes())
	}
}

// withBudget attaches the budget to the requests of a context.
func (r *Repository) withBudget(ctx context.Context) context.Context {
	return context.WithValue(ctx, budgetKey{}, r.budget)
}

// Listing is the list of a repository's tags.
type Listing struct {
	Tags []image.Tag
	// Complete reports whether digests and times are known, as with Google's
	// registries; if not, Describe finds them out.
	Complete bool
	// Ranked reports whether the tags have ranks instead of times.
	Ranked bool
}

// List asks for the tags: with one request if the registry answers as Google's
// do, and otherwise with one for each page. The error is an *[Error].
func (r *Repository) List(ctx context.Context) (Listing, error) {
	tr, err := r.connect(ctx)
	if err != nil {
		return Listing{}, r.failed("listing the tags", err)
	}

	list, err := r.readPages(r.withBudget(ctx), tr)
	if err != nil {
		return Listing{}, r.failed("listing the tags", err)
	}

	tags := list.tags(r.registry.Sorted)
	if list.manifests {
		return Listing{Tags: tags, Complete: true}, nil
	}
	r.tags.update(tags, time.Now(), r.recheck)

	return Listing{Tags: tags, Ranked: r.registry.Sorted != ""}, nil
}
