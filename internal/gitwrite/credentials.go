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

// Credentials are the credentials of one repository. The zero value has none: SSH then
// uses the user's agent and known hosts, as git does.
type Credentials struct {
	Username, Password string
	BearerToken        string
	SSHPrivateKey      []byte
	// KnownHosts is the content of a known_hosts file; empty: the user's and the
	// system's files.
	KnownHosts string
	// A GitHub App for this repository. GitHubURL is the API of an Enterprise Server;
	// empty: github.com.
	GitHubAppID, GitHubInstallationID int64
	GitHubAppKey                      []byte
	GitHubURL                         string
	GCPServiceAccountKey              []byte // JSON
	TLSClientCert, TLSClientKey       []byte // PEM
	CA                                []byte // PEM, in addition to the system's
	Insecure                          bool   // do not verify certificates and host keys
	Proxy, NoProxy                    string
	// Hosts are the servers, as HOST:PORT, that the credentials name with the
	// operator's authority: they may be connected to wherever they are. Credentials
	// of a Secret that an Application chooses have none.
	Hosts []string
}

// present reports whether there is anything to sign in with.
func (c Credentials) present() bool {
	return c.Username != "" || c.Password != "" || c.BearerToken != "" || len(c.SSHPrivateKey) > 0 ||
		c.GitHubAppID != 0 || len(c.GCPServiceAccountKey) > 0 || len(c.TLSClientCert) > 0
}

// httpAuth returns the authentication with c, else with the user and password of the
// URL; nil: anonymous.
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

// sshAuth returns the authentication with the key of c, else with the user's agent. The
// host's key must be known, unless c is insecure.
func sshAuth(c Credentials, user string) (transport.AuthMethod, error) {
	if user == "" {
		user = gitssh.DefaultUsername
	}

	hostKeys := ssh.InsecureIgnoreHostKey() //nolint:gosec // only if the Secret says so
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

// knownHosts returns a check of host keys against the content of a known_hosts file. It
// writes a temporary file, because the library reads only files.
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
