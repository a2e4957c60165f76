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
func (s *Service) connect(address, from string) (*remote, *hubRepository, error) {
	address = strings.TrimRight(address, "/")
	var hub *hubRepository
	if s.options.GitHub != nil {
		hub = s.options.GitHub.repository(address)
	}
	byHub := hub != nil && from == ""
	if byHub {
		address = hub.https(address)
	}
	endpoint, err := transport.NewEndpoint(address)
	if err != nil {
		return nil, nil, &Error{Repository: public(address), Doing: "connecting", Err: errors.New("the URL cannot be read"), Remedy: "write https://host/owner/name.git or git@host:owner/name.git"}
	}
	r := &remote{endpoint: endpoint, public: public(address)}
	find := func(ctx context.Context) (Credentials, error) {
		if s.options.Credentials == nil {
			return Credentials{}, nil
		}
		return s.options.Credentials(ctx, address, from)
	}
	user, password := endpoint.User, endpoint.Password
	switch endpoint.Protocol {
	case "http", "https":
		r.transport = githttp.NewClient(&http.Client{Transport: httpTransport()})
		r.auth = r.lasting(find, func(c Credentials) (transport.AuthMethod, error) { return httpAuth(c, user, password), nil })
		if byHub {
			r.auth = hub.auth
		}
		endpoint.User, endpoint.Password = "", ""
	case "ssh":
		r.transport = gitssh.DefaultClient
		r.auth = r.lasting(find, func(c Credentials) (transport.AuthMethod, error) { return sshAuth(c, user) })
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

// credentialsLife is how long credentials are used before they are read again,
// so that a rotated Secret is noticed.
const credentialsLife = time.Minute

// lasting finds credentials when they are first needed, and again after a while.
func (r *remote) lasting(find func(context.Context) (Credentials, error), use func(Credentials) (transport.AuthMethod, error)) func(context.Context) (transport.AuthMethod, error) {
	var method transport.AuthMethod
	var found time.Time
	return func(ctx context.Context) (transport.AuthMethod, error) {
		if !found.IsZero() && time.Since(found) < credentialsLife {
			return method, nil
		}
		c, err := find(ctx)
		if err == nil {
			method, err = use(c)
		}
		if err != nil {
			return nil, &Error{Repository: r.public, Doing: "finding its credentials", Err: err, Remedy: "correct write-back-method: git:secret:NAMESPACE/NAME and the Secret that it names"}
		}
		found = time.Now()
		return method, nil
	}
}

// httpAuth prefers found credentials to those in the URL; nil is anonymous.
func httpAuth(c Credentials, user, password string) transport.AuthMethod {
	if c.Username != "" || c.Password != "" {
		user, password = c.Username, c.Password
	}
	switch {
	case user == "" && password == "":
		return nil
	case user == "":
		user = "x-access-token" // GitHub and GitLab take any name with a token
	}
	return &githttp.BasicAuth{Username: user, Password: password}
}

// sshAuth uses a key where there is one, else the user's agent; the host's key
// must be known in either case.
func sshAuth(c Credentials, user string) (transport.AuthMethod, error) {
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
