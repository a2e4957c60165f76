package engine

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/liverty-music/image-writeback/internal/image"
	"github.com/liverty-music/image-writeback/internal/limit"
	"github.com/liverty-music/image-writeback/internal/plan"
	"github.com/liverty-music/image-writeback/internal/policy"
	"github.com/liverty-music/image-writeback/internal/registry"
	"github.com/liverty-music/image-writeback/internal/spec"
)

// question is one image repository, read with one set of credentials, and everyone who
// asks about it.
type question struct {
	repository *registry.Repository // that lists it
	ref        image.Ref
	creds      string
	name       string // of the image, as scopes name it
	pushed     bool   // somebody has pushed the image
	others     bool   // none of those who ask is one of Engine.Only
	asks       []ask
	errands    map[string]*errand[policy.Choice] // by policyKey of those who ask
}

type ask struct {
	asker
	candidate *plan.Candidate
	key       string // policyKey of its image
}

// questions are those of one cycle, in their order.
type questions struct {
	byKey map[string]*question
	order []string
}

// question collects what the registries are asked about all images, each repository
// once. For images that the scope does not name, the last answer counts.
func (c *cycle) question() *questions {
	all := &questions{byKey: map[string]*question{}}
	for _, one := range c.cases {
		for i := range one.Images {
			if one.Open() && one.Images[i].Err == nil {
				q := c.ask(all, asker{one.Application.Project, one.Application.String()}, &one.Images[i])
				if q != nil && (c.Only == nil || c.Only(one.Application)) {
					q.others = false
				}
			}
		}
	}

	return all
}

// ask adds an image to the question about its repository, and returns that; nil if nothing
// is asked.
func (c *cycle) ask(all *questions, who asker, candidate *plan.Candidate) *question {
	asked := candidate.Spec
	if len(asked.Problems) > 0 || asked.NotLive != "" {
		return nil // the plan says why; no registry needs to be asked
	}

	key, policyKey := imageName(asked.Ref)+" "+asked.Credentials, policyKey(asked)
	pushed := len(c.scope.images) > 0 && c.scope.names(c.Registries.Names(asked.Ref))
	if !c.scope.everything && !pushed {
		if last, ok := c.state.choices[key+policyKey]; ok {
			candidate.Choice, candidate.Err = last.choice, last.err
			return nil
		}
	}

	q := all.byKey[key]
	if q == nil {
		repository, err := c.Registries.Repository(asked.Ref, asked.Credentials)
		if err != nil {
			candidate.Err = err
			return nil
		}
		if pushed {
			repository.Recheck()
		}

		q = &question{
			repository: repository, ref: asked.Ref, creds: asked.Credentials, name: imageName(asked.Ref),
			pushed: pushed, others: true, errands: map[string]*errand[policy.Choice]{},
		}
		all.byKey[key] = q
		all.order = append(all.order, key)
	}
	q.asks = append(q.asks, ask{who, candidate, policyKey})

	return q
}

// policies returns those that ask, by the keys of their errands.
func (q *questions) policies() map[string]bool {
	different := map[string]bool{}
	for key, one := range q.byKey {
		for _, a := range one.asks {
			different[key+a.key] = true
		}
	}

	return different
}

// load is how much each project asks: of several who ask the same, it is asked in the
// turn of the one that asks the fewest, so that nobody with many questions keeps the
// others waiting.
func (q *questions) load() (load func(a, b ask) int) {
	projects, applications := map[string]int{}, map[string]int{}
	for _, one := range q.byKey {
		for _, a := range one.asks {
			projects[a.project]++
			applications[a.application]++
		}
	}

	return func(a, b ask) int {
		return cmp.Or(
			cmp.Compare(projects[a.project], projects[b.project]),
			cmp.Compare(applications[a.application], applications[b.application]),
		)
	}
}

// putTo puts the questions to the registries: each policy is an errand of its own, and
// those about one repository share its list. So one that needs more than the others
// neither delays them nor fails with them.
// Those of Applications beside Engine.Only have a wait of their own.
func (c *cycle) putTo(ctx context.Context, all *questions, policies int, own, others *wait) {
	progress := c.stage("asking registries", policies)
	hosts, load := c.newHosts(), all.load()
	hosts.expect(all, c.scope.everything)

	for _, key := range all.order {
		q, w := all.byKey[key], own
		if q.others {
			w = others
		}
		host := hosts.of(q.repository)
		list := newList(q, host, slices.MinFunc(q.asks, load).asker)
		waited := !host.silent() || c.state.inbox == nil // otherwise it is asked as well

		for _, a := range q.each(load) {
			asked, ended := a.candidate.Spec, func() {}
			if waited {
				ended = w.ended(progress)
			}

			var begun bool
			list.users.Add(1)
			q.errands[a.key], begun = c.state.questions.begin(key+a.key, errandOptions[policy.Choice]{
				do: func() (policy.Choice, error) {
					defer list.leave()
					return c.answer(ctx, list, a.asker, asked)
				},
				fits:   func(policy.Choice) bool { return true },
				again:  q.pushed,
				resume: func() { c.resume(q.name) },
				ended:  ended,
			})
			if !begun {
				list.leave()
			}
			if list.wanted = list.wanted || begun; waited {
				w.count(begun, progress)
			} else {
				progress()
			}
		}
		list.start(ctx, c.Deadline)
	}
}

// each returns for each policy the one in whose turn it is asked, in their order.
func (q *question) each(load func(a, b ask) int) []ask {
	byPolicy := map[string]ask{}
	for _, a := range q.asks {
		if first, ok := byPolicy[a.key]; !ok || load(a, first) < 0 {
			byPolicy[a.key] = a
		}
	}

	return slices.SortedFunc(maps.Values(byPolicy), func(a, b ask) int { return cmp.Compare(a.key, b.key) })
}

// answer lets a policy choose, once the repository is listed. What it needs besides the
// list is asked when its turn comes.
func (c *cycle) answer(ctx context.Context, list *list, who asker, asked spec.Image) (policy.Choice, error) {
	select {
	case <-list.listed:
	case <-ctx.Done():
		return policy.Choice{}, ctx.Err()
	}
	if list.err != nil {
		return policy.Choice{}, list.err
	}

	q, host := list.question, list.host
	if !needsMore(asked) {
		ctx, cancel := c.Deadline.start(limit.WithTenant(ctx, who.project), "image "+q.name+": choosing a tag")
		defer cancel()
		choice, err := c.chooser().choose(ctx, q.repository, list.found, asked.Policy, nil)

		return choice, orTooSlow(ctx, err)
	}

	repository, err := c.Registries.Repository(q.ref, q.creds)
	if err != nil {
		return policy.Choice{}, err
	}
	host.details.take(who)
	defer host.details.give(who)
	if err := host.begin(repository); err != nil {
		return policy.Choice{}, err
	}

	ctx, end := startAsking(ctx, c.Deadline, q.name, repository, who)
	defer end()
	choice, err := c.chooser().choose(ctx, repository, list.found, asked.Policy, asked.Platforms)
	err = orTooSlow(ctx, err)
	host.learn(err)

	return choice, err
}

// chooser is for the policies of cycles. Whoever asks about some Applications alone, such
// as explain, reads what was dropped.
func (c *cycle) chooser() chooser {
	if c.Only != nil {
		return chooser{room: c.state.choosing}
	}

	return chooser{c.state.choosing, mostDropped}
}

// needsMore reports whether a policy needs more than the list of tags.
func needsMore(asked spec.Image) bool {
	needs := asked.Policy.Metadata()
	return needs.Digest || needs.Created || len(asked.Platforms) > 0
}

// note notes the answers, or that there are none yet, and keeps the choices for the
// next cycles.
func (c *cycle) note(all *questions) {
	for _, key := range all.order {
		q := all.byKey[key]
		for policyKey, errand := range q.errands {
			choice, ok, err := c.state.questions.take(key+policyKey, errand)
			switch {
			case !ok:
				err = &plan.Waiting{For: "what " + q.repository.Host() + " answers about " + q.name}
			case err == nil:
				err = c.state.missing(key+policyKey, choice, time.Now())
			}
			for _, a := range q.asks {
				if a.key == policyKey {
					a.candidate.Choice, a.candidate.Err = choice, err
				}
			}
		}
	}

	c.remember(all)
}

// choices are what policies chose last, or why they could not, by image and policy, so
// that a cycle about some images need not ask about the others that it meets.
type choices map[string]answer

type answer struct {
	choice policy.Choice
	err    error
}

// remember keeps the answers of a cycle, without the tags that were dropped. A
// cycle about everything forgets what nobody asks about any more.
func (c *cycle) remember(all *questions) {
	last := c.state.choices
	if c.scope.everything || c.state.choices == nil {
		c.state.choices = choices{}
	}

	for _, key := range all.order {
		for _, a := range all.byKey[key].asks {
			if _, ok := c.state.gone[key+a.key]; ok { // it is compared with again
				c.state.choices[key+a.key] = last[key+a.key]
				continue
			}
			var waiting *plan.Waiting
			if errors.As(a.candidate.Err, &waiting) {
				delete(c.state.choices, key+a.key)
				continue
			}
			choice := a.candidate.Choice
			choice.Dropped = nil
			c.state.choices[key+a.key] = answer{choice, a.candidate.Err}
		}
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
