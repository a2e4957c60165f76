package forge

import (
	"fmt"
	"net/http"

	"github.com/liverty-music/image-writeback/internal/secretfile"
)

// Token is an access token in a file, which may be replaced while the program runs.
type Token struct{ file *secretfile.File[string] }

// OpenToken opens the file of an access token. The error names the setting.
func OpenToken(setting, file string) (*Token, error) {
	opened, err := secretfile.Open(file, secretfile.Text(file))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", setting, err)
	}

	return &Token{opened}, nil
}

// Current returns the token. If that is one that the forge has refused, the file is read
// again.
func (t *Token) Current(refused string) string {
	token := t.file.Current()
	if token == refused {
		token = t.file.Refused()
	}

	return token
}

// Transport signs requests with the token, by sign. A request that is refused is sent
// again if the file has another token by now.
func (t *Token) Transport(base http.RoundTripper, sign func(header http.Header, token string)) http.RoundTripper {
	return &tokenTransport{t, base, sign}
}

type tokenTransport struct {
	token *Token
	base  http.RoundTripper
	sign  func(header http.Header, token string)
}

// RoundTrip signs and sends a request.
func (t *tokenTransport) RoundTrip(request *http.Request) (*http.Response, error) {
	token := t.token.Current("")
	response, err := t.send(request, token)
	if err != nil || response.StatusCode != http.StatusUnauthorized || !Replayable(request) {
		return response, err
	}

	newer := t.token.Current(token)
	if newer == token {
		return response, nil
	}
	_ = response.Body.Close()

	return t.send(request, newer)
}

func (t *tokenTransport) send(request *http.Request, token string) (*http.Response, error) {
	sent, err := Replay(request)
	if err != nil {
		return nil, err
	}
	t.sign(sent.Header, token)

	return t.base.RoundTrip(sent)
}

// Replayable reports whether a request can be sent a second time.
func Replayable(request *http.Request) bool {
	return request.Body == nil || request.Body == http.NoBody || request.GetBody != nil
}

// Replay returns a copy of a request that can be sent instead of it, so that the request
// itself can be sent again.
func Replay(request *http.Request) (*http.Request, error) {
	sent := request.Clone(request.Context())
	if request.GetBody == nil {
		return sent, nil
	}
	body, err := request.GetBody()
	sent.Body = body

	return sent, err
}
