package gitwrite

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/go-git/go-git/v5/plumbing/transport"
	githttp "github.com/go-git/go-git/v5/plumbing/transport/http"
	gitssh "github.com/go-git/go-git/v5/plumbing/transport/ssh"
	"golang.org/x/crypto/ssh"
)

// Credentials are those of one repository. The zero value is none: for SSH
// the agent and known hosts of the user are used then, as git does.
type Credentials struct {
	Username, Password string
	SSHPrivateKey      []byte
	// KnownHosts is the content of a known_hosts file; empty: the user's and
	// the system's files.
	KnownHosts string
}

// connect finds out how to reach a repository: GitHub's through the App or
// token of config.yaml, unless the Application names a Secret; any other with
// its own credentials.
func (s *Service) connect(ctx context.Context, address, from string) (*remote, *hubRepository, error) {
	var hub *hubRepository
	if s.options.GitHub != nil && !strings.HasPrefix(from, "secret:") {
		hub = s.options.GitHub.repository(address)
	}
	if hub != nil {
		address = hub.https(address)
	}
	endpoint, err := transport.NewEndpoint(address)
	if err != nil {
		return nil, nil, &Error{Repository: public(address), Doing: "connecting", Err: errors.New("the URL cannot be read"), Remedy: "write https://host/owner/name.git or git@host:owner/name.git"}
	}
	r := &remote{endpoint: endpoint, public: public(address)}
	credentials := Credentials{}
	if hub == nil && s.options.Credentials != nil {
		if credentials, err = s.options.Credentials(ctx, address, from); err != nil {
			return nil, nil, &Error{Repository: r.public, Doing: "finding its credentials", Err: err, Remedy: "correct write-back-method"}
		}
	}
	switch endpoint.Protocol {
	case "http", "https":
		r.transport = githttp.NewClient(&http.Client{Transport: httpTransport()})
		r.auth = httpAuth(credentials, endpoint)
		if hub != nil {
			r.auth = hub.auth
		}
		endpoint.User, endpoint.Password = "", ""
	case "ssh":
		r.transport = gitssh.DefaultClient
		method, err := sshAuth(credentials, endpoint.User)
		if err != nil {
			return nil, nil, &Error{Repository: r.public, Doing: "finding its credentials", Err: err, Remedy: "give an SSH key through write-back-method: git:secret:NAMESPACE/NAME, or run an SSH agent"}
		}
		r.auth = func(context.Context) (transport.AuthMethod, error) { return method, nil }
	default:
		return nil, nil, &Error{Repository: r.public, Doing: "connecting", Err: fmt.Errorf("%s is no protocol that is supported", endpoint.Protocol), Remedy: "use an https or SSH URL"}
	}
	return r, hub, nil
}

func httpTransport() *http.Transport {
	t := http.DefaultTransport.(*http.Transport).Clone()
	t.MaxIdleConnsPerHost = 4
	t.ResponseHeaderTimeout = transferTimeout
	t.IdleConnTimeout = time.Minute
	return t
}

func httpAuth(c Credentials, endpoint *transport.Endpoint) func(context.Context) (transport.AuthMethod, error) {
	basic := &githttp.BasicAuth{Username: c.Username, Password: c.Password}
	if c.Username == "" && c.Password == "" {
		basic.Username, basic.Password = endpoint.User, endpoint.Password
	}
	if basic.Username == "" && basic.Password != "" {
		basic.Username = "x-access-token" // GitHub and GitLab take any name with a token
	}
	return func(context.Context) (transport.AuthMethod, error) {
		if basic.Username == "" {
			return nil, nil
		}
		return basic, nil
	}
}

// sshAuth uses a key where there is one, else the user's agent; the host's key
// must be known in either case.
func sshAuth(c Credentials, user string) (gitssh.AuthMethod, error) {
	if user == "" {
		user = gitssh.DefaultUsername
	}
	known, err := knownHosts(c.KnownHosts)
	if err != nil {
		return nil, fmt.Errorf("known hosts: %w", err)
	}
	if len(c.SSHPrivateKey) == 0 {
		agent, err := gitssh.NewSSHAgentAuth(user)
		if err != nil {
			return nil, errors.New("there is neither an SSH key nor an SSH agent")
		}
		agent.HostKeyCallback = known
		return agent, nil
	}
	signer, err := ssh.ParsePrivateKey(c.SSHPrivateKey)
	if err != nil {
		return nil, errors.New("the SSH private key cannot be read (a key with a passphrase is not supported)")
	}
	key := &gitssh.PublicKeys{User: user, Signer: signer}
	key.HostKeyCallback = known
	return key, nil
}

// knownHosts checks host keys against a file's content; the library reads
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

// public is an address without credentials.
func public(address string) string {
	u, err := url.Parse(address)
	if err != nil { // cut by hand what may be credentials
		scheme, rest, found := strings.Cut(address, "://")
		if at := strings.LastIndex(rest, "@"); found && at >= 0 {
			return scheme + "://" + rest[at+1:]
		}
		return address
	}
	if u.User == nil {
		return address
	}
	if u.Scheme == "ssh" {
		u.User = url.User(u.User.Username())
	} else {
		u.User = nil
	}
	return u.String()
}
