package gitwrite

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/pem"
	"strings"
	"testing"

	"golang.org/x/crypto/ssh"

	sandboxgit "github.com/liverty-music/image-writeback/internal/sandbox/git"
)

func TestSSHWithKnownHosts(t *testing.T) {
	git := startGit(t, true, 1)
	server, err := sandboxgit.NewSSH(git)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(server.Close)
	write := func(c Credentials) error {
		service := newService(t, Options{Credentials: func(context.Context, Access) (Credentials, error) {
			return c, nil
		}})
		r, err := service.Open(context.Background(), Access{URL: server.URLOf(repo), From: "secret:argocd/git"})
		if err != nil {
			return err
		}
		return writeAll(r, setTag("f0/k.yaml", "v0", "v1"))
	}
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	other, err := ssh.MarshalPrivateKey(key, "")
	if err != nil {
		t.Fatal(err)
	}
	const otherHost = "example.com ssh-ed25519 " +
		"AAAAC3NzaC1lZDI1NTE5AAAAIAkSCtxhbLrF5XTaXa2M9ZuF0zNnuGZbHIjx1aI4QwX6\n"
	for name, c := range map[string]struct {
		credentials Credentials
		want        string
	}{
		"a host that is not known": {Credentials{SSHPrivateKey: server.PrivateKey,
			KnownHosts: otherHost}, "knownhosts"},
		"a key that is refused": {Credentials{SSHPrivateKey: pem.EncodeToMemory(other),
			KnownHosts: server.KnownHosts}, "unable to authenticate"},
		"a key that is none": {Credentials{SSHPrivateKey: []byte("s3cret"), KnownHosts: server.KnownHosts},
			"cannot be read"},
	} {
		if err := write(c.credentials); err == nil || !strings.Contains(err.Error(), c.want) ||
			strings.Contains(err.Error(), "s3cret") {
			t.Errorf("%s: %v; want %q", name, err, c.want)
		}
	}
	if err := write(Credentials{SSHPrivateKey: server.PrivateKey, KnownHosts: server.KnownHosts}); err != nil {
		t.Fatal(err)
	}
	if got := show(t, git, "f0/k.yaml"); got != "tag: v1\n" {
		t.Errorf("file: %q", got)
	}
}
