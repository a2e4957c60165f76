// Package world is the example of the README with everything that it needs but a
// cluster: a team's registry, its repositories and GitHub.
package world

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/liverty-music/image-writeback/internal/sandbox"
	"github.com/liverty-music/image-writeback/internal/sandbox/forge"
	"github.com/liverty-music/image-writeback/internal/sandbox/git"
	"github.com/liverty-music/image-writeback/internal/sandbox/registry"
)

// The names of the example: one service of a team that keeps its manifests in
// cloud-provisioning and its images in Google Artifact Registry.
const (
	Repository = "liverty-music/cloud-provisioning"
	Image      = "asia-northeast2-docker.pkg.dev/liverty-music-dev/backend/server"
	imagePath  = "liverty-music-dev/backend/server"
	DevFile    = "k8s/namespaces/backend/overlays/dev/kustomization.yaml"
	ProdFile   = "k8s/namespaces/backend/overlays/prod/kustomization.yaml"
)

// World is the example with everything that it needs running.
type World struct {
	Registry *registry.Server
	Git      *git.Server
	GitHub   *forge.GitHub
	// Applications and Config are the files to give the updater.
	Applications string
	Config       string
	// Newest is the hash of the last Build.
	Newest string

	builds int
}

// New starts the example below dir.
func New(dir string) (*World, error) {
	git, err := git.New(filepath.Join(dir, "git"))
	if err != nil {
		return nil, err
	}

	w := &World{Registry: registry.New(), Git: git, Applications: filepath.Join(dir, "applications.yaml"),
		Config: filepath.Join(dir, "config.yaml")}
	if w.GitHub, err = forge.NewGitHub(git); err != nil {
		return nil, err
	}

	if err := git.Create(Repository, true, exampleFiles()); err != nil {
		return nil, err
	}

	if err := git.Create(sourceRepository, true, map[string]string{"README.md": "# backend\n"}); err != nil {
		return nil, err
	}

	w.Build("v1.2.3")
	w.Build()
	w.Build("v1.3.0")
	w.Build()
	key := filepath.Join(dir, "app.pem")
	for file, content := range map[string]string{
		key:            string(w.GitHub.PrivateKey),
		w.Applications: applications(git.URLOf(Repository)),
		w.Config:       w.configuration(key),
	} {
		if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
			return nil, err
		}
	}

	return w, nil
}

// Close stops all servers.
func (w *World) Close() {
	w.Registry.Close()
	w.GitHub.Close()
	w.Git.Close()
}

// sourceRepository is where the example's program is developed.
const sourceRepository = "liverty-music/backend"

// What its commits say, one after the other.
var subjects = []string{"Show concerts on a map", "Fix the login of people with two accounts (#241)",
	"Load the artists in one query", "Answer in Japanese where people ask for it", "Retry payments that time out"}

// Build does what CI does on a merge: it pushes an image under the commit's
// hash and latest, and on a release under its version too. It returns the hash.
func (w *World) Build(releases ...string) string {
	subject := subjects[w.builds%len(subjects)]
	w.builds++
	sandbox.Check(w.Git.Commit(sourceRepository, "main", subject,
		map[string]string{"CHANGES": fmt.Sprintln(w.builds, subject)}))
	commit := sandbox.Must(w.Git.Head(sourceRepository, "main"))
	created := time.Date(2026, 11, 20, 8, 0, 0, 0, time.UTC).Add(time.Duration(w.builds) * time.Hour)
	w.Registry.Push(imagePath, registry.Build{Created: created, Labels: map[string]string{
		"org.opencontainers.image.revision": commit, "org.opencontainers.image.source": w.Git.URLOf(
			sourceRepository)}}, append([]string{commit, "latest"}, releases...)...)
	w.Newest = commit

	return commit
}

func (w *World) configuration(key string) string {
	return sandbox.Network + fmt.Sprintf(`interval: 1s
web: {listen: ""}
registries:
- name: GAR Osaka
  prefix: asia-northeast2-docker.pkg.dev
  api_url: %s
git:
  delivery:
    rules:
    - when: {path: "**/overlays/prod*/**"}
      use: pull-request
github:
  apiURL: %s/
  app: {id: %d, privateKeyFile: %s}
  pullRequest: {labels: [deploy]}
`, w.Registry.URL, w.GitHub.URL, forge.AppID, key)
}

func applications(repoURL string) string {
	return strings.ReplaceAll(`apiVersion: argoproj.io/v1alpha1
kind: Application
metadata:
  name: backend-dev
  namespace: argocd
  annotations:
    argocd-image-updater.argoproj.io/image-list: server=`+Image+`
    argocd-image-updater.argoproj.io/server.update-strategy: newest-build
    argocd-image-updater.argoproj.io/server.allow-tags: regexp:^[0-9a-f]{40}$
spec:
  project: default
  source:
    repoURL: REPOSITORY
    targetRevision: main
    path: k8s/namespaces/backend/overlays/dev
  destination: {server: https://kubernetes.default.svc, namespace: backend}
---
apiVersion: argoproj.io/v1alpha1
kind: Application
metadata:
  name: backend-prod
  namespace: argocd
  annotations:
    argocd-image-updater.argoproj.io/image-list: server=`+Image+`:^1.0
    argocd-image-updater.argoproj.io/server.update-strategy: semver
spec:
  project: default
  source:
    repoURL: REPOSITORY
    targetRevision: main
    path: k8s/namespaces/backend/overlays/prod
  destination: {server: https://kubernetes.default.svc, namespace: backend}
`, "REPOSITORY", repoURL)
}

const service = `apiVersion: v1
kind: Service
metadata:
  name: server
spec:
  selector: {app: server}
  ports:
  - port: 80
    targetPort: 8080
`

// exampleFiles are the manifests of the example.
func exampleFiles() map[string]string {
	return map[string]string{
		"README.md": "# cloud-provisioning\n\nWhat runs, and where. Argo CD applies it.\n",
		"k8s/namespaces/backend/base/kustomization.yaml": `apiVersion: kustomize.config.k8s.io/v1beta1
kind: Kustomization
resources:
- deployment.yaml
- service.yaml
`,
		"k8s/namespaces/backend/base/deployment.yaml": `apiVersion: apps/v1
kind: Deployment
metadata:
  name: server
spec:
  selector:
    matchLabels: {app: server}
  template:
    metadata:
      labels: {app: server}
    spec:
      containers:
      - name: server
        image: ` + Image + `
        ports:
        - containerPort: 8080
`,
		"k8s/namespaces/backend/base/service.yaml": service,
		DevFile: `apiVersion: kustomize.config.k8s.io/v1beta1
kind: Kustomization
namespace: backend
resources:
- ../../base

images:
- name: ` + Image + `
  newTag: latest # the newest build of main
`,
		ProdFile: `apiVersion: kustomize.config.k8s.io/v1beta1
kind: Kustomization
namespace: backend
resources:
- ../../base

replicas:
- name: server
  count: 3

images:
# What customers use. Ask #backend before you change this by hand.
- name: ` + Image + `
  newTag: v1.2.3
`,
	}
}
