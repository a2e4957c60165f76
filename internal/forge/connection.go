package forge

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/liverty-music/image-writeback/internal/giturl"
	"github.com/liverty-music/image-writeback/internal/httpclient"
	"github.com/liverty-music/image-writeback/internal/limit"
)

// requestTimeout bounds each request, with its answer. Waiting for a rate limit does not
// count.
const requestTimeout = 30 * time.Second

// NewTransport returns the transport for requests to the API of a forge. It sends
// nothing to another host, port or protocol, wherever the API redirects to: requests
// are signed before they pass it. It opens only connections that guard permits.
func NewTransport(api *url.URL, guard *httpclient.Guard) http.RoundTripper {
	t := httpclient.NewTransport(requestTimeout)
	guard.Protect(t)

	return &apiTransport{scheme: api.Scheme, host: api.Host, timeout: requestTimeout, base: t}
}

type apiTransport struct {
	scheme, host string
	timeout      time.Duration // of a request with its answer
	base         http.RoundTripper
}

// RoundTrip sends a request to the API.
func (t *apiTransport) RoundTrip(request *http.Request) (*http.Response, error) {
	if request.URL.Scheme != t.scheme || !strings.EqualFold(request.URL.Host, t.host) {
		return nil, fmt.Errorf("the API redirects to %s://%s, which does not get its credentials",
			request.URL.Scheme, request.URL.Host)
	}

	ctx, end := context.WithTimeout(request.Context(), t.timeout)
	response, err := t.base.RoundTrip(request.WithContext(ctx))
	if err != nil {
		end()
		return nil, err
	}

	body := io.LimitReader(response.Body, maxRefusal)
	if response.StatusCode < http.StatusBadRequest {
		body = limit.Reader(response.Body, maxAnswer, limit.Limit{Max: maxAnswer}.TooLarge("the answer"))
	}
	response.Body = &boundedBody{body, response.Body, end}

	return response, nil
}

// maxAnswer is how large an answer may be, and maxRefusal how much is read of one that
// is an error.
const (
	maxAnswer  = 8 << 20
	maxRefusal = 64 << 10
)

// MostPages bounds the pages of a list, which have a hundred entries each.
const MostPages = 100

// TooManyPages returns the error for a list of more than MostPages.
func TooManyPages(list string) error {
	return limit.Limit{Max: MostPages, Raise: "close those that nobody needs"}.TooMany(list, "pages")
}

// boundedBody ends the time of a request when the body of its answer is closed.
type boundedBody struct {
	io.Reader
	body io.Closer
	end  context.CancelFunc
}

// Close closes the body.
func (b *boundedBody) Close() error {
	defer b.end()

	return b.body.Close()
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
