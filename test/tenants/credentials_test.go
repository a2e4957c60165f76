// Package tenants runs the updater with Applications of tenants who want what is not
// theirs: credentials, other tenants' files, the time of the service. The servers note
// what they receive.
package tenants

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"sigs.k8s.io/kustomize/kyaml/yaml"

	"github.com/liverty-music/image-writeback/internal/plan"
	"github.com/liverty-music/image-writeback/internal/sandbox"
	"github.com/liverty-music/image-writeback/internal/sandbox/forge"
	"github.com/liverty-music/image-writeback/internal/sandbox/git"
	"github.com/liverty-music/image-writeback/internal/sandbox/kube"
	"github.com/liverty-music/image-writeback/internal/sandbox/registry"
	"github.com/liverty-music/image-writeback/test/harness"
)

// cell is a row of testdata/tenants/credentials.yaml, whose README says what the fields
// mean.
type cell struct {
	In, Names, Path, Own, Foreign, Rule string
}

// remedies are pieces of the refusals of rules.
var remedies = map[string]string{
	"annotations.secrets":     "add to annotations.secrets in config.yaml: - {secret: ",
	"annotations.credentials": " to annotations.credentials",
	"registries":              "but config.yaml gives these credentials to ",
}

// notes are what a server has received: for each path, whether there were credentials.
type notes struct {
	mu  sync.Mutex
	all map[string]bool
}

func (n *notes) note(r *http.Request) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.all == nil {
		n.all = map[string]bool{}
	}
	n.all[r.URL.Path] = n.all[r.URL.Path] || r.Header.Get("Authorization") != ""
}

// received reports whether there was a request about something, and with credentials.
func (n *notes) received(what string) (asked, sent bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for path, credentials := range n.all {
		if strings.Contains(path, "/"+what+"/") || strings.Contains(path, "/"+what+".git/") {
			asked, sent = true, sent || credentials
		}
	}

	return asked, sent
}

// side is a registry and a git server: those that the credentials are for, or a stranger's.
type side struct {
	registry      *registry.Server
	git           *git.Server
	images, repos notes
}

func newSide(t *testing.T) *side {
	t.Helper()
	s := &side{registry: harness.NewRegistry(t), git: harness.NewGit(t)}
	s.registry.User, s.registry.Password = "ada", "s3cret"
	s.registry.Fault = func(_ http.ResponseWriter, r *http.Request) bool { s.images.note(r); return false }
	s.git.Received = s.repos.note
	s.git.Allow = func(string, string) bool { return false }

	return s
}

func (s *side) gitHost() string { return strings.TrimPrefix(s.git.URL, "http://") }

// world is a cluster with tenants, and the servers.
type world struct {
	t            *testing.T
	kubernetes   *kube.Cluster
	own, foreign *side
	hub          *forge.GitHub
	config       string
	program      string
}

// TestCredentials has Applications name every kind of credentials for the server that
// they are for, and for a stranger's, all in one cycle. In the same cycle, the update of
// somebody else lands.
func TestCredentials(t *testing.T) {
	data, err := os.ReadFile("../../testdata/tenants/credentials.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var rows struct{ Registries, Repositories []cell }
	decoder := yaml.NewDecoder(strings.NewReader(string(data)))
	decoder.KnownFields(true)
	if err := decoder.Decode(&rows); err != nil {
		t.Fatal(err)
	}

	w := newWorld(t)
	for i, row := range rows.Registries {
		for name, at := range w.sides(fmt.Sprintf("registry-%d", i)) {
			w.image(name, row, at)
		}
	}
	for i, row := range rows.Repositories {
		for name, at := range w.sides(fmt.Sprintf("repository-%d", i)) {
			w.repository(name, row, at)
		}
	}

	got := w.updater("run", "--once")
	content := harness.Show(t, w.own.git, "o/victim", "app/kustomization.yaml")
	if !strings.Contains(content, "newTag: 1.1.0") {
		t.Errorf("the victim's update did not land:\n%s\n%s", content, got.Stderr)
	}
	reasons := w.reasons()
	for i, row := range rows.Registries {
		w.check(fmt.Sprintf("registry-%d", i), row, reasons, func(s *side) *notes { return &s.images })
	}
	for i, row := range rows.Repositories {
		w.check(fmt.Sprintf("repository-%d", i), row, reasons, func(s *side) *notes { return &s.repos })
	}
	if text := got.Stdout + got.Stderr; strings.Contains(text, "s3cret") || strings.Contains(text, w.hub.Token()) {
		t.Errorf("the output holds credentials:\n%s", text)
	}
}

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{t: t, kubernetes: harness.NewKubernetes(t), own: newSide(t), foreign: newSide(t)}
	var err error
	if w.hub, err = forge.NewGitHub(w.own.git); err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	w.program = filepath.Join(dir, "login")
	if err := os.WriteFile(w.program, []byte("#!/bin/sh\necho ada:s3cret\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	t.Setenv("LOGIN", "ada:s3cret")
	t.Setenv("GIVEN", "ada:s3cret")
	t.Setenv("DOCKER_CONFIG", dir)

	key := harness.Write(t, filepath.Join(dir, "app.pem"), string(w.hub.PrivateKey))
	w.config = harness.Write(t, filepath.Join(dir, "config.yaml"), sandbox.Network+fmt.Sprintf(`web: {listen: ""}
registries:
- {prefix: %[1]s/given, api_url: "http://%[1]s", credentials: "env:GIVEN"}
- {prefix: %[1]s/vault, api_url: "http://%[1]s", credentials: "secret:argocd/vault#creds"}
annotations:
  secrets: [{secret: argocd/listed, hosts: ["%[1]s", "%[2]s"], projects: [team, default]}]
github:
  apiURL: %[3]s/
  app: {id: %[4]d, privateKeyFile: %[5]s}
`, w.own.registry.Host(), w.own.gitHost(), w.hub.URL, forge.AppID, key))
	for _, tenant := range []string{"team", "other"} {
		if err := w.kubernetes.SetProject(t.Context(), tenant,
			fmt.Sprintf(`{sourceRepos: ["*"], sourceNamespaces: [%s]}`, tenant)); err != nil {
			t.Fatal(err)
		}
	}
	w.createSecrets()
	w.createVictim()

	return w
}

// createSecrets creates the Secrets of the tenants, of Argo CD, and of its repositories.
func (w *world) createSecrets() {
	w.t.Helper()
	docker := map[string]any{}
	stranger := w.foreign.registry.Host()
	for _, key := range []string{w.own.registry.Host(), stranger[:len(stranger)-1], "127.0.0.1"} {
		docker[key] = map[string]string{"auth": base64.StdEncoding.EncodeToString([]byte("ada:s3cret"))}
	}
	auths, err := json.Marshal(map[string]any{"auths": docker})
	if err != nil {
		w.t.Fatal(err)
	}

	login := map[string]string{"username": "ada", "password": "s3cret", "creds": "ada:s3cret", "other": "ada:s3cret"}
	bound := map[string]string{"username": "ada", "password": "s3cret", "url": w.own.git.URL}
	app := map[string]string{
		"githubAppID": fmt.Sprint(forge.AppID), "githubAppInstallationID": fmt.Sprint(forge.InstallationID),
		"githubAppPrivateKey": string(w.hub.PrivateKey), "githubAppEnterpriseBaseUrl": w.hub.URL,
	}
	for _, namespace := range []string{"argocd", "team", "other"} {
		if namespace != "argocd" {
			w.create("", "apiVersion: v1\nkind: Namespace\nmetadata: {name: "+namespace+"}\n")
		}
		w.secret(namespace, "login", login)
		w.secret(namespace, "bound", bound)
		w.secret(namespace, "app", app)
		w.secret(namespace, "docker", map[string]string{".dockerconfigjson": string(auths)})
	}
	w.secret("argocd", "listed", login)
	w.secret("argocd", "vault", login)
	w.secret("argocd", "template", bound)
	// What Argo CD itself would take for the stranger's as well.
	short := w.foreign.git.URL[:len(w.foreign.git.URL)-1]
	w.secret("argocd", "short-template", map[string]string{"username": "ada", "password": "s3cret", "url": short})
}

func (w *world) secret(namespace, name string, fields map[string]string) {
	w.t.Helper()
	data, err := json.Marshal(fields)
	if err != nil {
		w.t.Fatal(err)
	}
	label := ""
	if strings.HasSuffix(name, "template") {
		label = `argocd.argoproj.io/secret-type: repo-creds`
	}
	w.create(namespace, fmt.Sprintf("apiVersion: v1\nkind: Secret\nmetadata: {name: %s, labels: {%s}}\n"+
		"stringData: %s\n", name, label, data))
}

func (w *world) create(namespace, manifest string) {
	w.t.Helper()
	if err := w.kubernetes.Create(w.t.Context(), namespace, manifest); err != nil {
		w.t.Fatal(err)
	}
}

// victimImage is an image that everybody may read, with credentials of the configuration.
func (w *world) victimImage() string { return w.own.registry.Host() + "/given/victim" }

func (w *world) createVictim() {
	w.t.Helper()
	for i, tag := range []string{"1.0.0", "1.1.0"} {
		w.own.registry.Announce("given/victim", tag, fmt.Sprintf("sha256:%064d", i), time.Now())
	}
	w.createRepository("victim", w.victimImage())
	w.application("argocd", "victim", w.victimImage(), w.own.git.URLOf("o/victim"), nil)
}

func (w *world) createRepository(name, image string) {
	w.t.Helper()
	file := "images:\n- name: " + image + "\n  newTag: 1.0.0\n"
	if err := w.own.git.Create("o/"+name, true, map[string]string{"app/kustomization.yaml": file}); err != nil {
		w.t.Fatal(err)
	}
}

// application creates an Application with one image.
func (w *world) application(namespace, name, image, repository string, annotations map[string]string) {
	w.t.Helper()
	lines := "image-list: app=" + image + "\napp.force-update: \"true\"\n"
	for annotation, value := range annotations {
		lines += fmt.Sprintf("%s: %q\n", annotation, value)
	}
	project := map[string]string{"argocd": "default"}[namespace]
	if project == "" {
		project = namespace
	}
	manifest := harness.Manifest(name, repository, "app", lines)
	manifest = strings.Replace(manifest, "namespace: argocd", "namespace: "+namespace, 1)
	manifest = strings.Replace(manifest, "spec:\n", "spec:\n  project: "+project+
		"\n  destination: {server: \"https://kubernetes.default.svc\"}\n", 1)
	w.create(namespace, strings.TrimSuffix(manifest, "---\n"))
}

// sides are the two cells of a row, by the names of their Applications.
func (w *world) sides(row string) map[string]*side {
	return map[string]*side{row + "-own": w.own, row + "-foreign": w.foreign}
}

// image creates an Application that names credentials for a registry.
func (w *world) image(name string, row cell, at *side) {
	w.t.Helper()
	annotations := map[string]string{}
	if row.Names != "" {
		annotations["app.pull-secret"] = strings.Replace(row.Names, "PROGRAM", w.program, 1)
	}
	image := at.registry.Host() + "/" + row.Path + name
	w.application(row.In, name, image, w.own.git.URLOf("o/victim"), annotations)
}

// repository creates an Application that names credentials for a git server.
func (w *world) repository(name string, row cell, at *side) {
	w.t.Helper()
	if at == w.own {
		w.createRepository(name, w.victimImage())
	}
	w.application(row.In, name, w.victimImage(), at.git.URLOf("o/"+name),
		map[string]string{"write-back-method": row.Names})
}

func (w *world) updater(args ...string) harness.Result {
	w.t.Helper()
	return harness.Run(w.t, append(args, "--config", w.config, "--kubeconfig", w.kubernetes.Kubeconfig,
		"--argocd-namespace", "argocd")...)
}

// reasons are what the plan says about each Application's image.
func (w *world) reasons() map[string]string {
	w.t.Helper()
	got := w.updater("plan", "-o", "json")
	var printed plan.Plan
	if err := json.Unmarshal([]byte(got.Stdout), &printed); err != nil {
		w.t.Fatalf("%v\n%s", err, got.Stderr)
	}
	reasons := map[string]string{}
	for _, app := range printed.Applications {
		reasons[app.Name] = strings.Join(app.Problems, "; ")
		for _, image := range app.Images {
			reasons[app.Name] += image.Reason
		}
	}

	return reasons
}

// check compares both cells of a row with what the servers have received.
func (w *world) check(row string, want cell, reasons map[string]string, of func(*side) *notes) {
	w.t.Helper()
	expected := map[string]string{row + "-own": want.Own, row + "-foreign": want.Foreign}
	for name, at := range w.sides(row) {
		asked, sent := of(at).received(name)
		result := map[bool]string{true: "sent", false: "kept"}[sent]
		if result != expected[name] {
			w.t.Errorf("%s: %+v: %s; the plan says %s", name, want, result, reasons[name])
		}
		if expected[name] != "kept" || want.Rule == "" {
			continue
		}
		if asked {
			w.t.Errorf("%s: %+v: the server received a request", name, want)
		}
		if !strings.Contains(reasons[name], remedies[want.Rule]) {
			w.t.Errorf("%s: %+v: the plan says %q, and not %q", name, want, reasons[name], remedies[want.Rule])
		}
	}
}
