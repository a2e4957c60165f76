package engine

import (
	"context"
	"fmt"
	"sync"

	"github.com/liverty-music/image-writeback/internal/image"
	"github.com/liverty-music/image-writeback/internal/plan"
	"github.com/liverty-music/image-writeback/internal/policy"
	"github.com/liverty-music/image-writeback/internal/registry"
	"github.com/liverty-music/image-writeback/internal/spec"
)

// question is one image repository, read with one set of credentials, and
// everyone who asks about it.
type question struct {
	repository *registry.Repository
	asks       []ask
}

type ask struct {
	candidate *plan.Candidate
	policy    string // policyKey of its image
}

// questions are those of one cycle, in their order.
type questions struct {
	byKey map[string]*question
	order []string
}

// resolve asks the registries about all images, each repository once, and has
// the policies choose. For images that the scope does not name, the last choice
// counts.
func (c *cycle) resolve(ctx context.Context) {
	all := &questions{byKey: map[string]*question{}}
	for _, one := range c.cases {
		for i := range one.Images {
			if one.Open() && one.Images[i].Err == nil {
				c.ask(all, &one.Images[i])
			}
		}
	}

	progress := c.stage("asking registries", len(all.order))
	hosts := map[string]*hostLimit{}
	var group sync.WaitGroup
	for _, key := range all.order {
		q := all.byKey[key]
		host := hosts[q.repository.Host()]
		if host == nil {
			host = newHostLimit(q.repository.Concurrency())
			hosts[q.repository.Host()] = host
		}

		group.Go(func() {
			defer progress()
			host.answer(ctx, q)
		})
	}
	group.Wait()

	c.remember(all)
}

// ask adds an image to the question about its repository.
func (c *cycle) ask(all *questions, candidate *plan.Candidate) {
	asked := candidate.Spec
	if len(asked.Problems) > 0 || asked.NotLive != "" {
		return // the plan says why; no registry needs to be asked
	}

	key, policy := imageName(asked.Ref)+" "+asked.Credentials, policyKey(asked)
	named := len(c.scope.images) > 0 && c.scope.names(c.Registries.Names(asked.Ref))
	if !c.scope.everything && !named {
		if choice, ok := c.state.choices[key+policy]; ok {
			candidate.Choice = choice
			return
		}
	}

	q := all.byKey[key]
	if q == nil {
		repository, err := c.Registries.Repository(asked.Ref, asked.Credentials)
		if err != nil {
			candidate.Err = err
			return
		}
		if named {
			repository.Recheck() // somebody has pushed to it
		}

		q = &question{repository: repository}
		all.byKey[key] = q
		all.order = append(all.order, key)
	}
	q.asks = append(q.asks, ask{candidate, policy})
}

// choices are what policies chose last, by image and policy, so that a cycle
// about some images need not ask about the others that it meets.
type choices map[string]policy.Choice

// remember keeps the choices of a cycle, without the tags that were dropped. A
// cycle about everything forgets what nobody asks about any more.
func (c *cycle) remember(all *questions) {
	if c.scope.everything || c.state.choices == nil {
		c.state.choices = choices{}
	}

	for _, key := range all.order {
		for _, a := range all.byKey[key].asks {
			if a.candidate.Err != nil {
				delete(c.state.choices, key+a.policy)
				continue
			}
			choice := a.candidate.Choice
			choice.Dropped = nil
			c.state.choices[key+a.policy] = choice
		}
	}
}

func (q *question) fail(err error) {
	for _, a := range q.asks {
		a.candidate.Err = err
	}
}

// err returns why there is no answer.
func (q *question) err() error { return q.asks[0].candidate.Err }

// answer lists the repository and chooses for everyone who asks. The same
// policy is asked once.
func (q *question) answer(ctx context.Context) {
	listing, err := q.repository.List(ctx)
	if err != nil {
		q.fail(err)
		return
	}

	chosen := map[string]*plan.Candidate{}
	for _, a := range q.asks {
		first, ok := chosen[a.policy]
		if !ok {
			a.candidate.Choice, a.candidate.Err = choose(
				ctx, q.repository, listing, a.candidate.Spec.Policy, a.candidate.Spec.Platforms)
			chosen[a.policy] = a.candidate
			continue
		}
		a.candidate.Choice, a.candidate.Err = first.Choice, first.Err
	}
}

// policyKey is the same for images whose policies choose the same tag.
func policyKey(asked spec.Image) string {
	p := asked.Policy
	allow := ""
	if p.Allow != nil {
		allow = p.Allow.String()
	}

	return fmt.Sprintf("\n%s\n%s\n%s\n%q\n%q", p.Strategy, p.Constraint, allow, p.Ignore, asked.Platforms)
}

// imageName is the name by which scopes name an image.
func imageName(ref image.Ref) string { return ref.Registry + "/" + ref.Repository }
