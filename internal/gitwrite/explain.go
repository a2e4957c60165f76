package gitwrite

import (
	"context"
	"errors"
	"net/url"
	"regexp"
	"strings"

	"github.com/go-git/go-git/v5/plumbing/transport"

	"github.com/liverty-music/image-writeback/internal/httpclient"
	"github.com/liverty-music/image-writeback/internal/limit"
)

// secrets are pieces of messages that look like credentials: hooks print what they like.
var secrets = regexp.MustCompile(`(?i)\b(?:gh[a-z]_|github_pat_|glpat-|xox[a-z]-)[\w-]{8,}|\bAKIA[0-9A-Z]{16}\b|` +
	`(?:://)[^/\s:@]*:[^/\s@]+@|\b(?:bearer|basic)\s+[\w+/=.-]{8,}|` +
	`\b[\w-]*(?:password|passwd|token|secret|api[_-]?key)["']?\s*[:=]\s*\S+|` +
	`-----BEGIN [A-Z ]*PRIVATE KEY-----.*`)

// oneLine returns the message of a hook or a protection rule in one line, without what
// looks like credentials.
func oneLine(s string) string {
	words := secrets.ReplaceAllString(strings.Join(strings.Fields(s), " "), "(hidden)")
	if len(words) > maxError {
		words = strings.ToValidUTF8(words[:maxError], "") + "…"
	}
	return words
}

// failed explains an error of the transport and adds a remedy.
func (r *remote) failed(doing string, err error) error {
	e := &Error{Repository: r.public, Doing: doing, Err: err}
	var explained *Error
	var login *loginError
	var failed *url.Error
	var refused *httpclient.AddressError
	var exceeded *limit.Error
	switch {
	case errors.As(err, &explained):
		return err
	case errors.As(err, &login):
		return login.error
	case errors.As(err, &refused):
		e.Err, e.Remedy = refused, "check the URL"
		if refused.Remedy != "" {
			e.Remedy = refused.Remedy
		}
	case errors.As(err, &exceeded):
		e.Err = exceeded
	case errors.Is(err, errIdle):
		e.Err = errIdle
		e.Remedy = "it is tried again in the next cycle; check that it can be reached from here"
	case errors.Is(err, transport.ErrAuthenticationRequired) && r.forge:
		e.Err = errors.New("the server rejected the login that config.yaml has for it, and there is no newer one")
		e.Remedy = "check that the App is installed on the repository and its key is listed in the App's settings, " +
			"or make a new token and put it into the token file"
	case errors.Is(err, transport.ErrAuthenticationRequired):
		e.Err = errors.New("the server requires credentials, or rejected the ones that were sent")
		e.Remedy = "configure a GitHub App or a token for it, " +
			"or name a Secret in write-back-method: git:secret:NAMESPACE/NAME"
	case errors.Is(err, transport.ErrAuthorizationFailed):
		e.Err = errors.New("the server denies access")
		e.Remedy = "grant read and write on the contents of the repository (GitHub App: Contents, read and write)"
	case errors.Is(err, transport.ErrRepositoryNotFound):
		e.Err = errors.New("the repository was not found")
		e.Remedy = "check its URL, and that the credentials may see it (GitHub App: install it on the repository)"
	case errors.Is(err, transport.ErrEmptyRemoteRepository):
		e.Err, e.Remedy = errors.New("the repository is empty"), "push a first commit with the manifests"
	case errors.Is(err, context.DeadlineExceeded):
		e.Err = errors.New("the server did not answer in time")
		e.Remedy = "it is tried again in the next cycle; check that it can be reached from here"
	case errors.As(err, &failed):
		e.Err, e.Remedy = failed.Err, "check the URL and that the server can be reached from here"
	default:
		e.Err, e.Remedy = short(err), "it is tried again in the next cycle"
	}

	return e
}

// maxError is how long the text of an error may be.
const maxError = 300

// short returns the same error with a short text: the library quotes what a server
// sends.
func short(err error) error {
	if len(err.Error()) <= maxError {
		return err
	}

	return &shortError{oneLine(err.Error()), err}
}

type shortError struct {
	text string
	err  error
}

// Error returns the beginning of the text.
func (e *shortError) Error() string { return e.text }

// Unwrap returns the error.
func (e *shortError) Unwrap() error { return e.err }
