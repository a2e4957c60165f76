package git

import (
	"crypto/ed25519"
	"crypto/rand"
	"encoding/pem"
	"errors"
	"fmt"
	"net"
	"os/exec"
	"strings"

	"golang.org/x/crypto/ssh"
)

// SSH serves the repositories of a Server over SSH, to one key.
type SSH struct {
	// PrivateKey is the user's, in PEM form; KnownHosts is the line by which
	// the server is known.
	PrivateKey []byte
	KnownHosts string

	listener net.Listener
	git      *Server
	config   *ssh.ServerConfig
}

// NewSSH starts the server.
func NewSSH(git *Server) (*SSH, error) {
	_, hostKey, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return nil, err
	}

	host, err := ssh.NewSignerFromKey(hostKey)
	if err != nil {
		return nil, err
	}

	_, userKey, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return nil, err
	}

	user, err := ssh.NewSignerFromKey(userKey)
	if err != nil {
		return nil, err
	}

	block, err := ssh.MarshalPrivateKey(userKey, "")
	if err != nil {
		return nil, err
	}

	s := &SSH{git: git, PrivateKey: pem.EncodeToMemory(block)}
	s.config = &ssh.ServerConfig{PublicKeyCallback: func(_ ssh.ConnMetadata, key ssh.PublicKey) (*ssh.Permissions,
		error) {
		if string(key.Marshal()) != string(user.PublicKey().Marshal()) {
			return nil, errors.New("unknown key")
		}
		return nil, nil
	}}
	s.config.AddHostKey(host)
	if s.listener, err = net.Listen("tcp", "127.0.0.1:0"); err != nil {
		return nil, err
	}

	_, port, _ := net.SplitHostPort(s.listener.Addr().String())
	s.KnownHosts = fmt.Sprintf("[127.0.0.1]:%s %s", port, ssh.MarshalAuthorizedKey(host.PublicKey()))
	go s.serve()

	return s, nil
}

// Close stops the server.
func (s *SSH) Close() { _ = s.listener.Close() }

// URLOf is the address of a repository such as "owner/name".
func (s *SSH) URLOf(repository string) string {
	return fmt.Sprintf("ssh://git@%s/%s.git", s.listener.Addr(), repository)
}

func (s *SSH) serve() {
	for {
		connection, err := s.listener.Accept()
		if err != nil {
			return
		}
		go s.handle(connection)
	}
}

func (s *SSH) handle(connection net.Conn) {
	server, channels, requests, err := ssh.NewServerConn(connection, s.config)
	if err != nil {
		return
	}
	defer func() { _ = server.Close() }()
	go ssh.DiscardRequests(requests)
	for channel := range channels {
		stream, requests, err := channel.Accept()
		if err != nil {
			return
		}
		go s.session(stream, requests)
	}
}

// session runs git-upload-pack or git-receive-pack, as sshd would.
func (s *SSH) session(stream ssh.Channel, requests <-chan *ssh.Request) {
	defer func() { _ = stream.Close() }()
	for request := range requests {
		var payload struct{ Command string }
		if request.Type != "exec" || ssh.Unmarshal(request.Payload, &payload) != nil {
			_ = request.Reply(request.Type == "env", nil)
			continue
		}
		_ = request.Reply(true, nil)
		program, path, _ := strings.Cut(payload.Command, " ")
		repository := strings.TrimSuffix(strings.Trim(path, "'/"), ".git")
		command := exec.Command("git", strings.TrimPrefix(program, "git-"), s.git.dir(repository))
		command.Env = gitEnvironment()
		command.Stdin, command.Stdout, command.Stderr = stream, stream, stream.Stderr()
		status := uint32(0)
		if command.Run() != nil {
			status = 1
		}
		_, _ = stream.SendRequest("exit-status", false, ssh.Marshal(struct{ Status uint32 }{status}))
		return
	}
}
