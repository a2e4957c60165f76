package engine

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/liverty-music/image-writeback/internal/image"
	"github.com/liverty-music/image-writeback/internal/manifest"
	"github.com/liverty-music/image-writeback/internal/plan"
	"github.com/liverty-music/image-writeback/internal/registry"
	"github.com/liverty-music/image-writeback/internal/spec"
)

const one, two = "https://github.com/o/one.git", "git@github.com:o/two"

// fleet is Applications that share files and pull requests.
func fleet(t *testing.T) []spec.Application {
	app := func(name, project, repository, images, delivery string) spec.Application {
		a := spec.Application{Namespace: "argocd", Name: name, Project: project, Target: spec.Target{
			Method: spec.MethodGit, Repository: repository, Delivery: delivery,
			Type: spec.Kustomize, Form: manifest.FormKustomization, Folder: name,
		}}
		for one := range strings.FieldsSeq(images) {
			ref, err := image.ParseName(one)
			if err != nil {
				t.Fatal(err)
			}
			a.Images = append(a.Images, spec.Image{Ref: ref})
		}

		return a
	}

	all := []spec.Application{
		app("a", "p", one, "ghcr.io/o/a", spec.DeliverCommit),
		app("b", "p", one, "ghcr.io/o/b ghcr.io/o/a", spec.DeliverCommit),
		app("b2", "q", "ssh://git@github.com/o/one", "ghcr.io/o/c", spec.DeliverCommit), // the file of b
		app("d", "r", two, "ghcr.io/o/d", ""),                                           // a pull request
		app("e", "r", two, "ghcr.io/o/e", ""),                                           // the same pull request
		app("f", "r", two, "ghcr.io/o/f", spec.DeliverCommit),                           // no pull request
		app("g", "s", two, "app", ""),                                                   // of the default registry
	}
	all[2].Target.Folder = "b"
	all[6].Target.Method = spec.MethodArgoCD

	return all
}

// TestScopes holds which Applications a cycle is about: those that are named,
// and those that can only be decided along with them.
func TestScopes(t *testing.T) {
	branch, err := plan.ParseBranchTemplate("image-writeback/{{.Project}}")
	if err != nil {
		t.Fatal(err)
	}
	registries, err := registry.New([]registry.Registry{{
		Prefix: "mirror.example.com", APIURL: "https://api.example.com", Default: true, Namespace: "mine",
	}}, nil, nil, "test")
	if err != nil {
		t.Fatal(err)
	}
	e := &Engine{
		Registries: registries, Settings: plan.Settings{PullRequests: plan.PullRequests{Branch: branch}},
	}

	pushed := func(registry, repository string) func(*Inbox) {
		return func(b *Inbox) { b.Image(image.Ref{Registry: registry, Repository: repository}) }
	}
	for _, c := range []struct {
		what string
		ask  func(*Inbox)
		want string
	}{
		{"everything", (*Inbox).Everything, "a b b2 d e f g"},
		{"an image", pushed("ghcr.io", "o/a"), "a b b2"},
		{"an image of a file that is shared", pushed("ghcr.io", "o/c"), "b b2"},
		{"an image of a pull request that is shared", pushed("ghcr.io", "o/e"), "d e"},
		{"an image of none that is shared", pushed("ghcr.io", "o/f"), "f"},
		{"an image by the name that its registry has", pushed("mirror.example.com", "mine/app"), "g"},
		{"an image by the name of the API", pushed("api.example.com", "mine/app"), "g"},
		{"an image of nobody", pushed("quay.io", "o/a"), ""},
		{"a repository", func(b *Inbox) { b.Pushed("https://github.com/O/Two.git", "main", "1") }, "d e f"},
		{"too many images", func(b *Inbox) {
			for i := range maxNames + 1 {
				pushed("ghcr.io", fmt.Sprint("x", i))(b)
			}
		}, "a b b2 d e f g"},
		{"too many branches", func(b *Inbox) {
			for i := range maxNames + 1 {
				b.Pushed(two, fmt.Sprint(i), "1")
			}
		}, "a b b2 d e f g"},
	} {
		if got := selectedBy(t, e, c.ask); got != c.want {
			t.Errorf("%s: %q, want %q", c.what, got, c.want)
		}
	}
}

// selectedBy returns the names of the Applications that a trigger is about.
func selectedBy(t *testing.T, e *Engine, ask func(*Inbox)) string {
	t.Helper()
	b := newInbox(time.Millisecond, time.Second)
	ask(b)
	<-b.ready
	scope := b.drain()
	if again := b.drain(); !again.empty() {
		t.Error("the inbox was not emptied")
	}

	var names []string
	for _, app := range e.selected(&scope, fleet(t)) {
		names = append(names, app.Name)
	}

	return strings.Join(names, " ")
}

// TestTheInboxWaitsNoLongerThanItMay keeps on asking: what came is announced all
// the same.
func TestTheInboxWaitsNoLongerThanItMay(t *testing.T) {
	b := newInbox(time.Hour, 20*time.Millisecond)
	asked := 0
	for ready := false; !ready; {
		b.Image(image.Ref{Registry: "ghcr.io", Repository: fmt.Sprint("x", asked)})
		asked++
		select {
		case <-b.ready:
			ready = true
		case <-time.After(time.Millisecond):
		}
	}
	if scope := b.drain(); len(scope.images) != asked {
		t.Errorf("%d images, %d were named", len(scope.images), asked)
	}
}
