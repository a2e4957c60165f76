package writeback

import (
	"fmt"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/liverty-music/image-writeback/internal/sandbox"
	sandboxregistry "github.com/liverty-music/image-writeback/internal/sandbox/registry"
	"github.com/liverty-music/image-writeback/test/harness"
)

// registryFaults are what a registry may answer, by repository.
var registryFaults = map[string]http.HandlerFunc{
	"401":     func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusUnauthorized) },
	"404":     func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNotFound) },
	"429":     func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusTooManyRequests) },
	"500":     func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusInternalServerError) },
	"garbage": func(w http.ResponseWriter, _ *http.Request) { _, _ = fmt.Fprint(w, "<html>") },
	"never":   func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() },
}

// failByRepository answers requests for the tags of a repository that has a fault.
func failByRepository(w http.ResponseWriter, r *http.Request) bool {
	for name, fault := range registryFaults {
		if strings.HasPrefix(r.URL.Path, "/v2/p/"+name+"/tags") {
			fault(w, r)
			return true
		}
	}

	return false
}

// badFiles are the folders of Applications.
func badFiles(host string) map[string]string {
	kustomization := "images:\n- name: " + host + "/p/app\n  newTag: v1.0.0\n"

	return map[string]string{
		"good/kustomization.yaml":     kustomization,
		"broken/kustomization.yaml":   "images: [\n",
		"odd/kustomization.yaml":      "images: {a: b}\n",
		"linked":                      "link:good",
		"linkfile/kustomization.yaml": "link:../good/kustomization.yaml",
		"empty/deployment.yaml":       "kind: Deployment\n",
		"chart/Chart.yaml":            "name: c\n",
		"chart/values.yaml":           "replicas: 2\n",
	}
}

// badRow is an Application with something that is wrong, and a part of the message.
type badRow struct{ path, annotations, want string }

// badRows are Applications by name. good are annotations that are right, and
// missing is a repository that is not there.
func badRows(good, missing string) map[string]badRow {
	return map[string]badRow{
		"strategy": {"good", good + "\napp.update-strategy: newest",
			`app.update-strategy = "newest": unknown update strategy`},
		"expression": {"good", good + "\napp.allow-tags: 'regexp:(['", "is not a valid Go regular expression"},
		"digest":     {"good", good + "\napp.update-strategy: digest", "needs the tag to follow"},
		"missing":    {"empty", good, "there is no such file: empty/kustomization.yaml; create the kustomization"},
		"key": {"chart", good + "\nwrite-back-target: helmvalues\napp.helm.image-spec: images[0]",
			"images[0]: there is no list images"},
		"template":   {"good", good + "\ngit-branch: 'main:{{index .Images 7}}'", "the template cannot be used"},
		"nofolder":   {"none", good, "there is no such file: none"},
		"dots":       {"good", good + "\nwrite-back-target: kustomization:../../etc", "leads out of the repository"},
		"link":       {"linked", good, "a symbolic link is not followed: linked"},
		"linkfile":   {"linkfile", good, "a symbolic link is not followed: linkfile/kustomization.yaml"},
		"unparsable": {"broken", good, "the file cannot be read as YAML"},
		"odd":        {"odd", good, "images: expected a list"},
		"branch":     {"good", good + "\ngit-branch: none", "there is no such branch: none"},
		"norepo":     {"good", good + "\ngit-repository: " + missing, "the repository was not found"},
		"pr": {"good", good + "\nwrite-back-delivery: pull-request",
			"set github.app, github.tokenFile or gitlab.tokenFile"},
	}
}

// TestBadInput gives each Application something else that is wrong. Each gets
// one clear message, the status is 1, and the Application that is right is done.
func TestBadInput(t *testing.T) {
	t.Parallel() // it waits for a registry that never answers
	git := harness.NewGit(t)
	registry := harness.NewRegistry(t)
	registry.Push("p/app", sandboxregistry.Build{Created: time.Now()}, "v1.1.0")
	registry.Fault = failByRepository
	files := badFiles(registry.Host())
	if err := git.Create("o/r", true, files); err != nil {
		t.Fatal(err)
	}

	good := "image-list: app=" + registry.Host() + "/p/app"
	rows := badRows(good, git.URLOf("o/none"))
	for name, want := range map[string]string{"401": "set credentials for", "404": "check the image's name",
		"429": "limits requests", "500": "has trouble", "garbage": "not a registry's answer",
		"never": "did not answer within"} {
		rows["r"+name] = badRow{"good", "image-list: app=" + registry.Host() + "/p/" + name, want}
	}
	apps := harness.Manifest("right", git.URLOf("o/r"), "good", good)
	for name, r := range rows {
		apps += harness.Manifest("bad-"+strings.ToLower(name), git.URLOf("o/r"), r.path, r.annotations)
	}

	dir := t.TempDir()
	harness.Write(t, filepath.Join(dir, "apps", "all.yaml"), apps)
	harness.Write(t, filepath.Join(dir, "apps", "garbage.yaml"), "kind: [")
	config := harness.Write(t, filepath.Join(dir, "config.yaml"), sandbox.Network+
		"registries: [{prefix: "+registry.Host()+", api_url: "+registry.URL+", limit: 1000}]\n")
	begin := time.Now()
	got := harness.Run(t, "run", "--once", "--config", config, "--applications",
		filepath.Join(dir, "apps")).MustEnd(t, 1)
	t.Logf("the cycle took %s", time.Since(begin).Round(time.Second))
	lines := strings.Split(got.Stderr, "\n")
	for name, r := range rows {
		own := errorsOf("argocd/bad-"+strings.ToLower(name), lines)
		if len(own) != 1 || !strings.Contains(strings.ReplaceAll(own[0], `\"`, `"`), r.want) {
			t.Errorf("%s: %d messages, want one with %q:\n%s", name, len(own), r.want, strings.Join(own, "\n"))
		}
	}

	if !strings.Contains(got.Stderr, "garbage.yaml: the file cannot be read: ") {
		t.Errorf("the file that cannot be parsed is not named:\n%s", got.Stderr)
	}

	if subjects := harness.Commits(t, git, "o/r"); len(subjects) != 2 ||
		subjects[0] != "build: automatic update of right" {
		t.Errorf("commits %q", subjects)
	}
}

// errorsOf are the lines of a log that are errors of an Application.
func errorsOf(application string, lines []string) (own []string) {
	for _, line := range lines {
		if strings.Contains(line, "application="+application+" ") && strings.Contains(line, "level=ERROR") {
			own = append(own, line)
		}
	}

	return own
}

// TestADyingRegistryHoldsNobodyUp has forty repositories at a registry that
// never answers, cannot be reached, or always fails: the first ones take what
// they may, the others cost one request or none, and an image of another
// registry is updated in the same cycle.
func TestADyingRegistryHoldsNobodyUp(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		fault    func(w http.ResponseWriter, r *http.Request) bool
		requests int // at most
		said     string
		times    int // at least
	}{
		"never answers": {func(_ http.ResponseWriter, r *http.Request) bool { <-r.Context().Done(); return true },
			16 * 2, "did not answer for another image of this cycle", 40 - 16},
		"is cut off": {func(http.ResponseWriter, *http.Request) bool { panic(http.ErrAbortHandler) }, 16 * 4,
			"did not answer for another image of this cycle", 40 - 16},
		"always fails": {func(w http.ResponseWriter, _ *http.Request) bool {
			w.WriteHeader(
				http.StatusBadGateway)
			return true
		}, 16*4 + 24, "has trouble", 40},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			git, alive, args := fleet(t, 1, 1)
			dying := harness.NewRegistry(t)
			dying.Fault = c.fault
			var apps strings.Builder
			for i := range 40 {
				apps.WriteString(harness.Manifest(fmt.Sprintf("dying-%d", i), git.URLOf("o/fleet"),
					"apps/app-000/overlays/dev", fmt.Sprintf("image-list: app=%s/p/app%d", dying.Host(), i)))
			}
			dir := t.TempDir()
			config := harness.Write(t, filepath.Join(dir, "config.yaml"),
				fmt.Sprintf(sandbox.Network+
					"registries: [{prefix: %q, api_url: %q, limit: 1000}, {prefix: %q, api_url: %q}]\n",
					dying.Host(), dying.URL, alive.Host(), alive.URL))
			more := harness.Write(t, filepath.Join(dir, "apps.yaml"), apps.String())
			got := harness.Run(t, append(args, "--applications", more, "--config", config)...).MustEnd(t, 1)
			if n := strings.Count(got.Stderr, c.said); n < c.times {
				t.Errorf("%d messages with %q, want at least %d:\n%s", n, c.said, c.times, got.Stderr)
			}
			if n := dying.Count("ping"); n > c.requests {
				t.Errorf("%d requests, want at most %d", n, c.requests)
			}
			if subjects := harness.Commits(t, git, "o/fleet"); len(subjects) != 2 || alive.Count("list") != 1 {
				t.Errorf("commits %q", subjects)
			}
		})
	}
}
