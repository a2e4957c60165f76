package gitwrite

import (
	"errors"
	"fmt"
	"os"

	"github.com/go-git/go-git/v5/plumbing/transport"
	githttp "github.com/go-git/go-git/v5/plumbing/transport/http"
	gitssh "github.com/go-git/go-git/v5/plumbing/transport/ssh"
	"golang.org/x/crypto/ssh"
)

// Credentials are those of one repository. The zero value has none: for SSH, the agent
// and the known hosts of the user are used then, as git does.
type Credentials struct {
	Username, Password string
	BearerToken        string
	SSHPrivateKey      []byte
	// KnownHosts is the content of a known_hosts file; empty: the user's and
	// the system's files.
	KnownHosts string
	// A GitHub App of the repository's own; GitHubURL is the API of an
	// Enterprise Server, empty for github.com.
	GitHubAppID, GitHubInstallationID int64
	GitHubAppKey                      []byte
	GitHubURL                         string
	GCPServiceAccountKey              []byte // JSON
	TLSClientCert, TLSClientKey       []byte // PEM
	CA                                []byte // PEM, beside the system's
	Insecure                          bool   // neither certificates nor host keys are verified
	Proxy, NoProxy                    string
}

// present reports whether there is anything to sign in with.
func (c Credentials) present() bool {
	return c.Username != "" || c.Password != "" || c.BearerToken != "" || len(c.SSHPrivateKey) > 0 ||
		c.GitHubAppID != 0 || len(c.GCPServiceAccountKey) > 0 || len(c.TLSClientCert) > 0
}

// httpAuth prefers credentials to those in the URL. nil is anonymous.
func httpAuth(c Credentials, user, password string) transport.AuthMethod {
	if c.Username != "" || c.Password != "" {
		user, password = c.Username, c.Password
	}

	switch {
	case user == "" && password == "":
		return nil
	case user == "":
		user = "x-access-token" // GitHub and GitLab accept any name with a token
	}

	return &githttp.BasicAuth{Username: user, Password: password}
}

// sshAuth uses a key where there is one, else the agent of the user. The key of the
// host must be known in either case.
func sshAuth(c Credentials, user string) (transport.AuthMethod, error) {
	if user == "" {
		user = gitssh.DefaultUsername
	}

	hostKeys := ssh.InsecureIgnoreHostKey() //nolint:gosec // where the Secret asks for it
	if !c.Insecure {
		var err error
		if hostKeys, err = knownHosts(c.KnownHosts); err != nil {
			return nil, fmt.Errorf("known hosts: %w", err)
		}
	}

	if len(c.SSHPrivateKey) == 0 {
		agent, err := gitssh.NewSSHAgentAuth(user)
		if err != nil {
			return nil, errors.New("there is neither an SSH key nor an SSH agent")
		}
		agent.HostKeyCallback = hostKeys
		return agent, nil
	}

	signer, err := ssh.ParsePrivateKey(c.SSHPrivateKey)
	if err != nil {
		return nil, errors.New("the SSH private key cannot be read (a key with a passphrase is not supported)")
	}

	key := &gitssh.PublicKeys{User: user, Signer: signer}
	key.HostKeyCallback = hostKeys
	return key, nil
}

// knownHosts checks the keys of hosts against the content of a file. The library reads
// files only.
func knownHosts(content string) (ssh.HostKeyCallback, error) {
	if content == "" {
		return gitssh.NewKnownHostsCallback()
	}

	file, err := os.CreateTemp("", "known_hosts")
	if err != nil {
		return nil, err
	}
	defer func() { _ = os.Remove(file.Name()) }()
	if _, err := file.WriteString(content); err != nil {
		return nil, err
	}

	if err := file.Close(); err != nil {
		return nil, err
	}

	return gitssh.NewKnownHostsCallback(file.Name())
}
