package giturl

import (
	"net"
	"net/url"
	"regexp"
	"slices"
	"strings"
)

// site is where a URL leads: to one server, by one protocol. The zero value leads
// nowhere, and is the site of everything whose host two programs could read
// differently.
type site struct{ protocol, host, port string }

// plainHost are the names and numbers that every program reads in the same way: no
// characters that are not ASCII, no escapes, no zone.
var plainHost = regexp.MustCompile(`^(?:[a-z0-9_-]+(?:\.[a-z0-9_-]+)*|[0-9a-f:]*:[0-9a-f:.]*)$`)

// siteOf returns the site of a URL, with the port that the protocol implies.
func siteOf(u *url.URL) site {
	s := site{protocol: u.Scheme, host: lower(u.Hostname()), port: u.Port()}
	if !plainHost.MatchString(s.host) {
		return site{}
	}
	if s.port == "" {
		s.port = defaultPorts[u.Scheme]
	}

	return s
}

// lower is the text in lower case. Letters beyond ASCII stay as they are: some of
// them have an ASCII letter as their lower case.
func lower(text string) string {
	return strings.Map(func(r rune) rune {
		if 'A' <= r && r <= 'Z' {
			return r - 'A' + 'a'
		}
		return r
	}, text)
}

// plainPath reports whether every server reads the path of a URL as it is written:
// it has no dots that lead elsewhere, no empty parts, no backslash, and no slash,
// dot or percent sign in disguise.
func plainPath(u *url.URL) bool {
	parts := strings.Split(strings.TrimRight(strings.TrimPrefix(u.Path, "/"), "/"), "/")
	if slices.ContainsFunc(parts, func(part string) bool { return part == ".." || part == "." }) ||
		len(parts) > 1 && slices.Contains(parts, "") {
		return false
	}
	escaped := strings.ToLower(u.EscapedPath())
	disguised := strings.Contains(escaped, "%2f") || strings.Contains(escaped, "%2e")

	return !disguised && !strings.ContainsAny(u.Path, `\%?#`)
}

// Covers reports whether credentials for this address may be sent to another one:
// it is at the same server, by the same protocol and port, and below this path.
// Hosts and parts of paths are compared, never beginnings of text: neither does
// https://git.example cover https://git.example.net, nor /team cover /team-b. The
// case does not count, nor do users and .git at the end. An address without a host
// covers nothing.
func (a Address) Covers(other Address) bool {
	if a.site == (site{}) || a.site != other.site {
		return false
	}
	if a.path == "" {
		return true
	}

	path, below := strings.ToLower(a.path), strings.ToLower(other.path)

	return a.plain && other.plain && (below == path || strings.HasPrefix(below, path+"/"))
}

// ParseAPI reads the address of a forge's API, and returns where the forge has its
// repositories: at the same host, without a leading "api.", as at GitHub.
func ParseAPI(text string) Address {
	u, err := url.Parse(strings.TrimSpace(text))
	if err != nil || u.Host == "" {
		return Address{}
	}

	at := url.URL{Scheme: u.Scheme, Host: strings.TrimPrefix(lower(u.Host), "api.")}

	return Parse(at.String())
}

// ServedBy reports whether the login of a forge may be sent to the address. server is
// the address of the forge: the two have the same host, and the address is reached by
// HTTPS at HTTPS's own port or at the forge's, or else as the forge itself is.
func (a Address) ServedBy(server Address) bool {
	at, by := a.site, server.site
	if at == (site{}) || at.host != by.host {
		return false
	}

	return at == by || at.protocol == "https" && at.port == "443"
}

// HostPort is the host of the address in lower case, with the port if it is not that
// of HTTPS or SSH: "git.example", "git.example:8443", "git.example:80" for HTTP. It is
// empty for an address without a host, and for one that could be read differently.
func (a Address) HostPort() string {
	host := a.site.host
	if strings.Contains(host, ":") { // IPv6
		host = "[" + host + "]"
	}
	secure := a.site.protocol == "https" || a.site.protocol == "ssh"
	if host == "" || secure && a.site.port == defaultPorts[a.site.protocol] {
		return host
	}

	return host + ":" + a.site.port
}

// Server is the server of the address as HOST:PORT, always with the port. It is empty
// for an address without a host, for one that could be read differently, and for a
// protocol whose port is not known.
func (a Address) Server() string {
	if a.site.host == "" || a.site.port == "" {
		return ""
	}

	return net.JoinHostPort(a.site.host, a.site.port)
}
