package gitwrite

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync"
	"testing"

	"github.com/liverty-music/image-writeback/internal/httpclient"
	sandboxgit "github.com/liverty-music/image-writeback/internal/sandbox/git"
)

// listener is a server of this machine that says nothing. It counts the connections
// that are opened to it.
type listener struct {
	net.Listener
	accepted chan struct{} // one for each connection

	mu    sync.Mutex
	conns []net.Conn
}

func listen(t *testing.T) *listener {
	t.Helper()
	at, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l := &listener{Listener: at, accepted: make(chan struct{}, 100)}
	go func() {
		for {
			conn, err := at.Accept()
			if err != nil {
				return
			}
			l.mu.Lock()
			l.conns = append(l.conns, conn)
			l.mu.Unlock()
			l.accepted <- struct{}{}
		}
	}()
	t.Cleanup(l.close)

	return l
}

func (l *listener) close() {
	_ = l.Close()
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, conn := range l.conns {
		_ = conn.Close()
	}
}

func (l *listener) connections() int {
	l.mu.Lock()
	defer l.mu.Unlock()

	return len(l.conns)
}

func (l *listener) port() string {
	_, port, _ := net.SplitHostPort(l.Addr().String())
	return port
}

// readsAs reads a repository as a service with a guard, and with credentials.
func readsAs(t *testing.T, guard *httpclient.Guard, url string, c Credentials) error {
	t.Helper()
	service := newService(t, Options{Guard: guard, Credentials: func(context.Context, Access) (Credentials, error) {
		return c, nil
	}})
	r, err := service.Open(t.Context(), Access{URL: url})
	if err != nil {
		return err
	}
	_, err = r.Read(t.Context(), []Want{wantFile("f0/k.yaml")})

	return err
}

func allowLoopback() *httpclient.Guard {
	return httpclient.NewGuard(httpclient.Rules{
		Allow: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("::1/128")},
	})
}

// TestRepositoryOnLoopback checks that an Application's repository, the proxy of a
// Secret that it names, and the App API of such a Secret lead to no server of this
// machine, by HTTP or by SSH.
func TestRepositoryOnLoopback(t *testing.T) {
	git := startGit(t, true, 1)
	ssh, err := sandboxgit.NewSSH(git)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(ssh.Close)
	hidden := listen(t)
	remedy := func(e *httpclient.AddressError) string { return "allow " + e.Address.String() }
	guard := httpclient.NewGuard(httpclient.Rules{Remedy: remedy})
	key := Credentials{SSHPrivateKey: ssh.PrivateKey, KnownHosts: ssh.KnownHosts}
	proxy := func(scheme string, c Credentials) Credentials {
		c.Proxy = scheme + "://127.0.0.1:" + hidden.port()
		return c
	}

	for what, c := range map[string]struct {
		url         string
		credentials Credentials
	}{
		"HTTP":                   {"http://127.0.0.1:" + hidden.port() + "/o/n.git", Credentials{}},
		"HTTP by name":           {"http://localhost:" + hidden.port() + "/o/n.git", Credentials{}},
		"SSH":                    {"ssh://git@127.0.0.1:" + hidden.port() + "/o/n.git", key},
		"SSH by name":            {"git@localhost:" + hidden.port() + ":o/n.git", key},
		"proxy of HTTP":          {"http://git.example.com/o/n.git", proxy("http", Credentials{})},
		"proxy of SSH":           {"ssh://git@git.example.com/o/n.git", proxy("socks5", key)},
		"address behind a proxy": {"http://169.254.169.254/o/n.git", proxy("http", Credentials{})},
		"address behind SSH":     {"ssh://git@127.0.0.1/o/n.git", proxy("socks5", key)},
	} {
		err := readsAs(t, guard, c.url, c.credentials)
		var refused *httpclient.AddressError
		if !errors.As(err, &refused) || !strings.Contains(err.Error(), "; allow "+refused.Address.String()) {
			t.Errorf("%s: %v", what, err)
		}
	}
	if n := hidden.connections(); n != 0 {
		t.Errorf("%d connections were opened", n)
	}

	// The same servers, once the operator permits them. The SSH server is known by
	// its name, although the connection is opened to its address.
	byName := strings.Replace(ssh.URLOf(repo), "127.0.0.1", "localhost", 1)
	named := Credentials{SSHPrivateKey: ssh.PrivateKey,
		KnownHosts: strings.Replace(ssh.KnownHosts, "127.0.0.1", "localhost", 1)}
	for what, err := range map[string]error{
		"HTTP":        readsAs(t, allowLoopback(), git.URLOf(repo), Credentials{}),
		"SSH":         readsAs(t, allowLoopback(), ssh.URLOf(repo), key),
		"SSH by name": readsAs(t, allowLoopback(), byName, named),
	} {
		if err != nil {
			t.Errorf("permitted: %s: %v", what, err)
		}
	}
	if err := readsAs(t, allowLoopback(), byName, key); err == nil || !strings.Contains(err.Error(), "knownhosts") {
		t.Errorf("the key of another name: %v", err)
	}
}

// TestGitServerRedirectsToLoopback checks that a server that may be reached cannot
// send this program to one that may not.
func TestGitServerRedirectsToLoopback(t *testing.T) {
	hidden := listen(t)
	front := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, "http://localhost:"+hidden.port()+r.URL.String(), http.StatusMovedPermanently)
	}))
	t.Cleanup(front.Close)
	guard := httpclient.NewGuard(httpclient.Rules{Hosts: []string{front.Listener.Addr().String()}})

	var refused *httpclient.AddressError
	if err := readsAs(t, guard, front.URL+"/o/n.git", Credentials{}); !errors.As(err, &refused) {
		t.Error(err)
	}
	if n := hidden.connections(); n != 0 {
		t.Errorf("%d connections were opened", n)
	}
}

// TestServersOfArgoCDsSecrets checks that a repository that one of Argo CD's own
// Secrets names is reached wherever it is, and that no other server is, nor one
// that a Secret of an Application's choice names.
func TestServersOfArgoCDsSecrets(t *testing.T) {
	git := startGit(t, true, 1)
	other := startGit(t, true, 1)
	host := strings.TrimPrefix(git.URL, "http://")
	for what, c := range map[string]struct {
		secret RepositorySecret
		access Access
		open   bool
	}{
		"its Secret": {RepositorySecret{Data: map[string][]byte{"url": []byte(git.URLOf(repo))}},
			Access{URL: git.URLOf(repo)}, true},
		"its template": {RepositorySecret{Template: true, Data: map[string][]byte{"url": []byte(git.URL + "/")}},
			Access{URL: git.URLOf(repo)}, true},
		"a Secret of another server": {RepositorySecret{Data: map[string][]byte{"url": []byte(git.URLOf(repo))}},
			Access{URL: other.URLOf(repo)}, false},
		"a Secret that an Application names": {RepositorySecret{Template: true, Data: map[string][]byte{
			"url": []byte(git.URL + "/")}}, Access{URL: git.URLOf(repo), From: "secret:team/git"}, false},
	} {
		secrets := &ArgoSecrets{
			Repositories: func(context.Context) ([]RepositorySecret, error) {
				return []RepositorySecret{c.secret}, nil
			},
			Secret: func(context.Context, string, string) (map[string][]byte, error) {
				return map[string][]byte{"username": []byte("u"), "password": []byte("p"), "url": []byte(git.URL)}, nil
			},
		}
		found, err := secrets.Find(t.Context(), c.access)
		if err != nil || c.open && (len(found.Hosts) == 0 || found.Hosts[0] != host) {
			t.Errorf("%s: %v, %v", what, found.Hosts, err)
		}
		service := newService(t, Options{Guard: httpclient.NewGuard(httpclient.Rules{}), Credentials: secrets.Find})
		r, err := service.Open(t.Context(), c.access)
		if err != nil {
			t.Fatal(err)
		}
		_, err = r.Read(t.Context(), []Want{wantFile("f0/k.yaml")})
		var refused *httpclient.AddressError
		if c.open != (err == nil) || !c.open && !errors.As(err, &refused) {
			t.Errorf("%s: %v", what, err)
		}
	}
}

// TestSilentSSHServer checks that a server that accepts a connection and then says
// nothing is left alone when the time is over, and that it cannot collect more and
// more connections.
func TestSilentSSHServer(t *testing.T) {
	git := startGit(t, true, 1)
	ssh, err := sandboxgit.NewSSH(git)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(ssh.Close)
	silent := listen(t)
	service := newService(t, Options{Credentials: func(context.Context, Access) (Credentials, error) {
		return Credentials{SSHPrivateKey: ssh.PrivateKey, KnownHosts: ssh.KnownHosts}, nil
	}})
	r, err := service.Open(t.Context(), Access{URL: "ssh://git@127.0.0.1:" + silent.port() + "/o/n.git"})
	if err != nil {
		t.Fatal(err)
	}

	for range maxOpening {
		ctx, cancel := context.WithCancel(t.Context())
		go func() {
			<-silent.accepted
			cancel()
		}()
		if _, err := r.Read(ctx, []Want{wantFile("f")}); !errors.Is(err, context.Canceled) {
			t.Errorf("interrupted: %v", err)
		}
		cancel()
	}
	if _, err := r.Read(t.Context(), []Want{wantFile("f")}); !errors.Is(err, errStillOpening) ||
		silent.connections() != maxOpening {
		t.Errorf("%d connections, %v", silent.connections(), err)
	}
}
