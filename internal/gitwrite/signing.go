package gitwrite

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os/exec"
	"strings"
	"time"

	"github.com/ProtonMail/go-crypto/openpgp"
	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/object"
	"github.com/hiddeco/sshsig"
	"golang.org/x/crypto/ssh"

	"github.com/liverty-music/image-writeback/internal/secretfile"
)

// The methods of signing commits.
const (
	SignOpenPGP = "openpgp"
	SignSSH     = "ssh"
)

// Signer signs commits so that git verify-commit accepts them. The file of its key may be
// replaced while the program runs.
type Signer struct{ key *secretfile.File[signingKey] }

// signingKey is a key that was read.
type signingKey struct {
	sign func(commit []byte) (string, error)
	id   string // see [Signer.KeyID]
}

// KeyID returns the ID of the OpenPGP key that signs, in 16 capital hexadecimal
// digits; empty if it is not known, as for a key in gpg's keyring or of SSH.
func (s *Signer) KeyID() string { return s.key.Current().id }

// NewSigner reads a private key. For [SignSSH], key is its file. For [SignOpenPGP], key
// is the file of an armored key without passphrase or, as in git, the name of a key in
// gpg's keyring. The error never quotes the key.
func NewSigner(method, key string) (*Signer, error) {
	parse := map[string]func(data []byte) (signingKey, error){SignOpenPGP: byOpenPGP, SignSSH: bySSH}[method]
	switch {
	case parse == nil:
		return nil, fmt.Errorf("%q is not a signing method; use %s or %s", method, SignOpenPGP, SignSSH)
	case key == "":
		return nil, errors.New("the key is missing")
	}

	file, err := secretfile.Open(key, parse)
	var unread *fs.PathError
	switch {
	case method == SignOpenPGP && errors.Is(err, fs.ErrNotExist) && !strings.Contains(key, "/"):
		file, err = byProgram(key)
	case errors.As(err, &unread):
		err = fmt.Errorf("the key cannot be read: %w", err)
	}
	if err != nil {
		return nil, err
	}

	return &Signer{file}, nil
}

func bySSH(key []byte) (signingKey, error) {
	signer, err := ssh.ParsePrivateKey(key)
	if err != nil {
		return signingKey{}, errors.New("the key is not an SSH private key (a passphrase is not supported)")
	}

	return signingKey{sign: func(commit []byte) (string, error) {
		signature, err := sshsig.Sign(bytes.NewReader(commit), signer, sshsig.HashSHA512, "git")
		if err != nil {
			return "", err
		}
		return string(sshsig.Armor(signature)), nil
	}}, nil
}

func byOpenPGP(key []byte) (signingKey, error) {
	ring, err := openpgp.ReadArmoredKeyRing(bytes.NewReader(key))
	if err != nil || len(ring) == 0 || ring[0].PrivateKey == nil {
		return signingKey{}, errors.New("the file does not contain an armored OpenPGP private key; " +
			"write one with gpg --armor --export-secret-keys")
	}

	entity := ring[0]
	if entity.PrivateKey.Encrypted {
		return signingKey{}, errors.New(
			"the OpenPGP key has a passphrase, which is not supported; export a key without one")
	}

	read := signingKey{sign: func(commit []byte) (string, error) {
		var b bytes.Buffer
		err := openpgp.ArmoredDetachSign(&b, entity, bytes.NewReader(commit), nil)
		return b.String() + "\n", err
	}}
	if signing, ok := entity.SigningKey(time.Now()); ok {
		read.id = signing.PublicKey.KeyIdString()
	}

	return read, nil
}

// signTime limits how long gpg may take: it must not wait for a passphrase.
const signTime = 30 * time.Second

func byProgram(key string) (*secretfile.File[signingKey], error) {
	program, err := exec.LookPath("gpg")
	if err != nil {
		return nil, fmt.Errorf("the file %s does not exist, and gpg, which could have a key with this name, "+
			"is not installed; name the file of an armored private key", key)
	}

	return secretfile.Fixed(signingKey{sign: func(commit []byte) (string, error) {
		ctx, cancel := context.WithTimeout(context.Background(), signTime)
		defer cancel()
		command := exec.CommandContext(ctx, program,
			"--batch", "--no-tty", "--armor", "--detach-sign", "--local-user", key)
		command.Stdin = bytes.NewReader(commit)
		var messages bytes.Buffer
		command.Stderr = &messages
		out, err := command.Output()
		if err != nil {
			return "", fmt.Errorf("gpg could not sign with the key %s: %s", key, oneLine(messages.String()))
		}
		return string(out), nil
	}}), nil
}

// encode returns a commit as an object, signed unless s is nil.
func (s *Signer) encode(commit *object.Commit) (plumbing.EncodedObject, error) {
	o := &plumbing.MemoryObject{}
	if s == nil {
		return o, commit.Encode(o)
	}

	bare := &plumbing.MemoryObject{}
	if err := commit.EncodeWithoutSignature(bare); err != nil {
		return nil, err
	}

	data, err := content(bare)
	if err != nil {
		return nil, err
	}

	if commit.PGPSignature, err = s.key.Current().sign(data); err != nil {
		return nil, fmt.Errorf("signing the commit: %w", err)
	}

	return o, commit.Encode(o)
}
