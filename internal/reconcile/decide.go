package reconcile

import (
	"errors"
	"fmt"
	"strings"

	"github.com/bmatcuk/doublestar/v4"

	"github.com/liverty-music/image-writeback/internal/gitwrite"
	"github.com/liverty-music/image-writeback/internal/manifest"
	"github.com/liverty-music/image-writeback/internal/policy"
	"github.com/liverty-music/image-writeback/internal/spec"
)

// Settings are what config.yaml says of decisions.
type Settings struct {
	DefaultDelivery string
	Rules           []DeliveryRule
	PullRequests    PullRequests
}

// DeliveryRule is one rule of git.delivery.rules: all globs that are not empty
// must match.
type DeliveryRule struct {
	Path, Application, Namespace, Project, Repository string
	Labels                                            map[string]string
	Use                                               string
}

// answer is what the registry and the policy said of one update.
type answer struct {
	choice policy.Choice
	err    error
}

// place is what the repository said of one Application's file.
type place struct {
	repository string          // the URL without credentials
	format     manifest.Format // nil where baseErr kept it from being known
	base       gitwrite.File
	baseErr    error
	created    bool // the file may not exist yet, on base or on head, and is to be made
	// inApplication tells that base is a part of the Application itself.
	inApplication bool
	// head is the file on the branch to write to, where that is another one
	// and exists.
	head       *gitwrite.File
	headBranch string
	headExists bool
	writes     bool // git-branch names the head branch
	pulls      bool // pull requests can be opened there
	delivery   string
	err        error // the repository could not be read at all
}

// decide makes the plan of one Application from what is known. It is pure.
// refused are images, by index, that may not be written, with the reason.
func decide(app spec.Application, answers []answer, at place, settings Settings, refused map[int]string) (Application, *gitwrite.Work, []FileDiff) {
	out := Application{Namespace: app.Namespace, Name: app.Name, uid: app.UID, Problems: []string{}, Images: []Image{}}
	for _, p := range app.Problems {
		out.Problems = append(out.Problems, p.Error())
		out.broken = out.broken || !p.Advice
	}
	if at.delivery = app.Target.Delivery; at.delivery == "" && !at.inApplication {
		at.delivery = settings.delivery(app, at.repository, at.base.Path)
	}
	for i, u := range app.Images {
		out.Images = append(out.Images, decideImage(app, u, answers[i], at)) //nolint:gosec // answers are parallel to Updates
	}
	for i, reason := range refused {
		out.Images[i].Action, out.Images[i].Reason = ActionError, reason
	}
	deliver(app, &out, at)
	work, diff := edit(app, &out, at, settings)
	return out, work, diff
}

// decideImage compares what the policy chose with what git holds.
func decideImage(app spec.Application, u spec.Image, a answer, at place) Image {
	i := Image{Alias: u.Alias, Image: u.Ref.Name, Strategy: string(u.Policy.Strategy), Constraint: u.Policy.Constraint,
		Method: app.Target.Method, Repository: at.repository, choice: a.choice, update: u}
	fail := func(reason string) Image {
		i.Action, i.Reason = ActionError, reason
		return i
	}
	if broken := app.Broken(); len(broken) > 0 {
		return fail(broken[0].Error())
	}
	if len(u.Problems) > 0 {
		return fail(u.Problems[0].Error())
	}
	file, err := at.current()
	i.Branch, i.File = at.base.Branch, file.Path
	want := imageEdit{entry: entryOf(u), alias: i.Label(), format: at.format}
	if err == nil {
		if want.saw, err = at.format.Read(file.Data, want.entry); err != nil {
			err = fmt.Errorf("%s: %w; correct the file", named(file), err)
		}
	}
	want.old = u.Live.Version
	if want.saw.Found {
		want.old = want.saw.Version
	}
	i.Current = want.old.String()
	switch {
	case u.NotLive != "":
		i.Action, i.Reason = ActionSkip, u.NotLive
		return i
	case err != nil:
		return fail(err.Error())
	case a.err != nil:
		return fail(a.err.Error())
	case !a.choice.Found:
		i.Action, i.Reason = ActionSkip, "no tag was chosen: "+a.choice.Reason
		return i
	}
	want.entry.Tag = a.choice.Tag.Name
	if u.Policy.Strategy == policy.Digest {
		want.entry.Digest = a.choice.Tag.Digest
	}
	i.Candidate, i.Action, i.Reason, i.edit = want.entry.Version.String(), ActionUpToDate, a.choice.Reason, &want
	if due(u, want) {
		i.Action = ActionUpdate
		switch {
		case at.created && len(file.Data) == 0:
			i.Reason += fmt.Sprintf("; %s does not exist yet and is made", file.Path)
		case want.saw.Missing != "":
			i.Reason += fmt.Sprintf("; %s has no %s, which is added", file.Path, want.saw.Missing)
		}
	}
	return i
}

// named is a file with its branch, for messages.
func named(file gitwrite.File) string {
	if file.Branch == "" {
		return file.Path
	}
	return file.Path + " on " + file.Branch
}

func entryOf(u spec.Image) manifest.Entry {
	return manifest.Entry{Image: u.Ref.Name, KustomizeName: u.KustomizeName, HelmName: u.HelmName, HelmTag: u.HelmTag, HelmSpec: u.HelmSpec}
}

// due compares with what the file says, or with what runs where it says nothing.
func due(u spec.Image, want imageEdit) bool {
	saw := want.saw
	if !saw.Found {
		saw.Version = u.Live.Version
	}
	if u.Policy.Strategy == policy.Digest {
		return saw.Tag != want.entry.Tag && saw.Found || saw.Digest != want.entry.Digest
	}
	return saw.Tag != want.entry.Tag
}

// current is the file whose content counts, with an error that says what to do.
func (p place) current() (gitwrite.File, error) {
	if p.err != nil {
		return gitwrite.File{}, p.err
	}
	if p.head != nil && p.writes && p.delivery != spec.DeliverPullRequest {
		return *p.head, nil
	}
	err := p.baseErr
	switch {
	case errors.Is(err, gitwrite.ErrNoBranch):
		err = fmt.Errorf("repository %s: %w; name a branch in %sgit-branch or spec.source.targetRevision", p.repository, err, spec.Prefix)
	case errors.Is(err, gitwrite.ErrNoFile):
		err = fmt.Errorf("repository %s, branch %s: %w%s; create the kustomization, or name its folder in %swrite-back-target: kustomization:FOLDER (for Helm: helmvalues:FILE)", p.repository, p.base.Branch, err, has(p.base.Others), spec.Prefix)
	case err != nil:
		err = fmt.Errorf("repository %s, branch %s: %w", p.repository, p.base.Branch, err)
	}
	return p.base, err
}

func has(names []string) string {
	if len(names) == 0 {
		return ""
	}
	shown := strings.Join(names[:min(len(names), 5)], ", ")
	if len(names) > 5 {
		shown += ", …"
	}
	return " (the folder has " + shown + ")"
}

// deliver fills in how and by which branch changes reach the base.
func deliver(app spec.Application, out *Application, at place) {
	if at.inApplication {
		return
	}
	for i := range out.Images {
		img := &out.Images[i]
		img.Delivery = at.delivery
		if at.delivery != spec.DeliverPullRequest {
			if app.Target.WriteBranch != "" {
				img.Branch = app.Target.WriteBranch
			}
			continue
		}
		img.HeadBranch = at.headBranch
		if img.Action == ActionUpdate && !at.pulls {
			img.Action = ActionError
			img.Reason = fmt.Sprintf("a pull request is asked for, but %s is not at GitHub or GitLab, or nothing to sign in with is configured; set github.app, github.tokenFile or gitlab.tokenFile in config.yaml, or annotate %swrite-back-delivery: commit", at.repository, spec.Prefix)
		}
	}
}

// delivery is that of the first rule that matches, else the default.
func (s Settings) delivery(app spec.Application, repository, file string) string {
	for _, rule := range s.Rules {
		if rule.matches(app, repository, file) {
			return rule.Use
		}
	}
	return s.DefaultDelivery
}

func (r DeliveryRule) matches(app spec.Application, repository, file string) bool {
	for _, pair := range [][2]string{{r.Path, file}, {r.Application, app.Name}, {r.Namespace, app.Namespace}, {r.Project, app.Project}, {r.Repository, repository}} {
		// config has seen to it that globs are valid.
		if ok, _ := doublestar.Match(pair[0], pair[1]); pair[0] != "" && !ok {
			return false
		}
	}
	for key, value := range r.Labels {
		if ok, _ := doublestar.Match(value, app.Labels[key]); !ok {
			return false
		}
	}
	return true
}
