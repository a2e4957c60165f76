package tenants

import (
	"context"
	"fmt"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/liverty-music/image-writeback/internal/sandbox"
	"github.com/liverty-music/image-writeback/internal/sandbox/git"
	"github.com/liverty-music/image-writeback/internal/sandbox/registry"
	"github.com/liverty-music/image-writeback/test/harness"
)

// slowWorld has a registry and a git server whose answers about some images and
// repositories, of which the names begin with "slow", can be held back; those of a
// repository with "slow-push" only to pushes.
type slowWorld struct {
	t        *testing.T
	registry *registry.Server
	git      *git.Server
	release  chan struct{} // closed: they answer
	held     atomic.Int64  // requests that are held back

	applications strings.Builder
}

func newSlowWorld(t *testing.T) *slowWorld {
	t.Helper()
	w := &slowWorld{t: t, registry: harness.NewRegistry(t), git: harness.NewGit(t), release: make(chan struct{})}
	hold := func(_ http.ResponseWriter, r *http.Request) bool {
		onlyPushes := strings.Contains(r.URL.Path, "/slow-push") && !strings.HasSuffix(r.URL.Path, "/git-receive-pack")
		if !strings.Contains(r.URL.Path, "/slow") || onlyPushes {
			return false
		}
		w.held.Add(1)
		defer w.held.Add(-1)
		select {
		case <-w.release:
		case <-r.Context().Done():
		}

		return false
	}
	w.registry.Fault, w.git.Fault = hold, hold

	return w
}

// application adds an Application with images, and its repository.
func (w *slowWorld) application(name, repository string, images ...string) {
	w.t.Helper()
	var list, kustomization strings.Builder
	kustomization.WriteString("images:\n")
	for i, image := range images {
		w.announce(image, "1.0.0")
		w.announce(image, "1.1.0")
		fmt.Fprintf(&list, "a%d=%s/%s ", i, w.registry.Host(), image)
		fmt.Fprintf(&kustomization, "- name: %s/%s\n  newTag: 1.0.0\n", w.registry.Host(), image)
	}
	if err := w.git.Create(repository, true, map[string]string{
		"app/kustomization.yaml": kustomization.String(),
	}); err != nil {
		w.t.Fatal(err)
	}
	w.applications.WriteString(harness.Manifest(name, w.git.URLOf(repository), "app",
		"image-list: "+strings.Join(strings.Fields(list.String()), ",")+"\nforce-update: \"true\"\n"))
}

// flags write the files of the world, and name them.
func (w *slowWorld) flags(config string) (text string, flags []string) {
	dir := w.t.TempDir()
	applications := harness.Write(w.t, filepath.Join(dir, "applications.yaml"), w.applications.String())
	text = sandbox.Network + "web: {listen: \"\"}\ninterval: 1h\nregistries:\n- {prefix: " + w.registry.Host() +
		", api_url: \"http://" + w.registry.Host() + "\"}\n" + config

	return text, []string{"--applications", applications}
}

// announce adds a tag to an image.
func (w *slowWorld) announce(image, tag string) {
	w.registry.Announce(image, tag, fmt.Sprintf("sha256:%064s", strings.ReplaceAll(tag, ".", "")), time.Now())
}

// changed waits until the newest commit of a repository is one of ours.
func (w *slowWorld) changed(repository string) {
	w.t.Helper()
	harness.Await(w.t, "a commit in "+repository, func() bool {
		return len(harness.Commits(w.t, w.git, repository)) > 1
	})
}

// TestSlowAnswers holds back the answers about the images of one tenant, at the
// registry and the git server of everybody. The update of another one lands all the
// same; those of the slow one do as soon as the answers are there, long before the
// next cycle is due.
func TestSlowAnswers(t *testing.T) {
	w := newSlowWorld(t)
	var images []string
	for i := range 40 {
		images = append(images, fmt.Sprintf("slow/image-%d", i))
	}
	w.application("slow", "o/one", images...)
	w.application("slow-git", "o/slow-two", "other/image")
	w.application("victim", "o/victim", "victim/image")
	config, flags := w.flags("")
	service := harness.Serve(t, config, flags...)

	w.changed("o/victim")
	if n := len(harness.Commits(t, w.git, "o/one")); n != 1 {
		t.Errorf("%d commits of the slow one, whose images are not known", n)
	}
	service.Says("waits for what "+w.registry.Host()+" answers about "+w.registry.Host()+"/slow/image-0;", 1)
	service.Says("waits for the files of "+w.git.URLOf("o/slow-two"), 1)
	// Five questions, each of which may just be asked again, and the repository.
	if held := w.held.Load(); held > 11 {
		t.Errorf("%d requests of one Application were under way at the registry of all", held)
	}

	close(w.release)
	w.changed("o/slow-two")
	harness.Await(t, "all 40 images", func() bool {
		return strings.Count(harness.Show(t, w.git, "o/one", "app/kustomization.yaml"), "1.1.0") == 40
	})
	if n := strings.Count(service.Log.String(), "level=ERROR"); n > 0 {
		t.Errorf("%d errors", n)
	}
}

// TestLargeListsDoNotWaitForOneAnother has more large lists than slots, of which only some
// are in memory at a time, with policies that need more than the list.
func TestLargeListsDoNotWaitForOneAnother(t *testing.T) {
	w := newSlowWorld(t)
	t.Cleanup(func() { close(w.release) })
	w.registry.Plain, w.registry.PageSize = true, 10_000
	var images []string
	for i := range 12 {
		image := fmt.Sprintf("large/image-%d", i)
		for tag := range 5_500 {
			w.announce(image, fmt.Sprintf("x%d", tag))
		}
		images = append(images, image)
	}
	w.application("large", "o/large", images...)
	for _, image := range images {
		w.registry.Push(image, registry.Build{Created: time.Now()}, "1.0.0")
		w.registry.Push(image, registry.Build{Created: time.Now().Add(time.Minute)}, "1.1.0")
	}
	policies := "    argocd-image-updater.argoproj.io/update-strategy: newest-build\n" +
		"    argocd-image-updater.argoproj.io/allow-tags: regexp:^1\n"
	text := strings.Replace(w.applications.String(), "  annotations:\n", "  annotations:\n"+policies, 1)
	w.applications.Reset()
	w.applications.WriteString(text)
	config, flags := w.flags("limits: {decisionTime: 30s}\n")
	config = strings.Replace(config, "api_url:", "limit: 8, api_url:", 1)
	file := harness.Write(t, filepath.Join(t.TempDir(), "config.yaml"), config)

	harness.Run(t, slices.Concat([]string{"run", "--once", "--config", file}, flags)...).MustEnd(t, 0)
	if n := strings.Count(harness.Show(t, w.git, "o/large", "app/kustomization.yaml"), "1.1.0"); n != 12 {
		t.Errorf("%d of 12 images", n)
	}
}

// TestAFileThatIsWantedLater adds an Application while the repository that it shares is
// still being read for another one: its file is read after that, and nothing is decided
// without it.
func TestAFileThatIsWantedLater(t *testing.T) {
	w := newSlowWorld(t)
	files := map[string]string{}
	for _, name := range []string{"a", "b"} {
		w.announce(name+"/image", "1.0.0")
		w.announce(name+"/image", "1.1.0")
		files[name+"/kustomization.yaml"] = "images:\n- name: " + w.registry.Host() + "/" + name +
			"/image\n  newTag: 1.0.0\n"
	}
	if err := w.git.Create("o/slow-shared", true, files); err != nil {
		t.Fatal(err)
	}
	application := func(name string) string {
		return harness.Manifest(name, w.git.URLOf("o/slow-shared"), name,
			"image-list: a="+w.registry.Host()+"/"+name+"/image\nforce-update: \"true\"\n")
	}
	w.applications.WriteString(application("a"))
	config, flags := w.flags("")
	service := harness.Serve(t, strings.Replace(config, "interval: 1h", "interval: 300ms", 1), flags...)
	service.Says("waits for the files of", 1)

	w.application("other", "o/other", "slow/image") // it keeps the next cycle waiting
	w.applications.WriteString(application("b"))
	harness.Write(t, flags[1], w.applications.String())
	harness.Await(t, "the next cycle", func() bool { return w.held.Load() > 1 })
	close(w.release)
	harness.Await(t, "both files", func() bool {
		return strings.Contains(harness.Show(t, w.git, "o/slow-shared", "a/kustomization.yaml"), "1.1.0") &&
			strings.Contains(harness.Show(t, w.git, "o/slow-shared", "b/kustomization.yaml"), "1.1.0")
	})
	if n := strings.Count(service.Log.String(), "level=ERROR"); n > 0 {
		t.Errorf("%d errors", n)
	}
}

// TestASlowPolicy holds back what only a stranger's policy needs to know about the image
// of others. Their updates land all the same: one needs nothing but the list of tags, and
// one other manifests.
func TestASlowPolicy(t *testing.T) {
	w := newSlowWorld(t)
	w.registry.Plain = true
	for minute, tag := range []string{"1.0.0", "1.1.0", "slow-1"} {
		built := time.Now().Add(time.Duration(minute) * time.Minute)
		w.registry.Push("shared/image", registry.Build{Created: built}, tag)
	}
	add := func(name, annotations string) {
		if err := w.git.Create("o/"+name, true, map[string]string{"app/kustomization.yaml": "images:\n- name: " +
			w.registry.Host() + "/shared/image\n  newTag: 1.0.0\n"}); err != nil {
			t.Fatal(err)
		}
		manifest := harness.Manifest(name, w.git.URLOf("o/"+name), "app",
			"image-list: a="+w.registry.Host()+"/shared/image\nforce-update: \"true\"\n"+annotations)
		w.applications.WriteString(strings.Replace(manifest, "spec:\n", "spec:\n  project: "+name+"\n", 1))
	}
	add("stranger", "a.update-strategy: newest-build\n")
	add("victim", "a.update-strategy: semver\n")
	add("other", "a.update-strategy: newest-build\na.allow-tags: regexp:^1\n")
	config, flags := w.flags("")
	service := harness.Serve(t, config, flags...)

	w.changed("o/victim")
	w.changed("o/other")
	service.Says("application=argocd/stranger", 1)
	if n := len(harness.Commits(t, w.git, "o/stranger")); n != 1 {
		t.Errorf("%d commits of the stranger", n)
	}
	close(w.release)
	w.changed("o/stranger")
}

// TestASlowPush holds back the answer to one tenant's push. The next update of another
// one lands all the same. What has become of the push is told once it has ended, and
// nothing is pushed twice.
func TestASlowPush(t *testing.T) {
	w := newSlowWorld(t)
	w.application("slow", "o/slow-push", "some/image")
	w.application("victim", "o/victim", "victim/image")
	config, flags := w.flags("")
	service := harness.Serve(t, strings.Replace(config, "interval: 1h", "interval: 1s", 1), flags...)

	w.changed("o/victim")
	w.announce("victim/image", "1.2.0")
	harness.Await(t, "the next update", func() bool { return len(harness.Commits(t, w.git, "o/victim")) == 3 })
	service.Says("waits for changes that are being written to "+w.git.URLOf("o/slow-push"), 1)
	if n := len(harness.Commits(t, w.git, "o/slow-push")); n != 1 || w.held.Load() != 1 {
		t.Errorf("%d commits, %d pushes", n, w.held.Load())
	}

	close(w.release)
	w.changed("o/slow-push")
	service.Says("msg=committed application=argocd/slow", 1)
	if n := len(harness.Commits(t, w.git, "o/slow-push")); n != 2 {
		t.Errorf("%d commits", n)
	}
}

// TestAPushThatHangsStopsNobody has a push whose answer never comes when the process is to
// stop: it stops, and says what it was writing to.
func TestAPushThatHangsStopsNobody(t *testing.T) {
	w := newSlowWorld(t)
	t.Cleanup(func() { close(w.release) })
	w.application("slow", "o/slow-push", "some/image")
	config, flags := w.flags("shutdownTimeout: 100ms\n")
	file := harness.Write(t, filepath.Join(t.TempDir(), "config.yaml"), config)

	ctx, stop := context.WithCancel(t.Context())
	var log sandbox.Log
	ended := harness.Go(ctx, &log, slices.Concat([]string{"run", "--config", file}, flags)...)
	harness.Await(t, "the push", func() bool { return w.held.Load() > 0 })
	stop()
	if status := <-ended; status != 0 {
		t.Errorf("status %d", status)
	}
	want := `msg="stopped while this was being written; the next start finds out what has become of it" target=` +
		w.git.URLOf("o/slow-push")
	if !strings.Contains(log.String(), want) {
		t.Errorf("the log does not say %s:\n%s", want, log.String())
	}
}

// TestTooSlowIsSetAside has answers that do not come before the deadline: one cycle
// ends, and names what was too slow, with the limit.
func TestTooSlowIsSetAside(t *testing.T) {
	w := newSlowWorld(t)
	t.Cleanup(func() { close(w.release) })
	w.application("slow", "o/one", "slow/image")
	w.application("slow-git", "o/slow-two", "other/image")
	w.application("victim", "o/victim", "victim/image")
	config, flags := w.flags("limits: {decisionTime: 2s}\n")
	file := harness.Write(t, filepath.Join(t.TempDir(), "config.yaml"), config)

	got := harness.Run(t, slices.Concat([]string{"run", "--once", "--config", file}, flags)...).MustEnd(t, 1)
	w.changed("o/victim")
	for _, want := range []string{
		"image " + w.registry.Host() + "/slow/image: what is asked of " + w.registry.Host() +
			" took longer than 2s; raise limits.decisionTime in config.yaml; it is set aside until ",
		"repository " + w.git.URLOf("o/slow-two") + ": reading it took longer than 2s; raise limits.decisionTime",
	} {
		if !strings.Contains(got.Stderr, want) {
			t.Errorf("nothing says %q:\n%s", want, got.Stderr)
		}
	}
}
