package gitlab

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	gitlab "gitlab.com/gitlab-org/api/client-go"

	"github.com/liverty-music/image-writeback/internal/forge"
	"github.com/liverty-music/image-writeback/internal/limit"
)

func (r *repository) newError(doing string, err error, remedy string) *forge.Error {
	return &forge.Error{Repository: r.path + " at GitLab", Doing: doing, Err: err, Remedy: remedy}
}

// failed turns an error of the library into one that says what to do.
func (r *repository) failed(doing string, err error) error {
	var limited *forge.LimitedError
	var answer *gitlab.ErrorResponse
	var transport *url.Error
	var exceeded *limit.Error
	switch {
	case errors.As(err, &exceeded) && exceeded.Remedy != "":
		return r.newError(doing, errors.New(exceeded.What), exceeded.Remedy)
	case errors.As(err, &limited):
		return r.newError(doing, limited, forge.LimitedRemedy)
	case errors.As(err, &answer) && answer.Response != nil:
		status := answer.Response.StatusCode
		cause := fmt.Errorf("GitLab answered %d %s", status, answer.Message)
		return r.newError(doing, cause, remedy(status, answer.Message))
	case errors.Is(err, gitlab.ErrNotFound):
		return r.newError(doing, errors.New("GitLab answered 404 Not Found"), remedy(http.StatusNotFound, ""))
	}

	if errors.As(err, &transport) {
		err = transport.Err
	}
	return r.newError(doing, err, "check gitlab.url and that it can be reached from here")
}

// remedy is what to do about an answer.
func remedy(status int, message string) string {
	switch {
	case status == http.StatusUnauthorized:
		return "make a new token and put it into gitlab.tokenFile: this one is wrong, expired or revoked"
	case status == http.StatusForbidden:
		return "give the token the scope api, and its user the role Developer in the project " +
			"(Maintainer for protected branches)"
	case status == http.StatusNotFound:
		return "make the token's user a member of the project, and check the project's path"
	case status == http.StatusMethodNotAllowed:
		return "GitLab cannot merge it automatically; set github.pullRequest.autoMerge: false, " +
			"or see what the project requires"
	case status == http.StatusConflict && strings.Contains(message, "already exists"):
		return "the next cycle continues with that one"
	case status == http.StatusConflict:
		return "something has changed in the meantime; the next cycle decides again"
	case status >= http.StatusInternalServerError:
		return "GitLab has trouble; it is tried again in the next cycle"
	}
	return "see GitLab's message"
}
