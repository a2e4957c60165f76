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

// TestScopes holds which Applications a cycle is about: those that are named,
// and those that can only be decided along with them.
func TestScopes(t *testing.T) {
	branch, err := plan.ParseBranchTemplate("image-writeback/{{.Project}}")
	if err != nil {
		t.Fatal(err)
	}
	registries, err := registry.New([]registry.Registry{{Prefix: "mirror.example.com", APIURL: "https://api.example.com", Default: true, Namespace: "mine"}}, nil, "test")
	if err != nil {
		t.Fatal(err)
	}
	app := func(name, project, repository, folder, images string, change func(*spec.Target)) spec.Application {
		a := spec.Application{Namespace: "argocd", Name: name, Project: project, Target: spec.Target{Method: spec.MethodGit, Repository: repository, Type: spec.Kustomize, Form: manifest.FormKustomization, Folder: folder}}
		for one := range strings.FieldsSeq(images) {
			ref, err := image.ParseName(one)
			if err != nil {
				t.Fatal(err)
			}
			a.Images = append(a.Images, spec.Image{Ref: ref})
		}
		if change != nil {
			change(&a.Target)
		}
		return a
	}
	const one, two = "https://github.com/o/one.git", "git@github.com:o/two"
	commits := func(target *spec.Target) { target.Delivery = spec.DeliverCommit }
	apps := []spec.Application{
		app("a", "p", one, "a", "ghcr.io/o/a", commits),
		app("b", "p", one, "b", "ghcr.io/o/b ghcr.io/o/a", commits),
		app("b2", "q", "ssh://git@github.com/o/one", "b", "ghcr.io/o/c", commits),    // the file of b
		app("d", "r", two, "d", "ghcr.io/o/d", nil),                                  // a pull request
		app("e", "r", two, "e", "ghcr.io/o/e", nil),                                  // the same
		app("f", "r", two, "f", "ghcr.io/o/f", commits),                              // no pull request
		app("g", "s", two, "g", "app", func(t *spec.Target) { t.Method = "argocd" }), // of the default registry
	}
	for _, c := range []struct {
		what string
		ask  func(*Inbox)
		want string
	}{
		{"everything", (*Inbox).Everything, "a b b2 d e f g"},
		{"an image", func(b *Inbox) { b.Image(image.Ref{Registry: "ghcr.io", Repository: "o/a"}) }, "a b b2"},
		{"an image of a file that is shared", func(b *Inbox) { b.Image(image.Ref{Registry: "ghcr.io", Repository: "o/c"}) }, "b b2"},
		{"an image of a pull request that is shared", func(b *Inbox) { b.Image(image.Ref{Registry: "ghcr.io", Repository: "o/e"}) }, "d e"},
		{"an image of none that is shared", func(b *Inbox) { b.Image(image.Ref{Registry: "ghcr.io", Repository: "o/f"}) }, "f"},
		{"an image by the name that its registry has", func(b *Inbox) { b.Image(image.Ref{Registry: "mirror.example.com", Repository: "mine/app"}) }, "g"},
		{"an image by the name of the API", func(b *Inbox) { b.Image(image.Ref{Registry: "api.example.com", Repository: "mine/app"}) }, "g"},
		{"an image of nobody", func(b *Inbox) { b.Image(image.Ref{Registry: "quay.io", Repository: "o/a"}) }, ""},
		{"a repository", func(b *Inbox) { b.Pushed("https://github.com/O/Two.git", "main", "1") }, "d e f"},
		{"too many images", func(b *Inbox) {
			for i := range maxNames + 1 {
				b.Image(image.Ref{Registry: "ghcr.io", Repository: fmt.Sprint("x", i)})
			}
		}, "a b b2 d e f g"},
		{"too many branches", func(b *Inbox) {
			for i := range maxNames + 1 {
				b.Pushed(two, fmt.Sprint(i), "1")
			}
		}, "a b b2 d e f g"},
	} {
		b := newInbox(time.Millisecond, time.Second)
		c.ask(b)
		<-b.ready
		scope := b.drain()
		e := &Engine{Registries: registries, Settings: plan.Settings{PullRequests: plan.PullRequests{Branch: branch}}}
		var names []string
		for _, app := range e.selected(&scope, apps) {
			names = append(names, app.Name)
		}
		if got := strings.Join(names, " "); got != c.want {
			t.Errorf("%s: %q, want %q", c.what, got, c.want)
		}
		if again := b.drain(); !again.empty() {
			t.Errorf("%s: the inbox was not emptied", c.what)
		}
	}
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
