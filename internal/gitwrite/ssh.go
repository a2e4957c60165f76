package gitwrite

import (
	"context"
	"errors"
	"io"
	"net"
	"net/netip"
	"net/url"
	"strconv"

	"github.com/go-git/go-git/v5/plumbing/transport"
	gitssh "github.com/go-git/go-git/v5/plumbing/transport/ssh"
	"golang.org/x/crypto/ssh"
	"golang.org/x/net/proxy"

	"github.com/liverty-music/image-writeback/internal/httpclient"
)

// openFunc opens one session with a git server.
type openFunc[S io.Closer] func(*transport.Endpoint, transport.AuthMethod) (S, error)

// maxOpening bounds how many connections to one repository may wait for a server
// that accepts a connection and then says nothing.
const maxOpening = 4

var errStillOpening = errors.New("the server has not answered earlier connections yet")

// openSession opens a session where the guard permits it. HTTP connects later, through a
// transport that asks the guard. SSH connects at once, and go-git lets nobody
// interrupt that; a connection that takes too long is left alone, and closed once
// it is open.
func openSession[S io.Closer](ctx context.Context, r *remote, s session, do openFunc[S]) (S, error) {
	if s.endpoint.Protocol != "ssh" {
		return do(s.endpoint, s.auth)
	}

	type result struct {
		session S
		err     error
	}
	var none S
	if r.opening.Add(1) > maxOpening {
		r.opening.Add(-1)
		return none, errStillOpening
	}
	opened := make(chan result, 1)
	go func() {
		defer r.opening.Add(-1)
		session, err := openSSH(ctx, s, do)
		opened <- result{session, err}
	}()

	select {
	case done := <-opened:
		return done.session, done.err
	case <-ctx.Done():
		go func() {
			if late := <-opened; late.err == nil {
				_ = late.session.Close()
			}
		}()
		return none, ctx.Err()
	}
}

// openSSH opens a session over SSH at the first address that can be reached.
func openSSH[S io.Closer](ctx context.Context, s session, do openFunc[S]) (opened S, err error) {
	routes, err := s.routes(ctx)
	if err != nil {
		return opened, err
	}

	for _, r := range routes {
		opened, err = do(&r.endpoint, r.auth)
		var unreachable *net.OpError
		if err == nil || ctx.Err() != nil || !errors.As(err, &unreachable) || unreachable.Op != "dial" {
			return opened, err
		}
	}

	return opened, err
}

// route is one way to a server: an endpoint that names an address instead of a host.
type route struct {
	endpoint transport.Endpoint
	auth     transport.AuthMethod
}

// routes returns the ways to the server of a session that the guard permits. go-git
// opens the connections of SSH itself. For the guard to have the last word, it gets
// an address that was checked, and the host's key is still the one of its name.
func (s session) routes(ctx context.Context) ([]route, error) {
	keys, ok := s.auth.(gitssh.AuthMethod)
	if !ok {
		return nil, transport.ErrInvalidAuthMethod
	}
	if s.guard == nil {
		return []route{{*s.endpoint, knownAs{keys, ""}}}, nil
	}

	host, port := sshHost(s.endpoint)
	target := net.JoinHostPort(host, strconv.Itoa(port))
	if s.endpoint.Proxy.URL != "" {
		return s.proxyRoutes(ctx, target, keys)
	}
	if goesThroughProxy(target) {
		return []route{{*s.endpoint, knownAs{keys, ""}}}, s.guard.CheckProxied(target)
	}

	addresses, err := s.guard.Resolve(ctx, target)
	var all []route
	for _, a := range addresses {
		r := route{*s.endpoint, knownAs{keys, target}}
		r.endpoint.Host, r.endpoint.Port = a.Addr().String(), port
		all = append(all, r)
	}

	return all, err
}

// proxyRoutes returns the ways to a server through the proxy of its credentials.
func (s session) proxyRoutes(ctx context.Context, target string, keys gitssh.AuthMethod) ([]route, error) {
	if err := s.guard.CheckProxied(target); err != nil {
		return nil, err
	}
	u, err := url.Parse(s.endpoint.Proxy.URL)
	if err != nil || httpclient.HostPort(u) == "" {
		return nil, errors.New("proxy is not a URL")
	}

	addresses, err := s.guard.Resolve(ctx, httpclient.HostPort(u))
	var all []route
	for _, a := range addresses {
		r := route{*s.endpoint, knownAs{keys, ""}}
		r.endpoint.Proxy.URL = withHost(*u, a)
		all = append(all, r)
	}

	return all, err
}

func withHost(u url.URL, a netip.AddrPort) string {
	u.Host = a.String()
	return u.String()
}

// sshHost returns the host and the port of an endpoint, as the user's configuration
// of SSH has them: go-git reads it, too.
func sshHost(e *transport.Endpoint) (host string, port int) {
	host, port = e.Host, e.Port
	if config := gitssh.DefaultSSHConfig; config != nil {
		if name := config.Get(e.Host, "Hostname"); name != "" {
			host = name
			if p, err := strconv.Atoi(config.Get(e.Host, "Port")); err == nil {
				port = p
			}
		}
	}
	if port <= 0 {
		port = gitssh.DefaultPort
	}

	return host, port
}

// knownAs signs in to a server whose key is known under a name, although the
// connection is opened to an address; empty: the name is that of the connection.
type knownAs struct {
	gitssh.AuthMethod
	host string
}

// ClientConfig returns the configuration of SSH.
func (k knownAs) ClientConfig() (*ssh.ClientConfig, error) {
	config, err := k.AuthMethod.ClientConfig()
	if err != nil {
		return nil, err
	}

	config.Timeout = advertiseTimeout
	if check := config.HostKeyCallback; check != nil && k.host != "" {
		config.HostKeyCallback = func(_ string, remote net.Addr, key ssh.PublicKey) error {
			return check(k.host, remote, key)
		}
	}

	return config, nil
}

// goesThroughProxy reports whether connections to HOST:PORT go through the proxy of
// the environment (ALL_PROXY, NO_PROXY), as go-git reads it.
func goesThroughProxy(address string) bool {
	var first firstDial
	_, _ = proxy.FromEnvironmentUsing(&first).Dial("tcp", address)

	return first.address != address
}

// firstDial notes where the first connection would lead, and opens none.
type firstDial struct{ address string }

// Dial always fails.
func (d *firstDial) Dial(_, address string) (net.Conn, error) {
	d.address = address
	return nil, errors.New("not opened")
}
