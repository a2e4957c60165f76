package forge

import (
	"fmt"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/liverty-music/image-writeback/internal/httpclient"
)

// requestTimeout bounds each request. Waiting for a rate limit does not count.
const requestTimeout = 30 * time.Second

// NewTransport returns the transport for requests to a forge, which opens only
// connections that guard permits.
func NewTransport(guard *httpclient.Guard) *http.Transport {
	t := httpclient.NewTransport(requestTimeout)
	guard.Protect(t)
	return t
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
