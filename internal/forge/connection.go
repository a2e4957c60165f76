package forge

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
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

// attempts is how often a request that changes nothing is sent where the connection
// breaks or the forge has trouble, and firstPause the pause before the second time, which
// then doubles.
const (
	attempts   = 3
	firstPause = 250 * time.Millisecond
)

// RoundTrip sends a request to the API. The answer has arrived when it returns.
func (t *apiTransport) RoundTrip(request *http.Request) (*http.Response, error) {
	if request.URL.Scheme != t.scheme || !strings.EqualFold(request.URL.Host, t.host) {
		return nil, fmt.Errorf("the API redirects to %s://%s, which does not get its credentials",
			request.URL.Scheme, request.URL.Host)
	}

	pause := firstPause
	for attempt := 1; ; attempt++ {
		response, err := t.send(request)
		if attempt == attempts || request.Method != http.MethodGet || !mayPass(response, err) {
			return response, err
		}
		if err := httpclient.Wait(request.Context(), pause); err != nil {
			return nil, err
		}
		pause *= 2
	}
}

// mayPass reports whether the same request may have a better answer in a moment.
func mayPass(response *http.Response, err error) bool {
	if err != nil {
		var exceeded *limit.Error
		var refused *httpclient.AddressError

		return !errors.As(err, &exceeded) && !errors.As(err, &refused) && !errors.Is(err, errNull) &&
			!errors.Is(err, context.Canceled) && !errors.Is(err, context.DeadlineExceeded)
	}

	switch response.StatusCode {
	case http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		return response.Header.Get("Retry-After") == ""
	}

	return false
}

// send sends a request once, and reads its answer.
func (t *apiTransport) send(request *http.Request) (*http.Response, error) {
	ctx, end := context.WithTimeout(request.Context(), t.timeout)
	defer end()

	response, err := t.base.RoundTrip(request.WithContext(ctx))
	if err != nil {
		return nil, err
	}
	defer func() { _ = response.Body.Close() }()

	body := io.LimitReader(response.Body, maxRefusal)
	if response.StatusCode < http.StatusBadRequest {
		body = limit.Reader(response.Body, maxAnswer, limit.Limit{Max: maxAnswer}.TooLarge("the answer"))
	}
	data, err := io.ReadAll(body)
	if err != nil && response.StatusCode < http.StatusBadRequest {
		return nil, fmt.Errorf("reading the answer: %w", err)
	}
	if response.StatusCode < http.StatusBadRequest && hasNull(data) {
		return nil, errNull
	}
	response.Body = io.NopCloser(bytes.NewReader(data))

	return response, nil
}

// errNull is for an answer whose library would take it for one with a value.
var errNull = errors.New(`the answer is "null", or a list with it`)

// hasNull reports whether an answer in JSON is null, or has a list with null in it.
// Libraries of forges have pointers in both places, and expect them to point somewhere.
func hasNull(data []byte) bool {
	var open []json.Delim
	for d := json.NewDecoder(bytes.NewReader(data)); ; {
		token, err := d.Token()
		if err != nil {
			return false // at the end; or the library says why it cannot be read
		}

		delimiter, isDelimiter := token.(json.Delim)
		switch {
		case token == nil && (len(open) == 0 || open[len(open)-1] == '['):
			return true
		case isDelimiter && (delimiter == '[' || delimiter == '{'):
			open = append(open, delimiter)
		case isDelimiter:
			open = open[:len(open)-1]
		}
	}
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
