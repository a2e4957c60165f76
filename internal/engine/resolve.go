package engine

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"

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
	name       string // of the image, as scopes name it
	asker      string // the Application in whose turn it is asked
	pushed     bool   // somebody has pushed the image
	asks       []ask
	errand     *errand[answers]
}

type ask struct {
	application string
	candidate   *plan.Candidate
	policy      string // policyKey of its image
}

// answers are what the policies chose, by policyKey.
type answers map[string]answer

type answer struct {
	choice policy.Choice
	err    error
}

// questions are those of one cycle, in their order.
type questions struct {
	byKey map[string]*question
	order []string
}

// question collects what the registries are asked about all images, each repository
// once. For images that the scope does not name, the last choice counts.
func (c *cycle) question() *questions {
	all := &questions{byKey: map[string]*question{}}
	for _, one := range c.cases {
		for i := range one.Images {
			if one.Open() && one.Images[i].Err == nil {
				c.ask(all, one.Application.String(), &one.Images[i])
			}
		}
	}

	all.nameAskers()

	return all
}

// nameAskers has each question asked in the turn of the Application that asks the
// fewest: another one with many must not keep it waiting.
func (q *questions) nameAskers() {
	count := map[string]int{}
	for _, one := range q.byKey {
		for _, a := range one.asks {
			count[a.application]++
		}
	}
	for _, one := range q.byKey {
		one.asker = one.asks[0].application
		for _, a := range one.asks {
			if count[a.application] < count[one.asker] {
				one.asker = a.application
			}
		}
	}
}

// ask adds an image to the question about its repository.
func (c *cycle) ask(all *questions, application string, candidate *plan.Candidate) {
	asked := candidate.Spec
	if len(asked.Problems) > 0 || asked.NotLive != "" {
		return // the plan says why; no registry needs to be asked
	}

	key, policy := imageName(asked.Ref)+" "+asked.Credentials, policyKey(asked)
	pushed := len(c.scope.images) > 0 && c.scope.names(c.Registries.Names(asked.Ref))
	if !c.scope.everything && !pushed {
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
		if pushed {
			repository.Recheck()
		}

		q = &question{repository: repository, name: imageName(asked.Ref), pushed: pushed}
		all.byKey[key] = q
		all.order = append(all.order, key)
	}
	q.asks = append(q.asks, ask{application, candidate, policy})
}

// putTo puts the questions to the registries.
func (c *cycle) putTo(ctx context.Context, all *questions, w *wait) {
	progress := c.stage("asking registries", len(all.order))
	hosts := c.newHosts()

	for _, key := range all.order {
		q := all.byKey[key]
		host := hosts.of(q.repository)
		asks := map[string]spec.Image{}
		for _, a := range q.asks {
			asks[a.policy] = a.candidate.Spec
		}

		var begun bool
		q.errand, begun = c.state.questions.begin(key, errandOptions[answers]{
			do:     func() (answers, error) { return c.answer(ctx, q, host, asks) },
			fits:   func(known answers) bool { return known.has(asks) },
			again:  q.pushed,
			resume: func() { c.resume(q.name) },
			ended:  w.ended(progress),
		})
		w.count(begun, progress)
	}
}

// answer puts a question when its turn comes.
func (c *cycle) answer(
	ctx context.Context, q *question, host *host, asks map[string]spec.Image,
) (found answers, err error) {
	host.turns.take(q.asker)
	defer host.turns.give(q.asker)

	if err := host.begin(q.repository); err != nil {
		return nil, err
	}

	name := q.repository.Host()
	ctx, cancel := c.Deadline.start(ctx, fmt.Sprintf("image %s: what is asked of %s", q.name, name))
	defer cancel()
	ctx, end := q.repository.StartClock(ctx)
	defer end()

	found, err = answerAll(ctx, q.repository, asks)
	err = orTooSlow(ctx, err)
	host.learn(found.orErr(err))

	return found, err
}

// answerAll lists a repository and chooses for each policy, first for those that need
// nothing but the list. The error is that of the list, or one that all policies have.
func answerAll(
	ctx context.Context, repository *registry.Repository, asks map[string]spec.Image,
) (answers, error) {
	listing, err := repository.List(ctx)
	if err != nil {
		return nil, err
	}

	found := answers{}
	order := slices.SortedFunc(maps.Keys(asks), func(a, b string) int {
		return cmp.Or(cmp.Compare(needs(asks[a]), needs(asks[b])), cmp.Compare(a, b))
	})
	answered := false
	for _, key := range order {
		choice, err := choose(ctx, repository, listing, asks[key].Policy, asks[key].Platforms)
		found[key] = answer{choice, orTooSlow(ctx, err)}
		answered = answered || err == nil
	}
	if !answered {
		return nil, found.orErr(nil)
	}

	return found, nil
}

// needs is how much a policy needs besides the list of tags.
func needs(asked spec.Image) int {
	n := len(asked.Platforms)
	if p := asked.Policy.Metadata(); p.Digest || p.Created {
		n++
	}

	return n
}

// has reports whether there is an answer for each policy.
func (a answers) has(asks map[string]spec.Image) bool {
	for key := range asks {
		if _, ok := a[key]; !ok {
			return false
		}
	}

	return true
}

// orErr returns err, or that of a policy.
func (a answers) orErr(err error) error {
	for _, one := range a {
		if err == nil {
			err = one.err
		}
	}

	return err
}

// note notes the answers, or that there are none yet, and keeps the choices for the
// next cycles.
func (c *cycle) note(all *questions) {
	for _, key := range all.order {
		q := all.byKey[key]
		found, ok, err := c.state.questions.take(key, q.errand)
		for _, a := range q.asks {
			switch {
			case !ok:
				a.candidate.Err = &plan.Waiting{For: "what " + q.repository.Host() + " answers about " + q.name}
			case err != nil:
				a.candidate.Err = err
			default:
				a.candidate.Choice, a.candidate.Err = found[a.policy].choice, found[a.policy].err
			}
		}
	}

	c.remember(all)
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
