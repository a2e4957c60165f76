package compatibility

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/url"
	"path/filepath"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/liverty-music/image-writeback/internal/sandbox"
	"github.com/liverty-music/image-writeback/test/harness"
)

// leaked are the forms in which a secret could turn up.
func leaked(secret string) []string {
	return []string{secret, url.QueryEscape(secret), url.PathEscape(secret),
		base64.StdEncoding.EncodeToString([]byte(secret)),
		base64.StdEncoding.EncodeToString([]byte("ada:" + secret)), strings.ReplaceAll(
			fmt.Sprintf("%q", secret), `"`, "")}
}

// The secrets: one that is right, one that is refused, one that cannot be read.
const password, token, key = "s3cret/p@ss w0rd", "s3cret-t0ken", "s3cret-k3y"

// TestSecretsStayWhereTheyAre uses secrets of every kind: valid, refused and
// unreadable ones. It searches for them in all output: logs at debug level, errors,
// plans, explanations, metrics, Events and commits.
func TestSecretsStayWhereTheyAre(t *testing.T) {
	c := newCompat(t, `annotations:
  credentials: [env, ext]
  secrets:
  - {secret: argocd/good, hosts: [reg.example.com]}
  - {secret: argocd/wrong, hosts: [reg.example.com]}
  - {secret: argocd/bare, hosts: [reg.example.com]}
`)
	c.registry.User, c.registry.Password = "ada", password
	c.git.Allow = func(user, given string) bool { return user == "ada" && given == password }
	c.registry.Announce("p/app", "1.0.0", digestOf(1), time.Now())
	c.registry.Announce("p/app", "1.1.0", digestOf(2), time.Now())
	c.createSecrets()
	t.Setenv("REGISTRY_LOGIN", "ada:"+password)
	t.Setenv("REGISTRY_BROKEN", token)
	c.stageLogins()

	var said strings.Builder
	for _, args := range [][]string{{"plan"}, {"plan", "-o", "json"}, {"plan", "-o", "yaml"},
		{"explain", "pull-wrong"}, {"explain", "git-wrong"}, {"run", "--once", "--dry-run", "--log-level", "debug"},
		{"run", "--once", "--log-level", "debug", "--log-format", "json"}} {
		got := c.updater(args...)
		if got.Status != 1 {
			t.Errorf("%v ended with status %d\n%s", args, got.Status, got.Stderr)
		}
		said.WriteString(got.Stdout + got.Stderr)
	}

	said.WriteString(c.serviceOutput())
	for _, name := range []string{"pull-secret", "pull-docker", "pull-env", "git-good", "git-template"} {
		history, err := c.git.Run(name, "log", "-p", "main")
		if err != nil || !strings.Contains(history, "+  newTag: 1.1.0") {
			t.Errorf("%s was not written: %v\n%s", name, err, history)
		}
		said.WriteString(history)
	}

	findNoSecret(t, said.String())
}

// stageLogins creates Applications that use the Secrets, and the environment and a
// program, for the registry and for git.
func (c *compat) stageLogins() {
	t := c.t
	t.Helper()
	script := harness.Write(t, filepath.Join(t.TempDir(), "login"), "#!/bin/sh\necho "+token+"; echo "+key+
		" >&2; exit 1\n")
	pulls := map[string]string{"secret": "secret:argocd/good#creds", "wrong": "secret:argocd/wrong#creds",
		"bare": "secret:argocd/bare#creds", "field": "secret:argocd/good#none",
		"docker": "pullsecret:argocd/docker", "docker-broken": "pullsecret:argocd/docker-broken",
		"docker-garbage": "pullsecret:argocd/docker-garbage",
		"env":            "env:REGISTRY_LOGIN", "env-broken": "env:REGISTRY_BROKEN", "script": "ext:" +
			script, "literal": "ada:" + token}
	methods := map[string]string{"template": "git:repocreds"}
	for _, name := range []string{"good", "wrong", "ssh", "app", "app-broken", "tls", "google", "bearer", "proxy",
		"docker", "none"} {
		methods[name] = "git:secret:argocd/" + name
	}

	for name, pull := range pulls {
		c.stageWith("pull-"+name, pull, "git:secret:argocd/good", "")
	}

	for name, method := range methods {
		c.stageWith("git-"+name, "secret:argocd/good#creds", method, "")
	}

	c.stageWith("url-right", "secret:argocd/good#creds", "git", "ada:"+url.QueryEscape(token))
	c.stageWith("url-wrong", "secret:argocd/good#creds", "git:secret:argocd/tls", "ada:"+url.QueryEscape(token))
}

// findNoSecret searches for the secrets, in all forms and in parts.
func findNoSecret(t *testing.T, output string) {
	t.Helper()
	for _, secret := range []string{password, token, key} {
		for _, form := range leaked(secret) {
			if i := strings.Index(output, form); i >= 0 {
				t.Errorf("%q is in the output: …%s…", form, output[max(0, i-300):min(len(output), i+100)])
			}
		}
	}

	if strings.Contains(output, "s3cret") {
		i := strings.Index(output, "s3cret")
		t.Errorf("a part of a secret is in the output: …%s…", output[max(0, i-300):min(len(output), i+100)])
	}
}

// createSecrets creates Secrets of every kind.
func (c *compat) createSecrets() {
	t := c.t
	t.Helper()
	secret := func(name, labels string, fields map[string]string) {
		t.Helper()
		data, err := json.Marshal(fields)
		if err != nil {
			t.Fatal(err)
		}
		if err := c.kubernetes.Create(t.Context(), "argocd",
			fmt.Sprintf("apiVersion: v1\nkind: Secret\nmetadata: {name: %s, labels: {%s}}\nstringData: %s\n",
				name, labels, data)); err != nil {
			t.Fatal(err)
		}
	}

	docker := func(auth string) string { return `{"auths": {"reg.example.com": {"auth": "` + auth + `"}}}` }
	secret("good", "", map[string]string{"username": "ada", "password": password, "creds": "ada:" + password})
	secret("wrong", "", map[string]string{"username": "ada", "password": token, "creds": "ada:" + token})
	secret("bare", "", map[string]string{"creds": token, "username": "ada", "password": password})
	secret("docker", "", map[string]string{".dockerconfigjson": docker(
		base64.StdEncoding.EncodeToString([]byte("ada:" + password)))})
	secret("docker-broken", "", map[string]string{".dockerconfigjson": docker(token)})
	secret("docker-garbage", "", map[string]string{".dockerconfigjson": token})
	secret("ssh", "", map[string]string{"sshPrivateKey": key})
	secret("app", "", map[string]string{"githubAppID": "1", "githubAppInstallationID": "2",
		"githubAppPrivateKey": key})
	secret("app-broken", "", map[string]string{"githubAppID": token, "githubAppInstallationID": "2",
		"githubAppPrivateKey": key})
	secret("tls", "", map[string]string{"tlsClientCertData": key, "tlsClientCertKey": key})
	secret("google", "", map[string]string{"gcpServiceAccountKey": key})
	secret("bearer", "", map[string]string{"bearerToken": token})
	secret("proxy", "", map[string]string{"username": "ada", "password": password, "proxy": "http://ada:" + token +
		"@127.0.0.1:1"})
	secret("template", "argocd.argoproj.io/secret-type: repo-creds",
		map[string]string{"url": c.git.URL, "username": "ada", "password": password})
}

// stageWith creates an Application, and its repository, with a pull-secret and a
// write-back-method; userinfo is in the URL of the repository.
func (c *compat) stageWith(name, pull, method, userinfo string) {
	t := c.t
	t.Helper()
	files := map[string]string{"app/kustomization.yaml": "images:\n- name: reg.example.com/p/app\n  newTag: 1.0.0\n"}
	if err := c.git.Create(name, true, files); err != nil {
		t.Fatal(err)
	}
	repoURL := c.git.URLOf(name)
	if userinfo != "" {
		repoURL = strings.Replace(repoURL, "http://", "http://"+userinfo+"@", 1)
	}
	c.application("argocd", name, map[string]any{"image-list": "app=reg.example.com/p/app",
		"app.pull-secret": pull, "write-back-method": method},
		map[string]any{"source": map[string]any{"repoURL": repoURL,
			"path": "app"}}, map[string]any{"sourceType": "Kustomize",
			"summary": map[string]any{"images": []string{"reg.example.com/p/app:1.0.0"}}})
}

// serviceOutput is what the service logs, its metrics, and its Events.
func (c *compat) serviceOutput() string {
	t := c.t
	t.Helper()
	health := harness.FreeAddress(t)
	harness.Edit(t, c.config, "registries:", fmt.Sprintf("web: {listen: %q}\nregistries:", health))
	ctx, stop := context.WithCancel(t.Context())
	var log sandbox.Log
	ended := harness.Go(ctx, &log, "run", "--config", c.config, "--kubeconfig", c.kubernetes.Kubeconfig,
		"--argocd-namespace", "argocd")
	harness.Await(t, "a cycle", func() bool { return strings.Contains(log.String(), "cycle done") })
	said := harness.Get(t, "http://"+health+"/metrics")
	stop()
	if status := <-ended; status != 0 {
		t.Errorf("the service ended with status %d\n%s", status, log.String())
	}

	events, err := c.kubernetes.Dynamic.Resource(schema.GroupVersionResource{Version: "v1",
		Resource: "events"}).Namespace("argocd").List(t.Context(), metav1.ListOptions{})
	if err != nil || len(events.Items) == 0 {
		t.Fatalf("events %v, %v", events, err)
	}

	return said + log.String() + text(events.Items)
}
