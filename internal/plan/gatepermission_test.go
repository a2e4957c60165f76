package plan

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/liverty-music/image-writeback/internal/giturl"
	"github.com/liverty-music/image-writeback/internal/permission"
	"github.com/liverty-music/image-writeback/internal/spec"
)

const deploy = "https://github.com/o/r"

// tenant is an Application of a project that deploys a folder, and wants a version
// in overlays/prod/kustomization.yaml.
func tenant(name, project, folder, version string, created int64) *Case {
	c := newScene(tag("v1"), version).newCase()
	app := &c.Application
	app.Name, app.Project, app.Created = name, project, time.Unix(created, 0)
	app.Target.Repository = deploy
	app.Sources = []spec.Source{{Repository: deploy, Path: folder}}
	c.Place.Default, c.Place.Tracked = "main", []string{"main"}
	c.Place.HeadBranch = permission.HeadPrefix + "argocd/" + name

	return c
}

// decideAll decides about cases whose Applications share a territory.
func decideAll(s Settings, cases ...*Case) []*Decision {
	var apps []spec.Application
	for _, c := range cases {
		apps = append(apps, c.Application)
	}
	territory := permission.NewTerritory(apps)
	for _, c := range cases {
		c.Territory = territory
	}

	return Make(cases, s).Decisions
}

func (d *Decision) check(t *testing.T, action Action, gate, reason string) {
	t.Helper()
	got := d.Application.Images[0]
	if got.Action != action || got.Gate != gate || !strings.Contains(got.Reason, reason) {
		t.Errorf("%s: %s by %q: %s\nwant %s by %q: %s", d.Application.Name, got.Action, got.Gate, got.Reason,
			action, gate, reason)
	}
}

// TestAStrangerDoesNotStopTheOwner holds that an Application which may not write a
// file, or does not own it, cannot keep the owner of the file from writing it.
func TestAStrangerDoesNotStopTheOwner(t *testing.T) {
	commit := Settings{DefaultDelivery: spec.DeliverCommit}

	all := decideAll(commit, tenant("owner", "a", "overlays/prod", "v2", 2),
		tenant("stranger", "b", "teams/b", "v3", 1))
	all[0].check(t, ActionUpdate, "", "highest")
	all[1].check(t, ActionError, "permission", "below the source path of an Application of another project (a)")

	all = decideAll(commit, tenant("owner", "a", "overlays/prod", "v2", 2),
		tenant("stranger", "b", "overlays/prod", "v3", 3))
	all[0].check(t, ActionUpdate, "", "highest")
	all[1].check(t, ActionError, "conflict", "the entry belongs to Application argocd/owner")

	all = decideAll(commit, tenant("owner", "a", "overlays/prod", "v2", 2), tenant("sibling", "a", "base", "v3", 1))
	all[0].check(t, ActionUpdate, "", "highest")
	all[1].check(t, ActionError, "conflict", "the entry belongs to Application argocd/owner")

	all = decideAll(commit, tenant("one", "a", "overlays/prod", "v2", 2), tenant("two", "a", "overlays/prod", "v3", 1))
	all[0].check(t, ActionError, "conflict", "but to different versions")
	all[1].check(t, ActionError, "conflict", "but to different versions")
}

// TestPullRequestsAreSharedWithinOneProject holds whose a head is that Applications
// of several projects name.
func TestPullRequestsAreSharedWithinOneProject(t *testing.T) {
	propose := Settings{DefaultDelivery: spec.DeliverPullRequest}
	shared := func(c *Case, named bool) *Case {
		c.Place.HeadBranch = "release"
		if named {
			c.Application.Target.WriteBranch, c.Place.Named = "release", true
		}
		c.Place.Base.Path = c.Application.Name + "/kustomization.yaml"
		return c
	}

	older := shared(tenant("older", "a", "older", "v2", 1), true)
	newer := shared(tenant("newer", "b", "newer", "v2", 2), true)
	all := decideAll(propose, newer, older)
	all[0].check(t, ActionError, "permission", "belongs to Application argocd/older of another project (a)")
	all[1].check(t, ActionUpdate, "", "highest")

	named := shared(tenant("named", "a", "named", "v2", 1), true)
	byRule := shared(tenant("rule", "b", "rule", "v2", 2), false)
	all = decideAll(propose, named, byRule)
	all[0].check(t, ActionError, "permission", "belongs to Application argocd/rule of another project (b)")
	all[1].check(t, ActionUpdate, "", "highest")

	one, two := shared(tenant("one", "a", "one", "v2", 1), true), shared(tenant("two", "a", "two", "v2", 2), true)
	for _, d := range decideAll(propose, one, two) {
		d.check(t, ActionUpdate, "", "highest")
	}

	// What the rules refuse owns no branch.
	refused := shared(tenant("refused", "a", "refused", "v2", 1), true)
	refused.Place.Base.Path = ".github/workflows/x.yaml"
	all = decideAll(propose, refused, newer)
	all[0].check(t, ActionError, "permission", "belongs to git or its forge")
	all[1].check(t, ActionUpdate, "", "highest")
}

// TestARefusedApplicationKeepsNobodyWaiting holds that a pull request is built
// without what the rules forbid.
func TestARefusedApplicationKeepsNobodyWaiting(t *testing.T) {
	victim, refused := tenant("victim", "a", "overlays/prod", "v2", 1), tenant("stranger", "a", "other", "v3", 2)
	for _, c := range []*Case{victim, refused} {
		c.Place.HeadBranch, c.Place.HeadExists = "release", true
		c.Place.Head = &File{Branch: "release", Path: c.Place.Base.Path, Data: []byte(tag("v1.5"))}
	}
	refused.Refused = errors.New("the rules forbid it")

	all := decideAll(Settings{DefaultDelivery: spec.DeliverPullRequest}, victim, refused)
	all[0].check(t, ActionUpdate, "", "highest")
	all[1].check(t, ActionError, "permission", "the rules forbid it")

	forbidden := tenant("victim", "a", "overlays/prod", "v2", 1)
	forbidden.Images[0].Err = &permission.Refusal{Rule: "images.allow", Reason: "no", Remedy: "ask"}
	all = decideAll(Settings{DefaultDelivery: spec.DeliverCommit}, forbidden)
	all[0].check(t, ActionError, "permission", "no; ask")
}

// TestEnforcedRules holds that annotations can ask for more than an enforced rule,
// and not for less.
func TestEnforcedRules(t *testing.T) {
	commit, pulls := DeliveryRule{Use: "commit"}, DeliveryRule{Use: "pull-request"}
	mustPull := DeliveryRule{Use: "pull-request", Enforce: true}
	mustCommit := DeliveryRule{Use: "commit", Enforce: true}
	inDev, inProd := mustPull, mustPull
	inDev.Path, inProd.Path = "dev/**", "**/prod/**"
	for name, c := range map[string]struct {
		rules  []DeliveryRule
		asked  string
		want   string
		advice bool
	}{
		"less is not given":        {[]DeliveryRule{mustPull}, "commit", "pull-request", true},
		"without an annotation":    {[]DeliveryRule{mustPull}, "", "pull-request", false},
		"more is given":            {[]DeliveryRule{mustCommit}, "pull-request", "pull-request", false},
		"a rule without enforce":   {[]DeliveryRule{pulls}, "commit", "commit", false},
		"another path":             {[]DeliveryRule{inDev}, "commit", "commit", false},
		"the first rule decides":   {[]DeliveryRule{commit, mustPull}, "", "commit", false},
		"the path of the overlays": {[]DeliveryRule{inProd}, "commit", "pull-request", true},
	} {
		t.Run(name, func(t *testing.T) {
			one := tenant("app", "a", "overlays/prod", "v2", 1)
			one.Application.Target.Delivery = c.asked
			d := decideAll(Settings{DefaultDelivery: "commit", Rules: c.rules}, one)[0]
			told := strings.Contains(strings.Join(d.Application.Problems, "\n"),
				"rule 1 of git.delivery in config.yaml enforces pull-request")
			if got := d.Application.Images[0].Delivery; got != c.want || told != c.advice {
				t.Errorf("%s, told %t; want %s, %t", got, told, c.want, c.advice)
			}
		})
	}
}

// TestAProjectThatDemandsSignatures holds that the plan tells, before a commit is made,
// that Argo CD would not sync it.
func TestAProjectThatDemandsSignatures(t *testing.T) {
	s := Settings{DefaultDelivery: spec.DeliverCommit, Permission: permission.Rules{Projects: &permission.Projects{}}}
	c := tenant("owner", "a", "overlays/prod", "v2", 1)
	c.Application.Bounds = spec.Bounds{Known: true, Exists: true, Project: spec.Project{
		SourceRepos: []string{"*"},
		Signatures: []spec.SignaturePolicy{{
			Repositories: []string{"*"}, Mode: spec.VerifyHead, Keys: []string{"4AEE18F83AFDEB23"},
		}},
	}}

	told := decideAll(s, c)[0]
	if problems := strings.Join(told.Application.Problems, ""); !strings.Contains(problems, "Argo CD would not sync") {
		t.Errorf("told: %q", problems)
	}
	told.check(t, ActionUpdate, "", "highest") // it is advice

	s.Permission.Signing = func(giturl.Address) permission.Signing {
		return permission.Signing{Method: "openpgp", KeyID: "4AEE18F83AFDEB23"}
	}
	if problems := decideAll(s, c)[0].Application.Problems; len(problems) > 0 {
		t.Errorf("told: %q", problems)
	}
}
