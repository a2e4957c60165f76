package forge

import (
	"fmt"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/liverty-music/image-writeback/internal/giturl"
	"github.com/liverty-music/image-writeback/internal/httpclient"
)

// requestTimeout bounds each request. Waiting for a rate limit does not count.
const requestTimeout = 30 * time.Second

// NewTransport returns the transport for requests to the API of a forge. It sends
// nothing to another host, port or protocol, wherever the API redirects to: requests
// are signed before they pass it. It opens only connections that guard permits.
func NewTransport(api *url.URL, guard *httpclient.Guard) http.RoundTripper {
	t := httpclient.NewTransport(requestTimeout)
	guard.Protect(t)

	return &apiTransport{scheme: api.Scheme, host: api.Host, base: t}
}

type apiTransport struct {
	scheme, host string
	base         http.RoundTripper
}

// RoundTrip sends a request to the API.
func (t *apiTransport) RoundTrip(request *http.Request) (*http.Response, error) {
	if request.URL.Scheme != t.scheme || !strings.EqualFold(request.URL.Host, t.host) {
		return nil, fmt.Errorf("the API redirects to %s://%s, which does not get its credentials",
			request.URL.Scheme, request.URL.Host)
	}

	return t.base.RoundTrip(request)
}

// CheckLogin returns an error if the login of the forge at server must not be sent to
// the address of a repository. The error says how to write the address.
func CheckLogin(server, address giturl.Address) error {
	at := giturl.Parse(address.HTTPS())
	if at.ServedBy(server) {
		return nil
	}

	return &Error{
		Repository: address.Public(), Doing: "signing in",
		Err:    fmt.Errorf("the login of %s is not sent to %s", server.HostPort(), places(at)),
		Remedy: fmt.Sprintf("write the URL of the repository as %s/OWNER/NAME.git", server),
	}
}

// places names where an address leads to, for messages.
func places(at giturl.Address) string {
	if host := at.HostPort(); host != "" {
		return at.Protocol() + "://" + host
	}

	return "a host that can be read in two ways"
}

// ParseURL reads the address of a forge's API. The error names the setting.
func ParseURL(setting, text string) (*url.URL, error) {
	u, err := url.Parse(text)
	if err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http" {
		return nil, fmt.Errorf("%s: %q is not an http or https URL", setting, text)
	}
	return u, nil
}

// ReadToken reads an access token from a file. The error names the setting.
func ReadToken(setting, file string) (string, error) {
	content, err := os.ReadFile(file)
	if err != nil {
		return "", fmt.Errorf("%s: %w", setting, err)
	}
	token := strings.TrimSpace(string(content))
	if token == "" {
		return "", fmt.Errorf("%s: %s is empty", setting, file)
	}
	return token, nil
}
