package engine

import (
	"context"
	"fmt"
	"sync/atomic"

	"github.com/liverty-music/image-writeback/internal/limit"
	"github.com/liverty-music/image-writeback/internal/panics"
	"github.com/liverty-music/image-writeback/internal/registry"
)

// list is the list of a repository's tags, which the policies of one cycle share. It is
// asked for if one of them wants it, and its room in memory is kept until none uses it
// any more.
type list struct {
	question *question
	host     *host
	asker    asker // in whose turn it is asked for
	wanted   bool

	users  atomic.Int32
	end    func() // of the repository's clock
	listed chan struct{}
	found  registry.Listing // once it is listed
	err    error
}

func newList(q *question, h *host, who asker) *list {
	return &list{question: q, host: h, asker: who, listed: make(chan struct{})}
}

// start begins to ask for the list.
func (l *list) start(ctx context.Context, d Deadline) {
	if !l.wanted {
		return
	}

	l.users.Add(1)
	go func() {
		defer l.leave()
		defer close(l.listed)
		l.found, l.err = panics.Try(func() (registry.Listing, error) { return l.ask(ctx, d) })
	}()
}

func (l *list) ask(ctx context.Context, d Deadline) (registry.Listing, error) {
	l.host.lists.take(l.asker)
	defer l.host.lists.give(l.asker)
	repository := l.question.repository
	if err := l.host.begin(repository); err != nil {
		return registry.Listing{}, err
	}

	ctx, l.end = startAsking(ctx, d, l.question.name, repository, l.asker)
	found, err := repository.List(ctx)
	err = orTooSlow(ctx, err)
	l.host.learn(err)

	return found, err
}

// leave says that one of its users does not need it any more.
func (l *list) leave() {
	if l.users.Add(-1) == 0 && l.end != nil {
		l.end()
	}
}

// startAsking starts the time limits of what a registry is asked in somebody's turn.
func startAsking(
	ctx context.Context, d Deadline, name string, repository *registry.Repository, who asker,
) (_ context.Context, end func()) {
	ctx, cancel := d.start(limit.WithTenant(ctx, who.project),
		fmt.Sprintf("image %s: what is asked of %s", name, repository.Host()))
	ctx, stop := repository.StartClock(ctx)

	return ctx, func() {
		stop()
		cancel()
	}
}
