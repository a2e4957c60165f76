package github

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/liverty-music/image-writeback/internal/forge"
	"github.com/liverty-music/image-writeback/internal/forge/forgetest"
	"github.com/liverty-music/image-writeback/internal/giturl"
	sandboxforge "github.com/liverty-music/image-writeback/internal/sandbox/forge"
)

// TestTokensAreForOneRepository checks what each token of the App is asked for: one
// repository, and the permissions that the requests with it need. The stand-in refuses
// every request that its token does not allow.
func TestTokensAreForOneRepository(t *testing.T) {
	hub, r := start(t)
	ctx, p := t.Context(), proposed()
	if _, _, err := r.Login(ctx, ""); err != nil {
		t.Fatal(err)
	}
	pr := forgetest.Must[forge.PullRequest](t)(r.Create(ctx, p))
	p.AutoMerge = true
	if err := r.Complete(ctx, pr, p); err != nil {
		t.Fatal(err)
	}
	if err := r.CommentOnce(ctx, pr, "<!-- a -->", "Look.\n<!-- a -->"); err != nil {
		t.Fatal(err)
	}
	if err := r.Close(ctx, pr, "closed"); err != nil {
		t.Fatal(err)
	}
	forgetest.Must[forge.Comparison](t)(r.Compare(ctx, "main", "head"))

	var got []string
	for _, grant := range hub.Grants() {
		got = append(got, fmt.Sprint(grant.Repositories, grant.Permissions))
	}
	want := []string{
		"[manifests] map[contents:write]",
		"[manifests] map[contents:write pull_requests:write]",
		"[manifests] map[contents:write members:read pull_requests:write]",
		"[manifests] map[contents:read]",
	}
	if !slices.Equal(got, want) {
		t.Errorf("tokens\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

// TestTeamsWithoutMembers leaves it to GitHub whether an App that may not read the
// members of an organization finds its teams.
func TestTeamsWithoutMembers(t *testing.T) {
	hub, r := start(t)
	hub.NotGranted = []string{"members"}
	pr := forgetest.Must[forge.PullRequest](t)(r.Create(t.Context(), proposed()))
	forgetest.CheckError(t, r.Complete(t.Context(), pr, proposed()), hub.Token(),
		"Could not resolve to a node", "Members: read")

	p := proposed()
	p.Reviewers = []string{"bob"}
	if err := r.Complete(t.Context(), pr, p); err != nil {
		t.Error(err)
	}
}

// TestRepositoriesAreForgotten checks that an endless row of repositories, whose names
// somebody makes up, takes no endless memory.
func TestRepositoriesAreForgotten(t *testing.T) {
	client, err := New(tokenOptions(t, "https://api.github.com", "s3cret"))
	if err != nil {
		t.Fatal(err)
	}
	for i := range mostRepositories + 10 {
		client.Repository(giturl.Parse(fmt.Sprintf("https://github.com/o/r%d", i)))
		client.limitsOf(int64(i))
	}
	if repositories, limits := client.repositories.Len(), client.limits.Len(); repositories != mostRepositories ||
		limits != mostRepositories {
		t.Errorf("%d repositories and %d rate limits are remembered", repositories, limits)
	}
}

// TestTheKeyIsReplaced has the App's key in a file that somebody replaces, as after a
// rotation: the new one counts as soon as GitHub refuses the old one.
func TestTheKeyIsReplaced(t *testing.T) {
	hub, _ := start(t)
	options := appOptions(t, hub)
	old, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	put := func(key []byte) {
		t.Helper()
		if err := os.WriteFile(options.PrivateKeyFile, key, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	put(pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(old)}))
	options.InstallationID = sandboxforge.InstallationID
	client, err := New(options)
	if err != nil {
		t.Fatal(err)
	}
	put(hub.PrivateKey)

	r := client.Repository(giturl.Parse("https://127.0.0.1/" + forgetest.Name))
	if _, _, err := r.Login(t.Context(), ""); err != nil {
		t.Error(err)
	}
	if open := forgetest.Must[[]forge.PullRequest](t)(r.OpenPullRequests(t.Context())); len(open) > 0 {
		t.Errorf("open: %v", open)
	}
}
