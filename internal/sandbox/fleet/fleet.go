// Package fleet is a world of any size, for tests of scale and for benchmarks.
package fleet

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/rest"

	"github.com/liverty-music/image-writeback/internal/sandbox"
	"github.com/liverty-music/image-writeback/internal/sandbox/git"
	"github.com/liverty-music/image-writeback/internal/sandbox/kube"
	"github.com/liverty-music/image-writeback/internal/sandbox/pubsub"
	"github.com/liverty-music/image-writeback/internal/sandbox/registry"
)

// Options say how large a Fleet is.
type Options struct {
	Applications, Repositories, Tags int
	// Latencies are added to each answer.
	RegistryLatency, GitLatency time.Duration
	Strategy                    string // newest-build, semver or alphabetical
	History                     int    // commits that the git repository has
	StatusKB                    int    // the size of each Application's status
	PerFolder                   int    // how many Applications have their folders in one, a team's; 0: 50
	UpToDate                    bool   // git and what runs have the newest tag
}

// Fleet is many Applications in a real API server, whose manifests live in one
// git repository, with their image repositories: a world for any updater.
type Fleet struct {
	Kubernetes *kube.Cluster
	Registry   *registry.Server
	Git        *git.Server
	PubSub     *pubsub.Server
	Config     string // of this updater; others read from it where everything is

	options Options
	newest  int
	client  dynamic.ResourceInterface
}

// Repository is the git repository of a Fleet.
const Repository = "o/fleet"

// registryHost is what the images of a Fleet are named by.
const registryHost = "reg.example.com"

// New starts a Fleet below dir, with programs from bin. Each Application
// runs an older tag than the newest, unless UpToDate says otherwise.
func New(ctx context.Context, dir, bin string, o Options) (_ *Fleet, err error) {
	f := &Fleet{options: o, Registry: registry.New()}
	defer func() {
		if err != nil {
			f.Close()
		}
	}()

	if f.Git, err = git.New(filepath.Join(dir, "git")); err != nil {
		return nil, err
	}

	if f.PubSub, err = pubsub.New(); err != nil {
		return nil, err
	}

	for f.newest < o.Tags {
		f.Release()
	}

	if err := f.commitHistory(); err != nil {
		return nil, err
	}

	f.Registry.Fault = late(o.RegistryLatency)
	f.Git.Fault = late(o.GitLatency)
	home := filepath.Join(dir, "kubernetes")
	if err := os.Mkdir(home, 0o750); err != nil {
		return nil, err
	}

	if f.Kubernetes, err = kube.New(ctx, home, bin); err != nil {
		return nil, err
	}

	if err := f.createApplications(ctx); err != nil {
		return nil, err
	}

	f.Config = filepath.Join(dir, "config.yaml")
	config := fmt.Appendf(nil, sandbox.Network+`interval: 1h
web: {listen: ""}
registries:
- {prefix: %s, api_url: %s, limit: 1000}
events: {pubsub: {subscription: %s}}
`, registryHost, f.Registry.URL, pubsub.Subscription)

	return f, os.WriteFile(f.Config, config, 0o600)
}

// late answers after a while.
func late(latency time.Duration) func(http.ResponseWriter, *http.Request) bool {
	return func(http.ResponseWriter, *http.Request) bool {
		time.Sleep(latency)
		return false
	}
}

// Close stops all servers.
func (f *Fleet) Close() {
	f.Registry.Close()
	if f.Git != nil {
		f.Git.Close()
	}

	if f.PubSub != nil {
		f.PubSub.Close()
	}

	if f.Kubernetes != nil {
		f.Kubernetes.Close()
	}
}

func (f *Fleet) image(i int) string { return fmt.Sprintf("p/app%d", i%f.options.Repositories) }

// Folder is where the manifests of an Application live.
func (f *Fleet) Folder(i int) string {
	if f.options.PerFolder == 0 {
		f.options.PerFolder = 50
	}
	return fmt.Sprintf("apps/t%d/a%d", i/f.options.PerFolder, i)
}

// Release gives every image repository one more tag, the newest.
func (f *Fleet) Release() {
	f.newest++
	name := fmt.Sprintf("1.0.%d", 10_000+f.newest) // as long as the others
	created := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC).Add(time.Duration(f.newest) * time.Hour)
	for i := range f.options.Repositories {
		digest := fmt.Sprintf("sha256:%x", sha256.Sum256(fmt.Append(nil, i, name)))
		f.Registry.Announce(f.image(i), name, digest, created)
	}
}

// ReleaseOne gives one image repository one more tag, its newest, and tells of
// it as Artifact Registry does. It returns when the manifest of an Application
// of it has the tag on the remote.
func (f *Fleet) ReleaseOne(ctx context.Context, n int) error {
	i := n % f.options.Repositories
	name := fmt.Sprintf("2.0.%d", 10_000+n)
	f.Registry.Announce(f.image(i), name, fmt.Sprintf("sha256:%x", sha256.Sum256(fmt.Append(nil, i, name))),
		time.Date(2027, 1, 1, 0, 0, n, 0, time.UTC))
	f.PubSub.Pushed(registryHost+"/"+f.image(i), name)
	for {
		content, err := f.Git.Show(Repository, "main", f.Folder(i)+"/kustomization.yaml")
		if err != nil || bytes.Contains([]byte(content), []byte("newTag: "+name+"\n")) {
			return err
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("no commit of %s came: %w", name, ctx.Err())
		case <-time.After(2 * time.Millisecond):
		}
	}
}

// Newest is the tag that every Application is to have.
func (f *Fleet) Newest() string { return fmt.Sprintf("1.0.%d", 10_000+f.newest) }

// current is the tag that git has to begin with: one older than all others, or
// the newest.
func (f *Fleet) current() string {
	if f.options.UpToDate {
		return f.Newest()
	}
	return "1.0.10000"
}

// commitHistory makes the git repository, with commits enough that a clone of
// all of it costs something.
func (f *Fleet) commitHistory() error {
	files := map[string]string{}
	for i := range f.options.Applications {
		files[f.Folder(i)+"/kustomization.yaml"] = fmt.Sprintf("resources:\n- ../../base\nimages:\n- name: "+
			"%s/%s\n  newTag: %s\n", registryHost, f.image(i), f.current())
	}

	if err := f.Git.Create(Repository, true, files); err != nil {
		return err
	}

	var stream bytes.Buffer
	for i := range f.options.History {
		fmt.Fprintf(&stream, "commit refs/heads/main\ncommitter Ada <ada@example.com> now\ndata 4\nMore\n")
		if i == 0 {
			stream.WriteString("from refs/heads/main^0\n")
		}
		fmt.Fprintf(&stream, "M 100644 inline notes/n%d.md\ndata 6\nnote\n\n\n", i%100)
	}

	stream.WriteString("done\n")
	_, err := f.Git.RunWith(Repository, stream.Bytes(), "fast-import", "--quiet", "--date-format=now", "--done")

	return err
}

func (f *Fleet) createApplications(ctx context.Context) error {
	config := rest.CopyConfig(f.Kubernetes.Config)
	config.QPS, config.Burst = -1, -1
	client, err := dynamic.NewForConfig(config)
	if err != nil {
		return err
	}

	f.client = client.Resource(schema.GroupVersionResource{Group: "argoproj.io", Version: "v1alpha1",
		Resource: "applications"}).Namespace("argocd")
	var resources []any
	for i := range f.options.StatusKB * 5 { // about 200 bytes each
		resources = append(resources, map[string]any{"group": "apps", "kind": "Deployment", "namespace": "backend",
			"version": "v1", "status": "Synced",
			"name": fmt.Sprintf("a-deployment-with-a-realistic-name-%d",
				i), "health": map[string]any{"status": "Healthy", "message": "all of its replicas are available"}})
	}

	work, failed := make(chan int), make(chan error, 16)
	var group sync.WaitGroup
	for range 16 {
		group.Go(func() {
			for i := range work {
				if _, err := f.client.Create(ctx, f.application(i, resources), metav1.CreateOptions{}); err != nil {
					select {
					case failed <- err:
					default:
					}
				}
			}
		})
	}

	for i := range f.options.Applications {
		work <- i
	}

	close(work)
	group.Wait()
	select {
	case err := <-failed:
		return err
	default:
		return nil
	}
}

func (f *Fleet) application(i int, resources []any) *unstructured.Unstructured {
	image := registryHost + "/" + f.image(i)
	return &unstructured.Unstructured{Object: map[string]any{"apiVersion": "argoproj.io/v1alpha1",
		"kind": "Application",
		"metadata": map[string]any{"name": fmt.Sprintf("a%d", i), "annotations": map[string]any{
			"argocd-image-updater.argoproj.io/image-list":          "app=" + image,
			"argocd-image-updater.argoproj.io/app.update-strategy": f.options.Strategy,
			"argocd-image-updater.argoproj.io/write-back-method":   "git",
			"argocd-image-updater.argoproj.io/write-back-target":   "kustomization",
			"argocd-image-updater.argoproj.io/git-branch":          "main"}},
		"spec": map[string]any{"project": "default",
			"destination": map[string]any{"server": "https://kubernetes.default.svc", "namespace": "backend"},
			"source": map[string]any{"repoURL": f.Git.URLOf(Repository), "targetRevision": "main",
				"path": f.Folder(i)}},
		"status": map[string]any{"sourceType": "Kustomize",
			"summary": map[string]any{"images": []any{image + ":" + f.current()}}, "resources": resources}}}
}

// Touch changes an annotation of one Application, which asks for a cycle.
func (f *Fleet) Touch(ctx context.Context) error {
	patch := fmt.Appendf(nil,
		`{"metadata":{"annotations":{"argocd-image-updater.argoproj.io/app.ignore-tags":"none-%d"}}}`,
		time.Now().UnixNano())
	_, err := f.client.Patch(ctx, "a0", types.MergePatchType, patch, metav1.PatchOptions{})
	return err
}

// Requests are what was asked of the servers so far.
type Requests struct{ List, Ping, Manifest, Advertise, Fetch, Push int }

// Requests counts them.
func (f *Fleet) Requests() Requests {
	return Requests{f.Registry.Count("list"), f.Registry.Count("ping"), f.Registry.Count("manifest"),
		f.Git.Count("advertise"), f.Git.Count("fetch"), f.Git.Count("push")}
}

// Since leaves out what was asked before.
func (r Requests) Since(before Requests) Requests {
	return Requests{r.List - before.List, r.Ping - before.Ping, r.Manifest - before.Manifest,
		r.Advertise - before.Advertise, r.Fetch - before.Fetch, r.Push - before.Push}
}

// All is how many they are.
func (r Requests) All() int { return r.List + r.Ping + r.Manifest + r.Advertise + r.Fetch + r.Push }

// Updated counts the manifests that have the newest tag.
func (f *Fleet) Updated() (int, error) {
	out, err := f.Git.Run(Repository, "grep", "--count", "-F", "newTag: "+f.Newest(), "main", "--", "apps")
	if err != nil && out == "" {
		return 0, errors.Join(errors.New("none has it"), err)
	}
	return bytes.Count([]byte(out), []byte("\n")), nil
}
