package gitwrite

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/liverty-music/image-writeback/internal/sandbox/forge"
	sandboxgit "github.com/liverty-music/image-writeback/internal/sandbox/git"
)

// received are the Authorization headers of all requests to a server.
type received struct {
	mu  sync.Mutex
	all []string
}

func (r *received) note(request *http.Request) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.all = append(r.all, request.Header.Get("Authorization"))
}

// strangersGit is a git server that notes what it receives.
func strangersGit(t *testing.T) (*sandboxgit.Server, *received) {
	t.Helper()
	stranger, got := startGit(t, true, 1), &received{}
	stranger.Received = got.note

	return stranger, got
}

// TestSecretsStayAtTheirServer has Applications name Secrets for the server of a
// stranger. It receives no request at all.
func TestSecretsStayAtTheirServer(t *testing.T) {
	stranger, got := strangersGit(t)
	own := startGit(t, true, 1)
	own.Allow = func(user, password string) bool { return user == "ada" && password == "s3cret" }
	secrets := secretsOf([]storedSecret{
		{Name: "plain", Data: map[string]string{"username": "ada", "password": "s3cret"}},
		{Name: "bound", Data: map[string]string{"url": own.URL, "username": "ada", "password": "s3cret"}},
		{Name: "template", Kind: "template", Data: map[string]string{
			"url": own.URL, "username": "ada", "password": "s3cret",
		}},
		// A template of a host that the stranger's begins with, as Argo CD would read it.
		{Name: "short", Kind: "template", Data: map[string]string{
			"url": stranger.URL[:len(stranger.URL)-1], "username": "ada", "password": "s3cret",
		}},
	})
	service := newService(t, Options{Credentials: secrets.Find, Scoped: secrets.Scoped})

	for _, from := range []string{"secret:argocd/plain", "secret:argocd/bound"} {
		if err := readAs(service, Access{URL: own.URLOf(repo), From: from}); err != nil {
			t.Errorf("%s for its own server: %v", from, err)
		}
		err := readAs(service, Access{URL: stranger.URLOf(repo), From: from})
		if err == nil || !strings.Contains(err.Error(), "; ") || strings.Contains(err.Error(), "s3cret") {
			t.Errorf("%s for a stranger: %v", from, err)
		}
	}
	if len(got.all) > 0 {
		t.Errorf("the stranger received %d requests", len(got.all))
	}

	// Without a Secret the repository is public.
	if err := readAs(service, Access{URL: stranger.URLOf(repo)}); err != nil {
		t.Error(err)
	}
	if sent := strings.Join(got.all, ""); sent != "" || len(got.all) == 0 {
		t.Errorf("the stranger received %q in %d requests", sent, len(got.all))
	}
}

// TestVouchedIsNotShared checks that one Application, of which the operator says so, does
// not open a repository for another one.
func TestVouchedIsNotShared(t *testing.T) {
	stranger, got := strangersGit(t)
	secrets := secretsOf([]storedSecret{
		{Name: "git", Data: map[string]string{"username": "ada", "password": "s3cret"}},
	})
	service := newService(t, Options{Credentials: secrets.Find})
	access := Access{URL: stranger.URLOf(repo), From: "secret:argocd/git", Vouched: true}
	if err := readAs(service, access); err != nil || len(got.all) == 0 {
		t.Fatalf("%v, %d requests", err, len(got.all))
	}

	before := len(got.all)
	access.Vouched = false
	if err := readAs(service, access); err == nil || len(got.all) > before {
		t.Errorf("%v, %d requests", err, len(got.all)-before)
	}
}

// TestAppsTokensStayAtTheirGitHub has a Secret with a GitHub App named for other servers:
// no token is made, and they receive nothing.
func TestAppsTokensStayAtTheirGitHub(t *testing.T) {
	stranger, got := strangersGit(t)
	git := startGit(t, true, 1)
	hub, err := forge.NewGitHub(git)
	if err != nil {
		t.Fatal(err)
	}
	app := Credentials{
		GitHubAppID: forge.AppID, GitHubInstallationID: forge.InstallationID, GitHubAppKey: hub.PrivateKey,
		GitHubURL: hub.URL,
	}
	for _, url := range []string{
		stranger.URLOf(repo), strings.Replace(git.URLOf(repo), "127.0.0.1", "localhost", 1),
		strings.Replace(git.URLOf(repo), "http://", "https://", 1),
	} {
		if err := reads(t, url, app); err == nil || !strings.Contains(err.Error(), "is sent only to the GitHub of") {
			t.Errorf("%s: %v", url, err)
		}
	}
	app.GitHubURL = "" // that of github.com
	if err := reads(t, git.URLOf(repo), app); err == nil || !strings.Contains(err.Error(), "https://api.github.com") {
		t.Error(err)
	}
	if len(got.all) > 0 || len(hub.Grants()) > 0 {
		t.Errorf("the stranger received %d requests, and %d tokens were made", len(got.all), len(hub.Grants()))
	}

	app.GitHubURL = hub.URL
	if err := reads(t, git.URLOf(repo), app); err != nil {
		t.Error(err)
	}
	if grants := fmt.Sprint(hub.Grants()); !strings.Contains(grants, "[manifests] map[contents:write]") {
		t.Errorf("tokens for %s", grants)
	}
}

// TestRedirectsGetNoCredentials has a server redirect to another one.
func TestRedirectsGetNoCredentials(t *testing.T) {
	stranger, got := strangersGit(t)
	own := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, stranger.URL+r.URL.RequestURI(), http.StatusTemporaryRedirect)
	}))
	t.Cleanup(own.Close)
	for name, c := range map[string]Credentials{
		"password": {Username: "ada", Password: "s3cret"}, "token": {BearerToken: "s3cret"},
	} {
		_ = reads(t, own.URL+"/"+repo+".git", c) // whether a redirect is followed is the library's matter
		if sent := strings.Join(got.all, ""); sent != "" {
			t.Errorf("%s: the stranger received %q", name, sent)
		}
	}
}

// readAs reads a file of a repository.
func readAs(service *Service, access Access) error {
	r, err := service.Open(context.Background(), access)
	if err != nil {
		return err
	}
	_, err = r.Read(context.Background(), []Want{wantFile("f0/k.yaml")})

	return err
}
