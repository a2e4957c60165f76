package gitwrite

import (
	"crypto/ed25519"
	"crypto/rand"
	"encoding/pem"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/crypto/ssh"

	"github.com/liverty-music/image-writeback/internal/sandbox/git"
)

// signed commits with a signer and lets git verify the commit in a separate
// environment. It returns git's output.
func signed(t *testing.T, git *git.Server, signer *Signer, environment []string, settings ...string) string {
	t.Helper()
	r := open(t, newService(t, Options{}), git.URLOf(repo))
	by := NewCommit{Author: Signature{"Image Writeback", "bot@example.com"}, Signer: signer}
	noError(t, write(r, by, setTag("f0/k.yaml", "v0", "v1")))
	args := []string{"-C", filepath.Join(git.Root, repo+".git")}
	for _, s := range settings {
		args = append(args, "-c", s)
	}
	command := exec.Command("git", append(args, "verify-commit", "--verbose", "main")...)
	command.Env = append([]string{"PATH=" + os.Getenv("PATH"), "LC_ALL=C", "GIT_CONFIG_NOSYSTEM=1"}, environment...)
	out, err := command.CombinedOutput()
	if err != nil {
		t.Fatalf("git does not verify the commit: %v\n%s", err, out)
	}
	return string(out)
}

func TestSSHSignature(t *testing.T) {
	git := startGit(t, true, 1)
	dir := t.TempDir()
	key := filepath.Join(dir, "key")
	if out, err := exec.Command("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f",
		key).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	public, err := os.ReadFile(key + ".pub")
	if err != nil {
		t.Fatal(err)
	}
	allowed := filepath.Join(dir, "allowed")
	if err := os.WriteFile(allowed, []byte("bot@example.com "+string(public)), 0o600); err != nil {
		t.Fatal(err)
	}
	signer, err := NewSigner(SignSSH, key)
	if err != nil {
		t.Fatal(err)
	}
	said := signed(t, git, signer, []string{"HOME=" + dir}, "gpg.ssh.allowedSignersFile="+allowed)
	if !strings.Contains(said, `Good "git" signature for bot@example.com`) ||
		!strings.Contains(said, "\nauthor Image Writeback <bot@example.com>") {
		t.Errorf("git said %s", said)
	}
}

// TestOpenPGPSignature signs with an exported key, and through gpg, which both
// verify with gpg.
func TestOpenPGPSignature(t *testing.T) {
	home, err := os.MkdirTemp("", "gpg") // short: gpg's agent listens in it
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv("GNUPGHOME", home)
	gpg := func(args ...string) []byte {
		t.Helper()
		out, err := exec.Command("gpg", append([]string{"--batch", "--passphrase", "", "--pinentry-mode", "loopback"},
			args...)...).Output()
		if err != nil {
			t.Fatalf("gpg %s: %v", strings.Join(args, " "), err)
		}
		return out
	}
	t.Cleanup(func() {
		_ = exec.Command("gpgconf", "--kill", "all").Run()
		_ = os.RemoveAll(home)
	})
	gpg("--quick-generate-key", "Image Writeback <bot@example.com>", "ed25519", "sign", "never")
	file := filepath.Join(t.TempDir(), "key.asc")
	if err := os.WriteFile(file, gpg("--armor", "--export-secret-keys", "bot@example.com"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, key := range map[string]string{"a file": file, "a name": "bot@example.com"} {
		signer, err := NewSigner(SignOpenPGP, key)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		said := signed(t, startGit(t, true, 1), signer, []string{"GNUPGHOME=" + home})
		if !strings.Contains(said, "Good signature from") || !strings.Contains(said, signer.KeyID()+"\n") {
			t.Errorf("%s, key %s: git said %s", name, signer.KeyID(), said)
		}
		if known := signer.KeyID() != ""; known != (key == file) {
			t.Errorf("%s: the ID of the key is %q", name, signer.KeyID())
		}
	}
	git := startGit(t, true, 1)
	signer, err := NewSigner(SignOpenPGP, "nobody@example.com")
	if err != nil {
		t.Fatal(err)
	}
	r := open(t, newService(t, Options{}), git.URLOf(repo))
	err = write(r, NewCommit{Signer: signer}, setTag("f0/k.yaml", "v0", "v1"))
	if err == nil || !strings.Contains(err.Error(), "gpg could not sign with the key nobody@example.com") {
		t.Errorf("a key that gpg does not have: %v", err)
	}
	if got := show(t, git, "f0/k.yaml"); got != "tag: v0\n" {
		t.Errorf("it was written without a signature: %q", got)
	}
}

func TestKeysThatCannotSign(t *testing.T) {
	dir := t.TempDir()
	write := func(name string, data []byte) string {
		t.Helper()
		file := filepath.Join(dir, name)
		if err := os.WriteFile(file, data, 0o600); err != nil {
			t.Fatal(err)
		}
		return file
	}
	_, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	locked, err := ssh.MarshalPrivateKeyWithPassphrase(private, "", []byte("s3cret"))
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ method, key, want string }{
		{SignSSH, write("garbage", []byte("s3cret")), "not an SSH private key"},
		{SignSSH, write("locked", pem.EncodeToMemory(locked)), "passphrase is not supported"},
		{SignSSH, filepath.Join(dir, "none"), "cannot be read"},
		{SignOpenPGP, write("garbage.asc", []byte("s3cret")), "does not contain an armored OpenPGP private key"},
		{SignOpenPGP, filepath.Join(dir, "none"), "cannot be read"},
		{SignOpenPGP, "", "the key is missing"},
		{"x509", "x", "is not a signing method"},
	} {
		if _, err := NewSigner(c.method, c.key); err == nil || !strings.Contains(err.Error(), c.want) ||
			strings.Contains(err.Error(), "s3cret") {
			t.Errorf("%s %s: %v, want %q", c.method, c.key, err, c.want)
		}
	}
}
