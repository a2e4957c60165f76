package registry

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"github.com/google/go-containerregistry/pkg/v1/remote/transport"

	"github.com/liverty-music/image-writeback/internal/httpclient"
	"github.com/liverty-music/image-writeback/internal/limit"
)

// Error is a failed request to a registry, with what to do about it.
type Error struct {
	Image  string
	Doing  string
	Remedy string
	// NoAnswer reports whether the registry could not be reached, or gave no good
	// answer to any request of this repository in its time.
	NoAnswer bool
	// Overloaded reports whether the registry answered 429 or 5xx to the last
	// retry.
	Overloaded bool
	Err        error
}

// Error says it all in one line.
func (e *Error) Error() string {
	return fmt.Sprintf("image %s: %s: %v; %s", e.Image, e.Doing, e.Err, e.Remedy)
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

const checkReachable = "check that it can be reached from here"

// failed makes an *Error. It leaves out the registry's answer, which may be a page
// of HTML, and credentials, which neither the answer nor the cause has.
func (r *Repository) failed(doing string, err error) error {
	e := &Error{Image: r.ref.Name, Doing: doing, Err: err}
	host := r.repo.RegistryStr()
	noAnswer := r.budget.answers.Load() == 0

	var status *transport.Error
	var credentials *CredentialsError
	var exceeded *limit.Error
	lastError := r.budget.lastError.Load()
	refused := refusedAddress(err, lastError)

	switch {
	case errors.As(err, &credentials):
		e.Err, e.Remedy = credentials.Err, credentials.Remedy

	case refused != nil: // this image alone; the registry may be well
		e.Err, e.Remedy = refused, "check the image's name"
		if refused.Remedy != "" {
			e.Remedy = refused.Remedy
		}

	case errors.As(err, &exceeded):
		e.Err = fmt.Errorf("%s: %s", host, exceeded.What)
		e.Remedy = exceeded.Remedy
		if e.Remedy == "" {
			e.Remedy = "check that this address is a registry, and not a proxy or a login page"
		}

	case errors.As(err, &status):
		e.Err = fmt.Errorf("%s answered %d %s", host, status.StatusCode, http.StatusText(status.StatusCode))
		e.Remedy = r.remedy(status.StatusCode)
		e.Overloaded = transient(status.StatusCode)
		if status.StatusCode == http.StatusUnauthorized || status.StatusCode == http.StatusForbidden {
			r.disconnect()
		}

	case errors.Is(err, errLimit):
		e.Err = fmt.Errorf("there was no time left to wait for the limit of requests to %s", host)
		e.Remedy = fmt.Sprintf("it is tried again in the next cycle; raise the limit for %s under %s if the registry "+
			"allows more", r.registry.Prefix, r.client.Settings)

	case errors.Is(err, context.DeadlineExceeded) || isTimeout(err) || r.budget.expired.Load():
		e.NoAnswer, e.Err = noAnswer, silence(host, noAnswer)
		e.Remedy = "it is tried again in the next cycle; " + checkReachable

	case lastError != nil:
		e.NoAnswer = noAnswer
		e.Err = fmt.Errorf("%s: %w", host, withoutURL(*lastError))
		e.Remedy = "check the registry's name and " + strings.TrimPrefix(checkReachable, "check ")

	case isGarbage(err):
		e.Err = fmt.Errorf("the answer of %s is not a registry's answer: %w", host, err)
		e.Remedy = "check that this address is a registry, and not a proxy or a login page"

	default:
		e.Err = withoutURL(err)
		e.Remedy = "check the image's name and the address of the registry's API"
	}

	return e
}

// silence is the error for a registry that did not answer in time.
func silence(host string, noAnswer bool) error {
	err := fmt.Errorf("%s did not answer within %s", host, Patience)
	if !noAnswer {
		err = fmt.Errorf("after other answers, %w", err)
	}

	return err
}

// refusedAddress returns the refusal of an address that made a request fail; nil if
// none did. lastError is the newest error below HTTP; it may be nil.
func refusedAddress(err error, lastError *error) *httpclient.AddressError {
	var refused *httpclient.AddressError
	if !errors.As(err, &refused) && lastError != nil {
		errors.As(*lastError, &refused)
	}

	return refused
}

// remedy says what to do about a status.
func (r *Repository) remedy(status int) string {
	prefix, settings := r.registry.Prefix, r.client.Settings

	switch {
	case status == http.StatusUnauthorized || status == http.StatusForbidden:
		how := fmt.Sprintf("set credentials for %s under %s, or the annotation pull-secret", prefix, settings)
		if r.creds != "" {
			how = "check the credentials " + publicPart(r.creds)
		}
		return how + "; they must allow reading the repository (Artifact Registry: roles/artifactregistry.reader)"

	case status == http.StatusNotFound:
		return "check the image's name in image-list, and that an image was pushed; " +
			"some registries answer 404 also if read access is missing"

	case status == http.StatusTooManyRequests:
		return fmt.Sprintf("it limits requests; lower the limit for %s under %s, "+
			"or use credentials with a higher quota", prefix, settings)

	case status >= http.StatusInternalServerError:
		return "the registry has trouble; it is tried again in the next cycle"
	}

	return "check the image's name and the address of the registry's API"
}

func isTimeout(err error) bool {
	var timeout net.Error

	return errors.As(err, &timeout) && timeout.Timeout()
}

// isGarbage reports whether an answer could not be read.
func isGarbage(err error) bool {
	var syntax *json.SyntaxError
	var kind *json.UnmarshalTypeError

	return errors.As(err, &syntax) || errors.As(err, &kind) || errors.Is(err, errShape) ||
		errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, io.EOF) || errors.Is(err, strconv.ErrSyntax) ||
		strings.Contains(err.Error(), "malformed HTTP")
}

// withoutURL removes the URL of a failed request, whose query may hold a token.
func withoutURL(err error) error {
	var failed *url.Error
	if errors.As(err, &failed) {
		err = failed.Err
	}
	if errors.Is(err, io.EOF) {
		return errors.New("the connection was closed")
	}

	return err
}
