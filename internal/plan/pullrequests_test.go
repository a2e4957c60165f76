package plan

import (
	"errors"
	"strings"
	"testing"

	"github.com/liverty-music/image-writeback/internal/spec"
)

// TestSharedPullRequest holds that a pull request which Applications share stays
// as it is while one of them cannot be decided and has something proposed there.
func TestSharedPullRequest(t *testing.T) {
	base, head := "images:\n- name: a\n  newTag: v1\n", "images:\n- name: a\n  newTag: v2\n"
	add := func(name string, candidate Candidate) *Case {
		c := newCase(base, candidate)
		c.Application.Name, c.Application.Target.Delivery = name, spec.DeliverPullRequest
		c.Place.Base.Path = name + "/k.yaml"
		c.Place.PullRequests, c.Place.HeadBranch, c.Place.HeadExists = true, "head", true
		c.Place.Head = &File{Branch: "head", Path: name + "/k.yaml", Data: []byte(head)}

		return c
	}
	failed := chosen(ref("a"), "a", "")
	failed.Err = errors.New("the registry is down")
	broken, other := add("broken", failed), add("other", chosen(ref("a"), "a", "v3"))

	p := Make([]*Case{broken, other}, Settings{})
	img := p.Applications[1].Images[0]
	if p.Decisions[1].Work != nil || img.Action != ActionSkip || img.Gate != "shared-pull-request" ||
		!strings.HasPrefix(img.Reason, "v3 waits: argocd/broken has an error, and something proposed in the same ") {
		t.Errorf("%+v, %+v", p.Decisions[1].Work, img)
	}
	if p = Make([]*Case{other}, Settings{}); p.Decisions[0].Work == nil || len(p.Proposals) != 1 {
		t.Errorf("alone: %+v", p.Decisions[0])
	}
}

func TestBranchTemplate(t *testing.T) {
	app := spec.Application{
		Namespace: "argocd", Name: "backend", Project: "shop", Labels: map[string]string{"team": "x"},
	}
	for text, want := range map[string]string{
		"updates/{{.Project}}": "updates/shop", "{{.Namespace}}-{{.Name}}-{{.Labels.team}}": "argocd-backend-x",
	} {
		template, err := ParseBranchTemplate(text)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := template.Branch(app); got != want || err != nil {
			t.Errorf("%s: %q, %v", text, got, err)
		}
	}
	for text, want := range map[string]string{
		"a b": `"a b", which is not a valid branch name`, "{{.Nope}}": "can't evaluate field Nope",
		"{{": "unclosed action",
	} {
		if _, err := ParseBranchTemplate(text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", text, err)
		}
	}
}

// TestProposals holds which works share a pull request: those with one head and
// one base in one repository that is read with one set of credentials.
func TestProposals(t *testing.T) {
	base, head := "images:\n- name: a\n  newTag: v1\n", "images:\n- name: a\n  newTag: v2\n"
	add := func(name string, change func(*Case)) *Case {
		c := newCase(base, chosen(ref("a"), "a", "v3"))
		c.Application.Name, c.Application.Target.Delivery = name, spec.DeliverPullRequest
		c.Place.Base.Path = name + "/k.yaml"
		c.Place.PullRequests, c.Place.HeadBranch, c.Place.HeadExists = true, "head", true
		c.Place.Head = &File{Branch: "head", Path: name + "/k.yaml", Data: []byte(head)}
		change(c)

		return c
	}

	p := Make([]*Case{
		add("one", func(*Case) {}),
		add("two", func(*Case) {}),
		add("other-base", func(c *Case) { c.Place.Base.Branch = "release" }),
		add("other-head", func(c *Case) { c.Place.HeadBranch = "another" }),
		add("other-credentials", func(c *Case) { c.Place.Remote = 1 }),
	}, Settings{})

	var got []string
	for _, proposal := range p.Proposals {
		var names []string
		for _, app := range proposal.Applications {
			names = append(names, app.Name)
		}
		got = append(got, strings.Join(names, "+"))
	}
	if want := "one+two other-base other-head other-credentials"; strings.Join(got, " ") != want {
		t.Errorf("proposals %q, want %q", got, want)
	}
}
