package kube_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"

	"github.com/liverty-music/image-writeback/internal/argo"
	"github.com/liverty-music/image-writeback/internal/kube"
	sandboxkube "github.com/liverty-music/image-writeback/internal/sandbox/kube"
)

var applications = schema.GroupVersionResource{Group: "argoproj.io", Version: "v1alpha1", Resource: "applications"}

// TestCluster reads Applications and Secrets from a real API server.
func TestCluster(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	k, err := sandboxkube.New(ctx, t.TempDir(), "../../bin")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(k.Close)
	another := strings.ReplaceAll(applicationAnnotated, "name: a", "name: quiet-b")
	objects := strings.Join([]string{applicationAnnotated, another, secrets}, "\n---\n")
	if err := k.Create(ctx, "argocd", objects); err != nil {
		t.Fatal(err)
	}
	cluster, source := selecting(t, k, "a*")
	found, err := source.List(ctx)
	if err != nil || len(found.Problems) > 0 {
		t.Fatal(err, found.Problems)
	}
	apps := found.Applications
	if len(apps) != 1 || apps[0].String() != "argocd/a" || apps[0].Target.Repository != "https://github.com/o/r.git" {
		t.Fatalf("Applications %+v", apps)
	}
	if apps[0].Images[0].NotLive == "" {
		t.Error("an image that does not run counts as live")
	}
	t.Run("watch", func(t *testing.T) { watchApplications(ctx, t, k, source) })
	t.Run("secrets", func(t *testing.T) { findSecrets(ctx, t, cluster) })
	t.Run("overrides", func(t *testing.T) { setOverrides(ctx, t, k, cluster) })
	t.Run("resources", func(t *testing.T) { readImageUpdaters(ctx, t, k) })
	t.Run("errors", func(t *testing.T) { clusterErrors(ctx, t, k) })
}

// source is what the program wires: Applications of a cluster, read by argo.
type source struct {
	argo.Cluster
	applications *kube.Applications[*argo.Stored]
}

func (s *source) watch(ctx context.Context, changed func(), failed func(error)) {
	s.applications.Watch(ctx, kube.Changes[*argo.Stored]{
		New: s.Concerns, Differ: s.Differs, Changed: changed, Failed: failed,
	})
}

func newSource(cluster *kube.Cluster, selection argo.Selection) *source {
	where := kube.Selection{Namespaces: selection.Namespaces}
	s := &source{applications: kube.NewApplications(cluster, where, argo.Trim)}
	s.Lister, s.Selection = s.applications, selection
	s.Defaults = argo.Defaults{WriteBackMethod: "git", WriteBackTarget: "kustomization", Namespace: "argocd"}

	return s
}

// selecting returns the Applications of namespace argocd that a glob selects.
func selecting(t *testing.T, k *sandboxkube.Cluster, glob string) (*kube.Cluster, *source) {
	t.Helper()
	selection, err := argo.NewSelection([]string{"argocd"}, "", []string{glob})
	if err != nil {
		t.Fatal(err)
	}
	cluster, err := kube.New(k.Kubeconfig, "", nil)
	if err != nil {
		t.Fatal(err)
	}
	return cluster, newSource(cluster, selection)
}

const imageUpdater = "apiVersion: argocd-image-updater.argoproj.io/v1alpha1\nkind: ImageUpdater\n"

const applicationAnnotated = `apiVersion: argoproj.io/v1alpha1
kind: Application
metadata:
  name: a
  annotations: {argocd-image-updater.argoproj.io/image-list: nginx}
spec:
  project: default
  destination: {server: https://kubernetes.default.svc}
  source: {repoURL: https://github.com/o/r.git, path: a}`

const secrets = `apiVersion: v1
kind: Secret
metadata: {name: git, namespace: argocd}
stringData: {username: ada, password: s3cret}
---
apiVersion: v1
kind: Secret
metadata: {name: repo-exact, namespace: argocd, labels: {argocd.argoproj.io/secret-type: repository}}
stringData: {url: "git@example.com:O/exact.git", sshPrivateKey: key}
---
apiVersion: v1
kind: Secret
metadata: {name: creds-host, namespace: argocd, labels: {argocd.argoproj.io/secret-type: repo-creds}}
stringData: {url: "https://example.com", username: host, password: s3cret}
---
apiVersion: v1
kind: Secret
metadata: {name: creds-project, namespace: argocd, labels: {argocd.argoproj.io/secret-type: repository}}
stringData: {url: "https://example.com/team/scoped.git", project: blue, username: blue, password: s3cret}
---
apiVersion: v1
kind: Secret
metadata: {name: empty-repo, namespace: argocd, labels: {argocd.argoproj.io/secret-type: repository}}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: argocd-ssh-known-hosts-cm, namespace: argocd}
data: {ssh_known_hosts: "example.com ssh-ed25519 AAAA"}`

func watchApplications(ctx context.Context, t *testing.T, k *sandboxkube.Cluster, source *source) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	changes := make(chan struct{}, 100)
	stopped := make(chan struct{})
	go func() {
		defer close(stopped)
		source.watch(ctx, func() { changes <- struct{}{} }, func(err error) { t.Error(err) })
	}()
	applications := k.Dynamic.Resource(applications).Namespace("argocd")
	patch := func(body string) {
		t.Helper()
		_, err := applications.Patch(ctx, "a", types.MergePatchType, []byte(body), metav1.PatchOptions{})
		if err != nil {
			t.Fatal(err)
		}
	}
	// Each round says something new, so that the first one which the watch
	// sees after its start is a change.
	for n := 0; ; n++ {
		image := "nginx:" + strings.Repeat("1", n+1)
		patch(`{"metadata":{"annotations":{"argocd-image-updater.argoproj.io/image-list":"` + image + `"}}}`)
		select {
		case <-changes:
		case <-time.After(200 * time.Millisecond):
			if ctx.Err() != nil {
				t.Fatal("no change was seen")
			}
			continue
		}
		break
	}
	for len(changes) > 0 {
		<-changes
	}
	// Argo CD's own bookkeeping is not a change; running images are.
	patch(`{"status":{"reconciledAt":"2026-11-23T00:00:00Z"}}`)
	patch(`{"metadata":{"annotations":{"argocd.argoproj.io/refresh":"normal"}}}`)
	patch(`{"status":{"summary":{"images":["nginx:1.25"]}}}`)
	select {
	case <-changes:
	case <-ctx.Done():
		t.Fatal("the change of the running images was not seen")
	}
	if len(changes) != 0 {
		t.Errorf("%d changes too many", len(changes))
	}
	found, err := source.List(ctx)
	apps := found.Applications
	if err != nil || apps[0].Images[0].Live.Tag != "1.25" || apps[0].Images[0].NotLive != "" {
		t.Errorf("Applications %+v, %v", apps, err)
	}
	cancel()
	<-stopped
}

// findSecrets lists the Secrets of repositories, and reads others by their names.
// Which of them are used for a repository is tested in package gitwrite.
func findSecrets(ctx context.Context, t *testing.T, cluster *kube.Cluster) {
	found, err := cluster.RepositorySecrets(ctx, "argocd")
	if err != nil {
		t.Fatal(err)
	}
	listed := map[string]string{}
	for _, secret := range found {
		listed[secret.Name] = fmt.Sprintf("%s %t", secret.Data["url"], secret.Template)
	}
	want := map[string]string{
		"argocd/repo-exact":    "git@example.com:O/exact.git false",
		"argocd/creds-host":    "https://example.com true",
		"argocd/creds-project": "https://example.com/team/scoped.git false",
	}
	if diff := cmp.Diff(want, listed); diff != "" {
		t.Errorf("Secrets of repositories (-want +got):\n%s", diff)
	}

	if data, err := cluster.Secret(ctx, "argocd", "git"); err != nil || string(data["username"]) != "ada" {
		t.Errorf("user %q, %v", data["username"], err)
	}
	if _, err := cluster.Secret(ctx, "argocd", "none"); err == nil || !strings.Contains(err.Error(), "does not exist") {
		t.Errorf("a Secret that is not there: %v", err)
	}
	if hosts, _ := cluster.Trust(ctx, "argocd"); !strings.Contains(hosts, "ssh-ed25519") {
		t.Errorf("known hosts %q", hosts)
	}
}

func clusterErrors(ctx context.Context, t *testing.T, k *sandboxkube.Cluster) {
	if _, err := kube.New("/none", "", nil); err == nil || !strings.Contains(err.Error(), "--kubeconfig") {
		t.Errorf("no kubeconfig: %v", err)
	}
	if _, err := kube.New(k.Kubeconfig, "none", nil); err == nil {
		t.Error("a context that is not there is accepted")
	}
	data, err := os.ReadFile(k.Kubeconfig)
	if err != nil {
		t.Fatal(err)
	}
	stranger := filepath.Join(t.TempDir(), "kubeconfig")
	data = bytes.ReplaceAll(data, []byte("token: "), []byte("token: not-"))
	if err := os.WriteFile(stranger, data, 0o600); err != nil {
		t.Fatal(err)
	}
	cluster, err := kube.New(stranger, "", nil)
	if err != nil {
		t.Fatal(err)
	}
	_, err = newSource(cluster, argo.Selection{}).List(ctx)
	if err == nil || !strings.Contains(err.Error(), "credentials of the kubeconfig are not accepted") {
		t.Errorf("a stranger: %v", err)
	}
	if cluster, err = kube.New(k.Kubeconfig, "", nil); err != nil {
		t.Fatal(err)
	}
	k.Close()
	_, err = newSource(cluster, argo.Selection{}).List(ctx)
	if err == nil || !strings.Contains(err.Error(), "check that the API server can be reached") {
		t.Errorf("a dead API server: %v", err)
	}
}

// setOverrides has somebody else change the Application between the reading
// and the writing: nothing of theirs is lost.
func setOverrides(ctx context.Context, t *testing.T, k *sandboxkube.Cluster, cluster *kube.Cluster) {
	const edited = "{repoURL: https://example.com/o/r.git, path: a, " +
		`kustomize: {namePrefix: p-, images: ["other:1"]}}`
	for name, source := range map[string]string{
		"one":  "source: " + edited,
		"many": "sources: [{repoURL: https://example.com/o/x.git, path: x}, " + edited + "]",
	} {
		err := k.Create(ctx, "argocd", "apiVersion: argoproj.io/v1alpha1\nkind: Application\nmetadata: {name: "+name+
			"}\nspec:\n  project: default\n  destination: {server: https://kubernetes.default.svc}\n  "+source)
		if err != nil {
			t.Fatal(err)
		}
		index := map[string]int{"one": -1, "many": 1}[name]
		applications := k.Dynamic.Resource(applications).Namespace("argocd")
		calls := 0
		err = cluster.SetOverrides(ctx, "argocd", name, index, func(old []byte) ([]byte, error) {
			if calls++; calls == 1 {
				body := `[{"op": "add", "path": "/spec/source/kustomize/nameSuffix", "value": "-s"},
					{"op": "add", "path": "/spec/source/kustomize/images/-", "value": "theirs:2"}]`
				if index >= 0 {
					body = strings.ReplaceAll(body, "/spec/source/", "/spec/sources/1/")
				}
				_, err := applications.Patch(ctx, name, types.JSONPatchType, []byte(body), metav1.PatchOptions{})
				if err != nil {
					t.Fatal(err)
				}
			}
			return append(old, "  - ours:3\n"...), nil
		})
		if err != nil || calls != 2 {
			t.Fatalf("%s: %d calls, %v", name, calls, err)
		}
		app, err := applications.Get(ctx, name, metav1.GetOptions{})
		if err != nil {
			t.Fatal(err)
		}
		got, _, _ := unstructured.NestedFieldNoCopy(app.Object, "spec", "source")
		if index >= 0 {
			sources, _, _ := unstructured.NestedSlice(app.Object, "spec", "sources")
			got = sources[index]
		}
		var want any = map[string]any{"repoURL": "https://example.com/o/r.git", "path": "a",
			"kustomize": map[string]any{
				"namePrefix": "p-", "nameSuffix": "-s", "images": []any{"other:1", "theirs:2", "ours:3"},
			}}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
	if err := cluster.SetOverrides(ctx, "argocd", "one", 3, nil); !errors.Is(err, kube.ErrSourceGone) {
		t.Errorf("a source that is not there: %v", err)
	}
}

// readImageUpdaters finds Applications that a resource alone speaks of, and
// notices when it changes.
func readImageUpdaters(ctx context.Context, t *testing.T, k *sandboxkube.Cluster) {
	if err := k.InstallImageUpdaters(ctx); err != nil {
		t.Fatal(err)
	}
	_, source := selecting(t, k, "quiet-*")
	if _, err := source.List(ctx); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(ctx)
	changes, stopped := make(chan struct{}, 100), make(chan struct{})
	go func() {
		defer close(stopped)
		source.watch(ctx, func() { changes <- struct{}{} }, func(err error) { t.Error(err) })
	}()
	for n := 0; len(changes) == 0; n++ {
		object := imageUpdater + fmt.Sprintf("metadata: {name: u%d}\nspec: {applicationRefs: [{namePattern: none}]}", n)
		if err := k.Create(ctx, "argocd", object); err != nil {
			t.Fatal(err)
		}
		select {
		case <-changes:
			changes <- struct{}{}
		case <-time.After(200 * time.Millisecond):
			if ctx.Err() != nil {
				t.Fatal("no change was seen")
			}
		}
	}
	cancel()
	<-stopped
	ctx = t.Context()
	for _, object := range []string{
		imageUpdater + "metadata: {name: all}\nspec: {applicationRefs: " +
			"[{namePattern: 'quiet-*', images: [{alias: web, imageName: 'nginx:^1'}]}]}",
		imageUpdater + "metadata: {name: broken}\nspec: {applicationRefs: all}",
		strings.NewReplacer("name: a\n", "name: quiet-c\n",
			"  annotations: {argocd-image-updater.argoproj.io/image-list: nginx}\n", "").Replace(applicationAnnotated),
	} {
		if err := k.Create(ctx, "argocd", object); err != nil {
			t.Fatal(err)
		}
	}
	listed, err := source.List(ctx)
	apps, problems := listed.Applications, listed.Problems
	if err != nil || len(apps) != 2 || apps[1].Name != "quiet-c" || apps[1].Images[0].Policy.Constraint != "^1" {
		t.Errorf("Applications %+v, %v", apps, err)
	}
	if len(problems) != 1 || !strings.Contains(problems[0].Error(), "ImageUpdater argocd/broken cannot be read") {
		t.Errorf("problems %v", problems)
	}
}
