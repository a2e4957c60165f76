package httpclient

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// dialTimeout is how long a connection may take to open, as in net/http.
const dialTimeout = 30 * time.Second

// Guard decides to which addresses connections may be opened. Most names of hosts
// are somebody else's words: an image names its registry, a registry names the
// server of its tokens, an Application names a git server. None of them may lead
// to what only this machine, this pod or this network link can reach: loopback,
// link-local, metadata, unspecified, multicast and broadcast addresses, in any of
// their spellings.
//
// The rules, the first that fits:
//
//  1. A HOST:PORT that the operator's configuration names is permitted, wherever
//     it is, as is a proxy of the operator.
//  2. An address in a denied range is refused.
//  3. A HOST:PORT that one of Argo CD's Secrets names (see [Guard.With]) and an
//     address in an allowed range are permitted.
//  4. The addresses above are refused.
//  5. All others are permitted, private ranges too.
//
// The address is checked when a connection is opened to it, so neither DNS nor a
// redirect leads around the rules. A request through a proxy is checked as far as
// its host can be read: the proxy resolves names.
//
// A nil Guard permits everything. A Guard never changes, and may be used from
// several goroutines.
type Guard struct {
	allow, deny []netip.Prefix
	configured  map[string]bool
	named       map[string]bool // nil: none
	proxies     map[string]bool
	remedy      func(*AddressError) string
}

// Rules are what the operator says about addresses.
type Rules struct {
	Allow, Deny []netip.Prefix
	// Hosts are the servers of the configuration, as HOST:PORT (see [HostPort]).
	Hosts []string
	// Proxies are the proxies of the environment, as HOST:PORT.
	Proxies []string
	// Remedy returns what the operator can do about an error; nil: nothing is said.
	Remedy func(*AddressError) string
}

// NewGuard returns a guard with these rules.
func NewGuard(r Rules) *Guard {
	return &Guard{
		allow: r.Allow, deny: r.Deny, remedy: r.Remedy,
		configured: setOf(r.Hosts), proxies: setOf(r.Proxies),
	}
}

// With returns a guard that also permits connections to each HOST:PORT, unless its
// address is in a denied range. It is nil if g is nil.
func (g *Guard) With(hosts ...string) *Guard {
	if g == nil || len(hosts) == 0 {
		return g
	}

	more := *g
	more.named = setOf(hosts)
	for host := range g.named {
		more.named[host] = true
	}

	return &more
}

func setOf(hosts []string) map[string]bool {
	all := map[string]bool{}
	for _, host := range hosts {
		if host != "" {
			all[strings.ToLower(host)] = true
		}
	}

	return all
}

// defaultPorts are the ports that a URL may leave out.
var defaultPorts = map[string]string{"http": "80", "https": "443", "ssh": "22", "socks5": "1080", "socks5h": "1080"}

// HostPort returns the host and the port that a URL leads to, as HOST:PORT; empty
// if it has no host, or a scheme whose port is not known.
func HostPort(u *url.URL) string {
	port := u.Port()
	if port == "" {
		port = defaultPorts[u.Scheme]
	}
	if u.Hostname() == "" || port == "" {
		return ""
	}

	return net.JoinHostPort(u.Hostname(), port)
}

// AddressError means that the guard refused to open a connection. It is permanent.
type AddressError struct {
	Host    string     // HOST:PORT, as it was named
	Address netip.Addr // where it leads; not valid if that is not known
	Kind    string     // of the address, such as "a loopback address"
	Denied  bool       // the operator denied it
	Remedy  string     // what the operator can do; may be empty
}

// Error says which host leads where, without the remedy.
func (e *AddressError) Error() string {
	host, _, _ := net.SplitHostPort(e.Host)
	at := e.Host
	if e.Address.IsValid() && host != e.Address.String() {
		at += " leads to " + e.Address.String() + ", which"
	}

	return fmt.Sprintf("%s is %s: no connection is opened to it", at, e.Kind)
}

// Protect makes a transport open only connections that the guard permits. Call it
// after the transport's proxy is set.
func (g *Guard) Protect(t *http.Transport) {
	if g == nil {
		return
	}

	t.DialContext = g.DialContext
	proxy := t.Proxy
	if proxy == nil {
		return
	}

	t.Proxy = func(r *http.Request) (*url.URL, error) {
		through, err := proxy(r)
		if err != nil {
			return nil, err
		}

		// A request to the proxy itself, as if it were a server, may not use the
		// permission of the proxy.
		target := HostPort(r.URL)
		if through != nil || g.proxies[strings.ToLower(target)] {
			err = g.CheckProxied(target)
		}

		return through, err
	}
}

// DialContext opens a connection to HOST:PORT. The error wraps an [AddressError] if
// the guard refused every address of the host.
func (g *Guard) DialContext(ctx context.Context, network, address string) (net.Conn, error) {
	dialer := net.Dialer{Timeout: dialTimeout, KeepAlive: dialTimeout}
	if g != nil && !g.proxies[strings.ToLower(address)] {
		dialer.ControlContext = func(_ context.Context, _, resolved string, _ syscall.RawConn) error {
			to, err := netip.ParseAddrPort(resolved)
			if err != nil {
				return fmt.Errorf("the address %s cannot be read: %w", resolved, err)
			}

			return g.permit(address, to.Addr())
		}
	}

	return dialer.DialContext(ctx, network, address)
}

// Resolve returns the addresses of HOST:PORT to which the guard permits connections,
// in the order in which to try them. Use it only where a connection cannot be opened
// with [Guard.DialContext], and connect to what it returns. The error wraps an
// [AddressError] if the guard refused every address.
func (g *Guard) Resolve(ctx context.Context, address string) ([]netip.AddrPort, error) {
	host, portText, err := net.SplitHostPort(address)
	if err != nil {
		return nil, err
	}
	port, err := strconv.ParseUint(portText, 10, 16)
	if err != nil {
		return nil, fmt.Errorf("the port %s is not a number", portText)
	}
	found, err := net.DefaultResolver.LookupNetIP(ctx, "ip", host)
	if err != nil {
		return nil, err
	}

	var permitted []netip.AddrPort
	var refused error
	for _, a := range found {
		if err := g.permit(address, a); err != nil {
			refused = err
			continue
		}
		permitted = append(permitted, netip.AddrPortFrom(a.Unmap(), uint16(port)))
	}
	if len(permitted) == 0 {
		return nil, refused
	}

	return permitted, nil
}

// CheckProxied checks HOST:PORT before it is handed to a proxy, which may understand
// more spellings of an address than this program does. The error is an
// [AddressError].
func (g *Guard) CheckProxied(address string) error {
	if g == nil || g.configured[strings.ToLower(address)] {
		return nil
	}

	host, _, err := net.SplitHostPort(address)
	if err != nil {
		host = address
	}
	if a, err := netip.ParseAddr(host); err == nil {
		return g.permit(address, a)
	}

	name := strings.TrimSuffix(strings.ToLower(host), ".")
	last := name[strings.LastIndex(name, ".")+1:]
	switch {
	case isNumber(last):
		return g.refuse(&AddressError{Host: address, Kind: "a number and not a name, nor an address in its usual form"})
	case last == "localhost":
		return g.permit(address, netip.AddrFrom4([4]byte{127, 0, 0, 1}))
	case name == "metadata.google.internal", name == "metadata.goog":
		return g.permit(address, netip.AddrFrom4([4]byte{169, 254, 169, 254}))
	}

	return nil
}

// isNumber reports whether the last part of a host makes it an IPv4 address for
// programs that take decimal, octal and hexadecimal numbers. No domain ends so.
func isNumber(s string) bool {
	if hex, ok := strings.CutPrefix(s, "0x"); ok {
		return strings.Trim(hex, "0123456789abcdef") == ""
	}

	return s != "" && strings.Trim(s, "0123456789") == ""
}

// permit applies the rules to an address of a host. The error is an [AddressError].
func (g *Guard) permit(host string, address netip.Addr) error {
	if g == nil || g.configured[strings.ToLower(host)] {
		return nil
	}

	address = address.WithZone("").Unmap()
	all := spellings(address)
	if within(g.deny, all) {
		return g.refuse(&AddressError{Host: host, Address: address, Kind: "in a denied range", Denied: true})
	}
	if g.named[strings.ToLower(host)] || within(g.allow, all[:1]) {
		return nil
	}

	for _, a := range all {
		if kind := reserved(a); kind != "" && !within(g.allow, []netip.Addr{a}) {
			return g.refuse(&AddressError{Host: host, Address: address, Kind: kind})
		}
	}

	return nil
}

func (g *Guard) refuse(e *AddressError) error {
	if g.remedy != nil {
		e.Remedy = g.remedy(e)
	}

	return e
}
