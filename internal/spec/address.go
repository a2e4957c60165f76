package spec

import (
	"net/url"
	"strings"
)

// Address returns the same for all spellings of a git repository's URL,
// whichever the protocol.
func Address(url string) string {
	address := normalURL(url)
	if _, rest, ok := strings.Cut(address, "://"); ok {
		address = rest
	}

	return address
}

// normalURL makes the spellings of one address equal, as Argo CD does: SSH's
// short form, case, and a trailing .git; and the user in it.
func normalURL(address string) string {
	address = strings.TrimSpace(address)
	if !strings.Contains(address, "://") {
		if host, path, ok := strings.Cut(address, ":"); ok {
			address = "ssh://" + host + "/" + strings.TrimPrefix(path, "/")
		}
	}

	u, err := url.Parse(address)
	if err != nil {
		return address
	}

	u.User = nil

	return strings.TrimSuffix(strings.TrimSuffix(strings.ToLower(u.String()), "/"), ".git")
}
