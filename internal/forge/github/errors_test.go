package github

import (
	"strings"
	"testing"

	"github.com/liverty-music/image-writeback/internal/forge/forgetest"
	"github.com/liverty-music/image-writeback/internal/giturl"
	sandboxforge "github.com/liverty-music/image-writeback/internal/sandbox/forge"
)

// TestRefusals holds the error for each way in which GitHub refuses.
func TestRefusals(t *testing.T) {
	forgetest.RunRefusals(t, "../../../testdata/forge/github.yaml", func(t *testing.T) *forgetest.Fixture {
		_, f := startFixture(t)
		return f
	})
}

// TestAnotherInstallation is one that config.yaml names, and that is not there.
func TestAnotherInstallation(t *testing.T) {
	hub, r := start(t)
	r.client.installationID = 1
	forgetest.CheckError(t, forgetest.Propose(t, r, proposed()), hub.Token(),
		"listing its pull requests", "404 Not Found", "github.app.installationID")
}

// TestAMissingPermission is named as the App's settings name it.
func TestAMissingPermission(t *testing.T) {
	hub, r := start(t)
	hub.NotGranted = []string{"pull_requests"}
	forgetest.CheckError(t, forgetest.Propose(t, r, proposed()), hub.Token(),
		"422 The permissions requested are not granted", "grant the App the repository permission "+
			"Contents: read and write, and Pull requests: read and write")
	if _, _, err := r.Login(t.Context(), ""); err != nil { // git needs it not
		t.Error(err)
	}
	hub.NotGranted = []string{"contents"}
	_, err := r.Compare(t.Context(), "main", "head")
	forgetest.CheckError(t, err, hub.Token(), "422", "grant the App the repository permission Contents: read,")
}

// TestARepositoryThatIsNotInstalled is one that the configured installation does not
// have.
func TestARepositoryThatIsNotInstalled(t *testing.T) {
	hub, r := start(t)
	if _, _, err := r.Login(t.Context(), ""); err != nil { // finds the installation
		t.Fatal(err)
	}
	r.client.installationID = sandboxforge.InstallationID
	other := r.client.repository(giturl.Parse(hub.URL + "/o/none"))
	_, _, err := other.Login(t.Context(), "")
	forgetest.CheckError(t, err, hub.Token(), "422 There is at least one repository",
		"install the App on this repository")
}

// TestNoSuchReviewer names the setting to correct.
func TestNoSuchReviewer(t *testing.T) {
	hub, r := start(t)
	p := proposed()
	p.Reviewers = []string{"nobody"}
	forgetest.CheckError(t, forgetest.Propose(t, r, p), hub.Token(),
		"asking for reviews", "Reviews may only be requested from collaborators", "github.pullRequest.reviewers")
}

// TestATokensErrors never quote the token.
func TestATokensErrors(t *testing.T) {
	hub, _ := start(t)
	address := giturl.Parse(hub.URL + "/" + forgetest.Name)
	for token, want := range map[string]string{"ghp_old": "put it into github.tokenFile", hub.Token(): ""} {
		client, err := New(tokenOptions(t, hub.URL, token+"\n"))
		if err != nil {
			t.Fatal(err)
		}
		_, err = client.Repository(address).OpenPullRequests(t.Context())
		if want != "" {
			forgetest.CheckError(t, err, token, want, "make a new token")
		} else if err != nil {
			t.Error(err)
		}
	}

	bad := appOptions(t, hub)
	bad.PrivateKeyFile = forgetest.WriteFile(t, "s3cret")
	for want, options := range map[string]Options{
		"is empty":                         tokenOptions(t, hub.URL, "\n"),
		"does not hold an RSA private key": bad,
		"github.apiURL":                    tokenOptions(t, "api.github.com", "s3cret"),
	} {
		_, err := New(options)
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "s3cret") {
			t.Errorf("%v, want %q", err, want)
		}
	}
}
