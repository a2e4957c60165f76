// Package giturl is the one place that knows how the address of a git repository
// is spelled. [Parse] reads an address once; an [Address] then answers whether two
// spellings mean one repository, what may be shown of it, and where it is.
//
// Use it wherever two addresses are compared, and wherever one is shown. The
// package does not connect to anything: internal/gitwrite does. The vectors in
// testdata/giturl specify all that is decided here.
package giturl

import (
	"net/url"
	"path"
	"regexp"
	"strings"
)

// Address is the address of a git repository in any form that git accepts: a
// URL, the short form of SSH (git@host:path), or a path. The zero value is not an
// address. Compare addresses by [Address.Key], not by ==.
type Address struct {
	protocol       string
	user, password string
	host           string
	path           string
	key            string // with the protocol
	remote         string // the same, with the path in its case
	public         string
	https          string
	site           site
	// plain reports whether every server reads the path as it is written.
	plain bool
}

// shortSSH is the form USER@HOST:PATH, where USER@ and a port before the path
// are optional. https://git-scm.com/docs/git-clone#_git_urls
var shortSSH = regexp.MustCompile(`^(?:([^@]+)@)?([^:\s]+):(?:([0-9]{1,5}):)?(.*)$`)

// defaultPorts are the ports that an address may leave out.
var defaultPorts = map[string]string{"http": "80", "https": "443", "ssh": "22", "git": "9418"}

// Parse reads an address. It never fails: text that is not an address is a
// repository of its own, which has neither host nor path, and of which nothing
// is shown that may be a password.
func Parse(text string) Address {
	text = strings.TrimSpace(text)
	if !strings.Contains(text, "://") {
		return parseWithoutScheme(text)
	}

	u, err := url.Parse(text)
	if err != nil {
		public := withoutCredentials(text)
		return Address{key: public, remote: public, public: public, https: text}
	}

	return fromURL(u, text)
}

// parseWithoutScheme reads the short form of SSH, or a path.
func parseWithoutScheme(text string) Address {
	match := shortSSH.FindStringSubmatch(text)
	beforeColon, _, _ := strings.Cut(text, ":")
	if match == nil || strings.Contains(beforeColon, "/") { // git takes the latter for a path, too
		remote := trimGit(text)
		return Address{
			path: strings.TrimLeft(remote, "/"), key: strings.ToLower(remote), remote: remote,
			public: text, https: text,
		}
	}

	u := &url.URL{Scheme: "ssh", Host: match[2], Path: "/" + strings.TrimPrefix(match[4], "/")}
	if match[3] != "" {
		u.Host += ":" + match[3]
	}
	public := text
	name, password, hasPassword := strings.Cut(match[1], ":")
	if hasPassword {
		u.User = url.UserPassword(name, password)
		public = name + strings.TrimPrefix(text, match[1])
	} else if name != "" {
		u.User = url.User(name)
	}

	a := fromURL(u, text)
	a.public = public
	// The short form has no password: git takes what stands before the colon for the host. With
	// a backslash, some take it for a path of Windows. A number without a path may be the path.
	if hasPassword || strings.HasPrefix(match[4], `\`) || match[3] != "" && match[4] == "" {
		a.site = site{}
	}
	return a
}

// fromURL is the address that a URL and its text stand for.
func fromURL(u *url.URL, text string) Address {
	a := Address{protocol: u.Scheme, host: u.Hostname(), https: text}
	a.path = strings.TrimLeft(trimGit(u.Path), "/")
	if u.User != nil {
		a.user = u.User.Username()
		a.password, _ = u.User.Password()
	}
	a.public = public(*u, text)
	a.site, a.plain = siteOf(u), plainPath(u)

	canonical := &url.URL{Scheme: u.Scheme, Host: strings.ToLower(u.Host), RawQuery: u.RawQuery, Fragment: u.Fragment}
	if port := u.Port(); port != "" && port == defaultPorts[u.Scheme] {
		canonical.Host = strings.TrimSuffix(canonical.Host, ":"+port)
	}
	if a.path != "" {
		canonical.Path = "/" + a.path
	}
	a.remote = canonical.String()
	a.key = strings.ToLower(a.remote)

	if a.protocol == "ssh" {
		host := a.host
		if strings.Contains(host, ":") { // IPv6
			host = "[" + host + "]"
		}
		a.https = (&url.URL{Scheme: "https", Host: host, Path: path.Join("/", a.path) + ".git"}).String()
	}
	return a
}

// trimGit cuts off what an address may end with or not.
func trimGit(path string) string {
	return strings.TrimRight(strings.TrimSuffix(strings.TrimRight(path, "/"), ".git"), "/")
}

// public is the text of a URL, without credentials. The user of SSH is not one.
func public(u url.URL, text string) string {
	if u.User == nil && u.RawQuery == "" && !u.ForceQuery && u.Fragment == "" {
		return text
	}

	switch {
	case u.User == nil:
	case u.Scheme == "ssh":
		u.User = url.User(u.User.Username())
	default:
		u.User = nil
	}
	u.RawQuery, u.ForceQuery, u.Fragment, u.RawFragment = "", false, "", ""
	return u.String()
}

// withoutCredentials cuts off by hand what may be credentials, in text that
// looks like a URL and is not one.
func withoutCredentials(text string) string {
	scheme, rest, _ := strings.Cut(text, "://")
	rest, _, _ = strings.Cut(rest, "?")
	return scheme + "://" + rest[strings.LastIndex(rest, "@")+1:]
}

// Key is the same for all spellings of one repository: whatever the protocol,
// the user, the case, .git or slashes at the end, and a port that the protocol
// implies. Argo CD ignores the case of addresses in the same way.
func (a Address) Key() string {
	if _, rest, ok := strings.Cut(a.key, "://"); ok {
		return rest
	}
	return a.key
}

// PlaceKey is like Key, without any port: servers have another port for each protocol.
func (a Address) PlaceKey() string {
	if a.host == "" {
		return a.Key()
	}
	return strings.ToLower(a.host + "/" + a.path)
}

// ProtocolKey is the same for all spellings of one repository with the same
// protocol: credentials for HTTPS do not help where SSH is spoken.
func (a Address) ProtocolKey() string { return a.key }

// RemoteKey is like ProtocolKey, but the path keeps its case: a server may have
// two repositories whose names differ in nothing else.
func (a Address) RemoteKey() string { return a.remote }

// Public is the address as it was written, but without password and query, and
// without a user, unless it is that of SSH. It may be shown to anybody.
func (a Address) Public() string { return a.public }

// String is Public, so that nothing else is printed by mistake.
func (a Address) String() string { return a.public }

// HTTPS is the address to use with a token: that of SSH becomes one of HTTPS, at
// the port of HTTPS. Any other stays as it was written, with the credentials
// that it may hold; do not show it.
func (a Address) HTTPS() string { return a.https }

// Protocol is the scheme of the URL in lower case, ssh for the short form of
// SSH, and empty for a path.
func (a Address) Protocol() string { return a.protocol }

// Login are the user and the password that the address holds, mostly none.
func (a Address) Login() (user, password string) { return a.user, a.password }

// Host is the host as it was written, without a port; empty for a path.
func (a Address) Host() string { return a.host }

// Path is the path at the host without slashes around it and without .git, such
// as owner/name.
func (a Address) Path() string { return a.path }

// Owner is all of the path before the name: a user or an organization at GitHub,
// groups at GitLab. It is empty where the path has one part alone.
func (a Address) Owner() string {
	if i := strings.LastIndex(a.path, "/"); i >= 0 {
		return a.path[:i]
	}
	return ""
}

// Name is the last part of the path, without .git.
func (a Address) Name() string { return a.path[strings.LastIndex(a.path, "/")+1:] }
