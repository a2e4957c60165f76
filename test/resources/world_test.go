package resources

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/liverty-music/image-writeback/internal/sandbox"
	"github.com/liverty-music/image-writeback/internal/sandbox/git"
	"github.com/liverty-music/image-writeback/internal/sandbox/registry"
	"github.com/liverty-music/image-writeback/test/harness"
)

// world has the servers of everybody, and Applications. An offender is one of whose
// image or repository a server sends too much; a victim is one beside it.
type world struct {
	t       *testing.T
	google  *registry.Server // lists tags with manifests and times, as Google's do
	plain   *registry.Server // lists names
	git     *git.Server
	servers []*registry.Server // all registries

	// answers are sent in the place of a server's own, by what the path of a request
	// begins with.
	answers map[string]http.HandlerFunc

	applications strings.Builder
	offenders    map[string]string // what is said about them, by name
	victims      map[string]string // the head of main in their repositories, at first
}

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{
		t: t, google: harness.NewRegistry(t), plain: harness.NewRegistry(t), git: harness.NewGit(t),
		answers: map[string]http.HandlerFunc{}, offenders: map[string]string{}, victims: map[string]string{},
	}
	w.servers, w.plain.Plain = []*registry.Server{w.google, w.plain}, true
	fault := func(response http.ResponseWriter, request *http.Request) bool {
		for begin, answer := range w.answers {
			if strings.HasPrefix(request.URL.Path, begin) {
				answer(response, request)
				return true
			}
		}

		return false
	}
	w.google.Fault, w.plain.Fault, w.git.Fault = fault, fault, fault

	return w
}

// image pushes an image that has a newer version, and returns its name.
func (w *world) image(server *registry.Server, name string) string {
	created := time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC)
	own := map[string]string{"name": name} // what has the same digest is not read again
	server.Push(name, registry.Build{Created: created, Labels: own}, "1.0.0")
	server.Push(name, registry.Build{Created: created.Add(time.Hour), Labels: own}, "1.1.0")

	return server.Host() + "/" + name
}

// kustomization is a file that deploys the old version of an image.
func kustomization(image string) string {
	return fmt.Sprintf("images:\n- name: %s\n  newTag: 1.0.0\n", image)
}

// application adds an Application with an image, in a folder of a repository.
func (w *world) application(name, repository, folder, image string, annotations ...string) {
	annotations = append(annotations, "image-list: app="+image, `force-update: "true"`)
	w.applications.WriteString(harness.Manifest(name, w.git.URLOf(repository), folder,
		strings.Join(annotations, "\n")))
}

// create makes a repository with a victim in the folder victim. Of its image, the newest
// build is asked for, so that manifests and configs are read if a list has no times.
func (w *world) create(repository string, server *registry.Server, partial bool, files map[string]string) {
	w.t.Helper()
	image := w.image(server, "good/"+repository)
	if files == nil {
		files = map[string]string{}
	}
	files["victim/kustomization.yaml"] = kustomization(image)
	if err := w.git.Create(repository, partial, files); err != nil {
		w.t.Fatal(err)
	}
	w.application("victim-"+repository, repository, "victim", image, "app.update-strategy: newest-build")
	w.victims[repository] = ""
}

// head is what main of a repository is at. It starts no git, so that it can be asked
// often.
func (w *world) head(repository string) string {
	return harness.ReadFile(w.t, filepath.Join(w.git.Root, repository+".git", "refs", "heads", "main"))
}

// registries are the lines of config.yaml that say where the registries are.
func (w *world) registries() string {
	lines := "registries:\n"
	for _, server := range w.servers {
		lines += fmt.Sprintf("- {prefix: %s, api_url: %q, limit: 1000}\n", server.Host(), server.URL)
	}

	return lines
}

// start starts the program with the Applications of the world.
func (w *world) start(config string) *child {
	w.t.Helper()
	dir := w.t.TempDir()
	applications := harness.Write(w.t, filepath.Join(dir, "applications.yaml"), w.applications.String())
	config = harness.Write(w.t, filepath.Join(dir, "config.yaml"), sandbox.Network+"web: {listen: \"\"}\n"+
		w.registries()+config)
	for repository := range w.victims {
		w.victims[repository] = w.head(repository)
	}

	return startChild(w.t, "run", "--config", config, "--applications", applications)
}

// landed waits until the updates of all victims are in git: nobody waits for the
// offenders of others.
func (w *world) landed(c *child) {
	w.t.Helper()
	c.await(time.Until(c.begin.Add(20*time.Second)), "the updates of all victims", func() bool {
		for repository, head := range w.victims {
			if w.head(repository) == head {
				return false
			}
		}

		return true
	})
	w.t.Logf("%d updates landed within %s", len(w.victims), time.Since(c.begin).Round(100*time.Millisecond))

	for repository := range w.victims {
		if got := harness.Show(w.t, w.git, repository, "victim/kustomization.yaml"); !strings.Contains(got, "1.1.0") {
			w.t.Errorf("%s has\n%s", repository, got)
		}
	}
}

// named waits until each offender is named, with what is wrong, and checks that nobody
// else is.
func (w *world) named(c *child, within time.Duration) {
	w.t.Helper()
	missing := func() (all []string) {
		for name, want := range w.offenders {
			if !strings.Contains(strings.Join(c.errorsOf(name), "\n"), want) {
				all = append(all, name+": "+want)
			}
		}

		return all
	}
	c.awaitOr(within, "all offenders to be named", func() bool { return len(missing()) == 0 }, func() {
		w.t.Logf("missing:\n%s", strings.Join(missing(), "\n"))
	})
	for name := range w.victims {
		if own := c.errorsOf("victim-" + name); len(own) > 0 {
			w.t.Errorf("an error of a victim: %s", own)
		}
	}
}

// noise is what cannot be compressed.
func (w *world) noise(size int) string {
	w.t.Helper()
	file, err := os.Open("/dev/urandom")
	if err != nil {
		w.t.Fatal(err)
	}
	defer func() { _ = file.Close() }()
	data := make([]byte, size)
	if _, err := file.Read(data); err != nil {
		w.t.Fatal(err)
	}

	return string(data)
}
