package plan

import (
	"errors"
	"strings"
	"testing"

	"github.com/liverty-music/image-writeback/internal/image"
	"github.com/liverty-music/image-writeback/internal/manifest"
	"github.com/liverty-music/image-writeback/internal/policy"
	"github.com/liverty-music/image-writeback/internal/spec"
)

const (
	app  = "ghcr.io/o/app"
	oldD = "sha256:1111111111111111111111111111111111111111111111111111111111111111"
	newD = "sha256:2222222222222222222222222222222222222222222222222222222222222222"
)

func ref(s string) image.Ref {
	r, err := image.Parse(s)
	if err != nil {
		panic(err)
	}

	return r
}

// scene is one image of one Application, with what is known about it.
type scene struct {
	candidate Candidate
	base      string // content of the file; empty: there is none
	head      string // content on the branch to write to; empty: there is no such branch
	target    spec.Target
	pulls     bool
	rules     []DeliveryRule
	problem   string
}

func newScene(base, winner string) scene {
	return scene{candidate: chosen(ref(app), "app", winner), base: base, pulls: true}
}

// chosen is an image under the strategy semver for which a tag was chosen.
func chosen(ref image.Ref, alias, winner string) Candidate {
	return Candidate{
		Spec:   spec.Image{Alias: alias, Ref: ref, Policy: policy.Policy{Strategy: policy.SemVer}},
		Choice: policy.Choice{Found: true, Tag: image.Tag{Name: winner, Digest: newD}, Reason: "highest"},
	}
}

func (s scene) newCase() *Case {
	a := spec.Application{
		Namespace: "argocd", Name: "backend", Project: "default", Labels: map[string]string{"team": "x"},
		Target: s.target,
	}
	if s.problem != "" {
		a.Problems = []spec.Problem{{Expected: s.problem}}
	}

	at := Place{
		Repository: "https://github.com/o/r", Format: manifest.Kustomization{},
		Named: s.target.WriteBranch != "", PullRequests: s.pulls,
		Base: File{Branch: "main", Path: "overlays/prod/kustomization.yaml", Data: []byte(s.base)},
	}
	at.HeadBranch, at.Err = PullRequests{}.Head(a)
	if s.base == "" {
		at.Base, at.BaseErr = File{Branch: "main"}, errors.New("no such file; create it")
	}
	if s.head != "" {
		at.HeadExists = true
		at.Head = &File{Branch: at.HeadBranch, Path: at.Base.Path, Data: []byte(s.head)}
	}

	return &Case{Application: a, Images: []Candidate{s.candidate}, Place: at}
}

func (s scene) decide() (Image, *Work, []FileDiff) {
	d := Make([]*Case{s.newCase()}, Settings{DefaultDelivery: "commit", Rules: s.rules}).Decisions[0]

	return d.Application.Images[0], d.Work, d.Diffs
}

func entry(name, rest string) string { return "images:\n- name: " + name + "\n" + rest }

func tag(v string) string { return entry(app, "  newTag: "+v+"\n") }

// decision is one image as it is, and what is decided about it.
type decision struct {
	name               string
	change             func(s *scene)
	base, winner       string
	action             Action
	current, candidate string
	reason, after      string
}

var decisions = []decision{
	{name: "a newer tag", base: tag("v1"), winner: "v2", action: ActionUpdate, current: "v1", candidate: "v2",
		reason: "highest", after: tag("v2")},
	{name: "in place", base: tag("v2"), winner: "v2", action: ActionUpToDate, current: "v2", candidate: "v2"},
	{name: "above the winner: brought down", base: tag("v3"), winner: "v2", action: ActionUpdate, current: "v3",
		candidate: "v2", after: tag("v2")},
	{name: "an entry without a tag is always due", base: entry(app, ""), winner: "v2", action: ActionUpdate,
		candidate: "v2", after: tag("v2")},
	{name: "no entry, and nobody knows what runs", base: "resources: [a]\n", winner: "v2", action: ActionUpdate,
		candidate: "v2", after: "resources: [a]\n" + tag("v2")},
	{name: "no entry, and an older one runs", base: "resources: [a]\n", winner: "v2",
		change: func(s *scene) { s.candidate.Spec.Live = ref(app + ":v1") }, action: ActionUpdate, current: "v1",
		candidate: "v2", after: "resources: [a]\n" + tag("v2")},
	{name: "no entry, and it runs already", base: "resources: [a]\n", winner: "v2",
		change: func(s *scene) { s.candidate.Spec.Live = ref(app + ":v2") }, action: ActionUpToDate,
		current: "v2", candidate: "v2"},
	{name: "git counts, not what runs", base: tag("v2"), winner: "v2",
		change: func(s *scene) { s.candidate.Spec.Live = ref(app + ":v1") }, action: ActionUpToDate,
		current: "v2", candidate: "v2"},
	{name: "another name in the kustomization", base: entry("short", "  newName: "+app+"\n  newTag: v1\n"),
		winner: "v2", change: func(s *scene) { s.candidate.Spec.KustomizeName = "short" },
		action: ActionUpdate, current: "v1", candidate: "v2",
		after: entry("short", "  newName: "+app+"\n  newTag: v2\n")},
	{name: "a new entry under another name", base: "resources: [a]\n", winner: "v2",
		change: func(s *scene) { s.candidate.Spec.KustomizeName = "short" },
		action: ActionUpdate, candidate: "v2",
		after: "resources: [a]\n" + entry("short", "  newName: "+app+"\n  newTag: v2\n")},
	{name: "a digest that moved", base: entry(app, "  newTag: latest\n  digest: "+oldD+"\n"), winner: "latest",
		change: func(s *scene) { s.candidate.Spec.Policy.Strategy = policy.Digest },
		action: ActionUpdate, current: "latest@" + oldD, candidate: "latest@" + newD,
		after: entry(app, "  newTag: latest\n  digest: "+newD+"\n")},
	{name: "a digest in place", base: entry(app, "  newTag: latest\n  digest: "+newD+"\n"), winner: "latest",
		change: func(s *scene) { s.candidate.Spec.Policy.Strategy = policy.Digest },
		action: ActionUpToDate, current: "latest@" + newD, candidate: "latest@" + newD},
	{name: "a tag is pinned for the first time", base: tag("latest"), winner: "latest",
		change: func(s *scene) { s.candidate.Spec.Policy.Strategy = policy.Digest },
		action: ActionUpdate, current: "latest", candidate: "latest@" + newD,
		after: entry(app, "  newTag: latest\n  digest: "+newD+"\n")},
	{name: "a digest gives way to a tag", base: entry(app, "  newTag: v1\n  digest: "+oldD+"\n"), winner: "v2",
		action: ActionUpdate, current: "v1@" + oldD, candidate: "v2", after: tag("v2")},
	{name: "no winner", base: tag("v1"),
		change: func(s *scene) { s.candidate.Choice = policy.Choice{Reason: "none of 3 tags is left"} },
		action: ActionSkip, current: "v1", reason: "no tag was chosen: none of 3 tags is left"},
	{name: "no tags at all", base: tag("v1"),
		change: func(s *scene) { s.candidate.Choice = policy.Choice{Reason: "the repository has no tags"} },
		action: ActionSkip, current: "v1", reason: "the repository has no tags, though v1 is in use; look at the"},
	{name: "a registry that failed", base: tag("v1"),
		change: func(s *scene) { s.candidate.Err = errors.New("ghcr.io answered 500") }, action: ActionError,
		current: "v1", reason: "ghcr.io answered 500"},
	{name: "an image that does not run", base: tag("v1"), winner: "v2",
		change: func(s *scene) { s.candidate.Spec.NotLive = "it does not run" }, action: ActionSkip,
		current: "v1", reason: "it does not run"},
	{name: "a broken Application", base: tag("v1"), winner: "v2",
		change: func(s *scene) { s.problem = "no source" }, action: ActionError, reason: "no source"},
	{name: "a broken image", base: tag("v1"), winner: "v2",
		change: func(s *scene) { s.candidate.Spec.Problems = []spec.Problem{{Expected: "no such strategy"}} },
		action: ActionError, reason: "no such strategy"},
	{name: "no kustomization", winner: "v2", action: ActionError, reason: "no such file; create it"},
	{name: "a file that cannot be read", base: "images: [\n", winner: "v2", action: ActionError,
		reason: "overlays/prod/kustomization.yaml on main: the file cannot be read as YAML"},
	{name: "a file that cannot be edited", base: entry(app, "  newTag: >-\n    v1\n"), winner: "v2",
		action: ActionError, current: "v1", candidate: "v2", reason: "write it on one line"},
}

func TestDecide(t *testing.T) {
	for _, c := range decisions {
		t.Run(c.name, c.check)
	}
}

func (c decision) check(t *testing.T) {
	s := newScene(c.base, c.winner)
	if c.change != nil {
		c.change(&s)
	}
	img, work, diffs := s.decide()
	if img.Action != c.action || img.Current != c.current || img.Candidate != c.candidate ||
		!strings.Contains(img.Reason, c.reason) || img.Reason == "" {
		t.Errorf("%s %q → %q: %s", img.Action, img.Current, img.Candidate, img.Reason)
	}
	if (work != nil) != (c.action == ActionUpdate) || len(diffs) != btoi(work != nil) {
		t.Fatalf("work %+v, diffs %v", work, diffs)
	}
	if work == nil {
		return
	}
	got, changes, err := work.Edit([]byte(c.base))
	if err != nil || string(got) != c.after || len(changes) != 1 ||
		changes[0].Old.String() != c.current || changes[0].New.String() != c.candidate {
		t.Errorf("edited to %q, %+v, %v", got, changes, err)
	}
}

func btoi(b bool) int {
	if b {
		return 1
	}
	return 0
}

// everyField is a rule with all fields, of which the label team decides.
func everyField(team string) DeliveryRule {
	return DeliveryRule{
		Path: "**", Application: "backend", Namespace: "argocd", Project: "default",
		Repository: "https://github.com/o/*", Labels: map[string]string{"team": team}, Use: "pull-request",
	}
}

// route is how a change is delivered.
type route struct {
	name                   string
	change                 func(s *scene)
	delivery, branch, head string
	action                 Action
	work                   string // the branch that is pushed to; empty: none
	proposed               bool
	reason                 string
}

var prod = []DeliveryRule{{Path: "**/overlays/prod*/**", Use: "pull-request"}, {Use: "commit"}}

var routes = []route{
	{name: "the default", change: func(*scene) {}, delivery: "commit", branch: "main", action: ActionUpdate,
		work: "main"},
	{name: "a rule by path", change: func(s *scene) { s.rules = prod }, delivery: "pull-request", branch: "main",
		head: "image-writeback/argocd/backend", action: ActionUpdate, work: "image-writeback/argocd/backend"},
	{name: "the annotation beats the rules",
		change: func(s *scene) { s.rules, s.target.Delivery = prod, "commit" }, delivery: "commit",
		branch: "main", action: ActionUpdate, work: "main"},
	{name: "the first rule wins", change: func(s *scene) {
		s.rules = []DeliveryRule{{Application: "back*", Use: "commit"}, prod[0]}
	}, delivery: "commit", branch: "main", action: ActionUpdate, work: "main"},
	{name: "all fields must match", change: func(s *scene) {
		s.rules = []DeliveryRule{everyField("y")}
	}, delivery: "commit", branch: "main", action: ActionUpdate, work: "main"},
	{name: "and here they do", change: func(s *scene) {
		s.rules = []DeliveryRule{everyField("x*")}
	}, delivery: "pull-request", branch: "main", head: "image-writeback/argocd/backend", action: ActionUpdate,
		work: "image-writeback/argocd/backend"},
	{name: "a write branch", change: func(s *scene) { s.target.WriteBranch = "staging" }, delivery: "commit",
		branch: "staging", action: ActionUpdate, work: "staging"},
	{name: "a write branch that has it",
		change: func(s *scene) { s.target.WriteBranch, s.head = "staging", tag("v2") }, delivery: "commit",
		branch: "staging", action: ActionUpToDate},
	{name: "a write branch is the head of a pull request",
		change: func(s *scene) { s.target.WriteBranch, s.rules = "release", prod }, delivery: "pull-request",
		branch: "main", head: "release", action: ActionUpdate, work: "release"},
	{name: "a pull request that waits", change: func(s *scene) { s.rules, s.head = prod, tag("v2") },
		delivery: "pull-request", branch: "main", head: "image-writeback/argocd/backend",
		action: ActionSkip, work: "image-writeback/argocd/backend", proposed: true,
		reason: "v2 waits on branch image-writeback/argocd/backend for its pull request to be merged"},
	{name: "a pull request for an older one", change: func(s *scene) { s.rules, s.head = prod, tag("v1.5") },
		delivery: "pull-request", branch: "main", head: "image-writeback/argocd/backend", action: ActionUpdate,
		work: "image-writeback/argocd/backend"},
	{name: "a left-over head does not matter to a commit", change: func(s *scene) { s.head = tag("v2") },
		delivery: "commit", branch: "main", action: ActionUpdate, work: "main"},
	{name: "no pull requests there", change: func(s *scene) { s.rules, s.pulls = prod, false },
		delivery: "pull-request", branch: "main", head: "image-writeback/argocd/backend", action: ActionError,
		reason: "o/r is not on GitHub or GitLab, or no credentials for it are configured"},
}

func TestDelivery(t *testing.T) {
	for _, c := range routes {
		t.Run(c.name, c.check)
	}
}

func (c route) check(t *testing.T) {
	s := newScene(tag("v1"), "v2")
	c.change(&s)
	img, work, _ := s.decide()
	if img.Delivery != c.delivery || img.Branch != c.branch || img.HeadBranch != c.head ||
		img.Action != c.action || !strings.Contains(img.Reason, c.reason) {
		t.Errorf("%+v", img)
	}
	pushed := ""
	if work != nil {
		if pushed = work.Write; pushed == "" {
			pushed = work.Base
		}
		if work.Proposed != c.proposed || (work.PullRequest != nil) != (c.delivery == "pull-request") {
			t.Errorf("work %+v", work)
		}
	}
	if pushed != c.work {
		t.Errorf("pushes to %q, want %q", pushed, c.work)
	}
}

// TestSeveralImages holds that one image which cannot be set does not keep the
// others of its Application from being set, in one edit.
func TestSeveralImages(t *testing.T) {
	file := "images:\n- name: a\n  newTag: v1\n- name: b\n  newTag: >-\n    v1\n- name: c\n  newTag: v1 # stays\n"
	c := newCase(file, chosen(ref("a"), "a", "v2"), chosen(ref("b"), "b", "v2"),
		chosen(ref("c"), "c", "v3"), chosen(ref("a"), "again", "v9"))
	d := Make([]*Case{c}, Settings{DefaultDelivery: "commit"}).Decisions[0]

	var actions, gates []string
	for _, img := range d.Application.Images {
		actions = append(actions, string(img.Action))
		gates = append(gates, img.Gate)
	}
	if got := strings.Join(actions, " "); got != "error error update error" {
		t.Errorf("actions %s", got)
	}
	if got := strings.Join(gates, " "); got != "conflict edit  conflict" {
		t.Errorf("gates %s", got)
	}
	if reason := d.Application.Images[3].Reason; !strings.Contains(reason,
		"a and again both set a in k.yaml, but to different versions (v2 and v9)") {
		t.Errorf("reason %s", reason)
	}

	got, changes, err := d.Work.Edit([]byte(file))
	want := "images:\n- name: a\n  newTag: v1\n- name: b\n  newTag: >-\n    v1\n- name: c\n  newTag: v3 # stays\n"
	if err != nil || string(got) != want || len(changes) != 1 {
		t.Errorf("%q, %+v, %v", got, changes, err)
	}
}

// newCase is an Application whose images are set in one kustomization.
func newCase(file string, images ...Candidate) *Case {
	return &Case{
		Application: spec.Application{Namespace: "argocd", Name: "backend"},
		Images:      images,
		Place: Place{
			Repository: "https://github.com/o/r", Format: manifest.Kustomization{},
			Base: File{Branch: "main", Path: "k.yaml", Data: []byte(file)},
		},
	}
}

// TestConflictsAmongApplications holds that Applications which share a file
// and want different versions of one image are refused, and others are not.
func TestConflictsAmongApplications(t *testing.T) {
	var cases []*Case
	add := func(name, repository, branch, version string) {
		c := newScene(entry(app, "  newTag: v1\n"), version).newCase()
		c.Application.Name = name
		c.Place.Repository, c.Place.Base.Branch = repository, branch
		cases = append(cases, c)
	}
	reasons := func() map[int]string {
		found := map[int]string{}
		for i, a := range Make(cases, Settings{DefaultDelivery: "commit"}).Applications {
			if a.Images[0].Gate == "conflict" {
				found[i] = a.Images[0].Reason
			}
		}

		return found
	}

	add("one", "r", "main", "v2")
	add("same", "r", "main", "v2")
	add("other-branch", "r", "dev", "v3")
	add("other-repository", "q", "main", "v4")
	if refused := reasons(); len(refused) != 0 {
		t.Errorf("refused %v", refused)
	}

	add("two", "r", "main", "v1")
	refused := reasons()
	if len(refused) != 3 || refused[0] == "" || refused[1] == "" || refused[4] == "" {
		t.Fatalf("refused %v", refused)
	}
	if got := refused[4]; !strings.Contains(got, "app of argocd/one and app of argocd/two both set "+app+
		" in overlays/prod/kustomization.yaml, but to different versions (v2 and v1)") {
		t.Errorf("reason %s", got)
	}
}

// TestImagesThatShareAValue holds that images which share one anchored value
// and want the same version are set together, though neither could be alone.
func TestImagesThatShareAValue(t *testing.T) {
	file := "images:\n- name: a\n  newTag: &release v1\n- name: b\n  newTag: *release\n"
	c := newCase(file, chosen(ref("a"), "a", "v2"), chosen(ref("b"), "b", "v2"))
	d := Make([]*Case{c}, Settings{DefaultDelivery: "commit"}).Decisions[0]
	images := d.Application.Images
	if d.Work == nil || images[0].Action != ActionUpdate || images[1].Action != ActionUpdate {
		t.Fatalf("images %+v", images)
	}

	got, changes, err := d.Work.Edit([]byte(file))
	want := "images:\n- name: a\n  newTag: &release v2\n- name: b\n  newTag: *release\n"
	if err != nil || string(got) != want || len(changes) != 2 {
		t.Errorf("%q, %+v, %v", got, changes, err)
	}
}

// TestAnErrorTakesNothingBack holds that what is proposed of an image stays,
// while that image cannot be decided and another one has something newer.
func TestAnErrorTakesNothingBack(t *testing.T) {
	base := "images:\n- name: a\n  newTag: v1\n- name: b\n  newTag: v1\n"
	head := "images:\n- name: a\n  newTag: v2\n- name: b\n  newTag: v2\n"
	for name, c := range map[string]struct {
		a        string // the newest of a
		proposed bool
		want     string
	}{
		"something newer": {"v3", false, "images:\n- name: a\n  newTag: v3\n- name: b\n  newTag: v2\n"},
		"nothing newer":   {"v2", true, head},
	} {
		failed := chosen(ref("b"), "b", "")
		failed.Err = errors.New("the registry is down")
		one := newCase(base, chosen(ref("a"), "a", c.a), failed)
		one.Application.Target.Delivery = spec.DeliverPullRequest
		one.Place.PullRequests, one.Place.HeadBranch, one.Place.HeadExists = true, "head", true
		one.Place.Head = &File{Branch: "head", Path: "k.yaml", Data: []byte(head)}

		d := Make([]*Case{one}, Settings{}).Decisions[0]
		work := d.Work
		if work == nil || work.Proposed != c.proposed || d.Application.Images[1].Action != ActionError {
			t.Fatalf("%s: %+v, %+v", name, work, d.Application.Images)
		}
		if got, changes, err := work.Edit([]byte(base)); err != nil || string(got) != c.want || len(changes) != 2 {
			t.Errorf("%s: %q, %+v, %v", name, got, changes, err)
		}
	}
}
