package cli

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/liverty-music/image-writeback/internal/argo"
	"github.com/liverty-music/image-writeback/internal/config"
	"github.com/liverty-music/image-writeback/internal/kube"
	"github.com/liverty-music/image-writeback/internal/sandbox"
	sandboxkube "github.com/liverty-music/image-writeback/internal/sandbox/kube"
	"github.com/liverty-music/image-writeback/internal/spec"
)

// projectsOf is an Application of each project, with a source of its own; a global project;
// and a Secret that belongs to the project team.
const projectsOf = `apiVersion: argoproj.io/v1alpha1
kind: AppProject
metadata: {name: labelled, labels: {add: org}}
spec: {sourceRepos: ["https://github.com/labelled/*"], sourceNamespaces: [apps]}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: argocd-cm}
data: {globalProjects: "[{projectName: org, labelSelector: {matchLabels: {add: org}}}]"}
---
apiVersion: v1
kind: Secret
metadata: {name: scoped, labels: {argocd.argoproj.io/secret-type: repository}}
stringData: {project: team, url: "https://github.com/scoped/r"}`

// projectReaders are two accounts: one that may read what projects need, and one that may
// list nothing but Applications.
const projectReaders = `apiVersion: v1
kind: ServiceAccount
metadata: {name: reader}
---
apiVersion: v1
kind: ServiceAccount
metadata: {name: lister}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: reader}
rules:
- {apiGroups: [argoproj.io], resources: [applications, appprojects], verbs: [list, watch]}
- {apiGroups: [""], resources: [configmaps], resourceNames: [argocd-cm], verbs: [get]}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: lister}
rules:
- {apiGroups: [argoproj.io], resources: [applications], verbs: [list, watch]}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: reader}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: reader}
subjects: [{kind: ServiceAccount, name: reader, namespace: argocd}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: lister}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: lister}
subjects: [{kind: ServiceAccount, name: lister, namespace: argocd}]`

// projectsWorld is an API server with projects and Applications.
type projectsWorld struct {
	*testing.T
	k *sandboxkube.Cluster
}

func newProjectsWorld(t *testing.T) *projectsWorld {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()

	k, err := sandboxkube.New(ctx, t.TempDir(), "../../bin")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(k.Close)

	w := &projectsWorld{t, k}
	w.setProject("team", `{sourceRepos: ["https://github.com/team/*"]}`)
	w.setProject("org", `{sourceRepos: ["https://github.com/org/*"]}`)
	objects := []string{projectsOf}
	for _, app := range []string{"default any/r", "team team/r", "team scoped/r", "labelled org/r", "none any/r"} {
		project, repository, _ := strings.Cut(app, " ")
		name := strings.ReplaceAll(strings.TrimSuffix(app, "/r"), " ", "-")
		objects = append(objects, fmt.Sprintf(`apiVersion: argoproj.io/v1alpha1
kind: Application
metadata:
  name: %s
  annotations: {argocd-image-updater.argoproj.io/image-list: nginx}
spec:
  project: %s
  destination: {server: https://kubernetes.default.svc}
  source: {repoURL: https://github.com/%s, path: a}`, name, project, repository))
	}
	accounts, roles, _ := strings.Cut(projectReaders, "\n---\napiVersion: rbac")
	for namespace, manifest := range map[string]string{
		"argocd": strings.Join(append(objects, accounts), "\n---\n"), "": "apiVersion: rbac" + roles,
	} {
		if err := k.Create(ctx, namespace, manifest); err != nil {
			t.Fatal(err)
		}
	}

	return w
}

func (w *projectsWorld) setProject(name, spec string) {
	w.Helper()
	if err := w.k.SetProject(w.Context(), name, spec); err != nil {
		w.Fatal(err)
	}
}

// projectsProgram is the part of the program that lists Applications.
type projectsProgram struct {
	*program
	source *argo.Cluster
	log    sandbox.Log
}

// program makes a program of an account; empty: the administrator.
func (w *projectsWorld) program(account, follow string) *projectsProgram {
	w.Helper()
	kubeconfig := w.k.Kubeconfig
	if account != "" {
		var err error
		if kubeconfig, err = w.k.KubeconfigOf(w.Context(), "argocd", account); err != nil {
			w.Fatal(err)
		}
	}

	p := &projectsProgram{}
	c := config.Default()
	c.Projects.Follow = follow
	s := &setup{options: &options{kubeconfig: kubeconfig, argocdNamespace: "argocd"}, config: c}
	s.connect = sync.OnceValues(func() (*kube.Cluster, error) { return kube.New(kubeconfig, "", nil) })
	p.program = &program{setup: s, log: slog.New(slog.NewTextHandler(&p.log, nil))}
	source, err := p.program.source()
	if err != nil {
		w.Fatal(err)
	}
	p.source = source.(*argo.Cluster)

	return p
}

// list returns what bounds each Application, in order of their names.
func (w *projectsWorld) list(p *projectsProgram) []string {
	w.Helper()
	found, err := p.source.List(w.Context())
	if err != nil || len(found.Problems) > 0 {
		w.Fatal(err, found.Problems)
	}

	return boundsOf(found.Applications)
}

func boundsOf(apps []spec.Application) []string {
	var all []string
	for _, app := range apps {
		is := "unknown"
		switch b := app.Bounds; {
		case b.Exists:
			is = strings.Join(b.Project.SourceRepos, " ")
		case b.Known:
			is = "missing"
		}
		all = append(all, app.Name+": "+strings.ReplaceAll(is, "https://github.com/", ""))
	}

	return all
}

// count returns how often the account reader has made one kind of request.
func (w *projectsWorld) count(verb, resource string) int {
	w.Helper()
	requests, err := w.k.Requests("argocd", "reader")
	if err != nil {
		w.Fatal(err)
	}

	n := 0
	for _, r := range requests {
		if r.Verb == verb && r.Resource == resource {
			n++
		}
	}

	return n
}

// TestProjectsOfACluster reads the projects of a real API server.
func TestProjectsOfACluster(t *testing.T) {
	w := newProjectsWorld(t)
	known := []string{"default-any: *", "labelled-org: labelled/* org/*", "none-any: missing", "team-scoped: team/*",
		"team-team: team/*"}
	scoped := append([]string(nil), known...)
	scoped[3] = "team-scoped: team/* scoped/r"
	unknown := []string{"default-any: unknown", "labelled-org: unknown", "none-any: unknown", "team-scoped: unknown",
		"team-team: unknown"}

	w.Run("everything may be read", func(t *testing.T) {
		p := w.program("", argo.FollowRequired)
		if diff := cmp.Diff(scoped, w.list(p)); diff != "" || p.log.String() != "" {
			t.Errorf("want (-) and have (+):\n%s\n%s", diff, p.log.String())
		}
	})
	w.Run("no Secrets", func(t *testing.T) {
		p := w.program("reader", argo.FollowRequired)
		for range 5 {
			if diff := cmp.Diff(known, w.list(p)); diff != "" {
				t.Errorf("want (-) and have (+):\n%s", diff)
			}
		}
		if a, b := w.count("list", "appprojects"), w.count("get", "configmaps"); a != 1 || b != 1 {
			t.Errorf("in five cycles, projects were listed %d times, and the ConfigMap read %d times", a, b)
		}
	})
	w.Run("no projects", func(t *testing.T) {
		p := w.program("lister", argo.FollowAuto)
		p.source.Projects.Life = time.Nanosecond
		for range 3 {
			if diff := cmp.Diff(unknown, w.list(p)); diff != "" {
				t.Errorf("want (-) and have (+):\n%s", diff)
			}
		}
		if said := p.log.String(); strings.Count(said, "level=WARN") != 1 ||
			!strings.Contains(said, "grant list on appprojects.argoproj.io to this account, as the chart does; "+
				"until then, AppProjects limit nothing (projects.follow in config.yaml: auto)") {
			t.Errorf("it says %s", said)
		}
	})
	w.Run("no projects, which are required", func(t *testing.T) {
		_, err := w.program("lister", argo.FollowRequired).source.List(t.Context())
		if err == nil || !strings.Contains(err.Error(), "grant list on appprojects.argoproj.io to this account") ||
			!strings.HasSuffix(err.Error(), "projects.follow in config.yaml is required, so nothing is updated until "+
				"AppProjects can be read") {
			t.Errorf("it says %v", err)
		}
	})
	w.Run("not followed", func(t *testing.T) {
		before := w.count("list", "appprojects")
		if diff := cmp.Diff(unknown, w.list(w.program("reader", argo.FollowOff))); diff != "" {
			t.Errorf("want (-) and have (+):\n%s", diff)
		}
		if w.count("list", "appprojects") != before {
			t.Error("projects were listed")
		}
	})

	w.changes(known)
}

// changes changes projects, and takes them away.
func (w *projectsWorld) changes(known []string) {
	w.Helper()
	p := w.program("reader", argo.FollowAuto)
	p.source.Projects.Life = time.Nanosecond
	w.list(p)

	w.setProject("team", `{sourceRepos: ["https://github.com/other/*"]}`)
	known[3], known[4] = "team-scoped: other/*", "team-team: other/*"
	if diff := cmp.Diff(known, w.list(p)); diff != "" {
		w.Errorf("after a change, want (-) and have (+):\n%s", diff)
	}

	ctx, cancel := context.WithCancel(w.Context())
	defer cancel()
	watching := make(chan struct{})
	go func() { defer close(watching); p.watch(ctx, func() {}, func(error) {}) }()
	w.k.StopServer()
	for { // until what is watched is known, the list fails
		found, err := p.source.List(ctx)
		apps := found.Applications
		if err == nil {
			if diff := cmp.Diff(known, boundsOf(apps)); diff != "" {
				w.Errorf("without an API server, want (-) and have (+):\n%s", diff)
			}
			break
		}
		if w.Context().Err() != nil {
			w.Fatal(err)
		}
	}
	if said := p.log.String(); strings.Count(said, "level=WARN") != 1 ||
		!strings.Contains(said, "until that succeeds, the AppProjects as they were count") {
		w.Errorf("without an API server, it says %s", said)
	}
	cancel()
	<-watching
	if err := w.k.StartServer(w.Context()); err != nil {
		w.Fatal(err)
	}

	if _, err := w.k.Run("kubectl", "-n", "argocd", "delete", "appprojects", "--all"); err != nil {
		w.Fatal(err)
	}
	if got := strings.Join(w.list(p), " "); strings.Contains(got, "missing") ||
		!strings.Contains(p.log.String(), "namespace argocd has no AppProjects, so it is not that of Argo CD; "+
			"set argocd.namespace in config.yaml") {
		w.Errorf("without projects: %s\n%s", got, p.log.String())
	}

	if _, err := w.k.Run("kubectl", "delete", "crd", "appprojects.argoproj.io"); err != nil {
		w.Fatal(err)
	}
	if got := strings.Join(w.list(p), " "); strings.Contains(got, "missing") ||
		!strings.Contains(p.log.String(), "is Argo CD installed? Its AppProject resource is not there") {
		w.Errorf("without the resource: %s\n%s", got, p.log.String())
	}
}
