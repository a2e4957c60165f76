package github

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"github.com/bradleyfalzon/ghinstallation/v2"
	"github.com/google/go-github/v88/github"

	"github.com/liverty-music/image-writeback/internal/forge"
	"github.com/liverty-music/image-writeback/internal/limit"
)

// seeMessage is the remedy where GitHub's own words are all there is.
const seeMessage = "see GitHub's message"

func (r *repository) newError(doing string, err error, remedy string) *forge.Error {
	return &forge.Error{Repository: r.fullName() + " at GitHub", Doing: doing, Err: err, Remedy: remedy}
}

// failed turns an error of the library into one that says what to do. needs is
// the permission that the request takes.
func (r *repository) failed(doing, needs string, err error) error {
	var already *forge.Error
	var limited *forge.LimitedError
	var answer *github.ErrorResponse
	var token *ghinstallation.HTTPError
	var primary *github.RateLimitError
	var secondary *github.AbuseRateLimitError
	var transport *url.Error
	var exceeded *limit.Error
	switch {
	case errors.As(err, &already):
		return already
	case errors.As(err, &exceeded) && exceeded.Remedy != "":
		return r.newError(doing, errors.New(exceeded.What), exceeded.Remedy)
	case errors.As(err, &limited):
		return r.newError(doing, limited, forge.LimitedRemedy)
	case errors.As(err, &primary):
		return r.newError(doing, &forge.LimitedError{Until: primary.Rate.Reset.Time}, forge.LimitedRemedy)
	case errors.As(err, &secondary):
		return r.newError(doing, errors.New("GitHub limits the rate of requests"), "the next cycle continues")
	case errors.As(err, &token) && token.Response != nil:
		return r.tokenFailed(doing, needs, token.Response)
	case errors.As(err, &answer) && answer.Response != nil:
		return r.refused(doing, needs, answer.Response, messageOf(answer))
	}

	if errors.As(err, &transport) {
		err = transport.Err
	}
	return r.newError(doing, err, "check github.apiURL and that it can be reached from here")
}

// tokenFailed is the error for an answer without a token of the installation.
func (r *repository) tokenFailed(doing, needs string, response *http.Response) error {
	message := unreadMessage(response)
	e := r.refused(doing, needs, response, message)
	switch response.StatusCode {
	case http.StatusNotFound:
		r.forget()
		e.Remedy = "check github.app.installationID, or leave it at 0 to have it found; " +
			"the App may have been uninstalled"
	case http.StatusUnprocessableEntity:
		e.Remedy = "install the App on this repository, and check the repository's name"
		if strings.Contains(message, "permissions") {
			e.Remedy = grant(tokenNeeds(needs))
		}
	}
	return e
}

// notGranted reports whether an error is that of a token with more permissions than the
// App has.
func notGranted(err error) bool {
	var token *ghinstallation.HTTPError
	if !errors.As(err, &token) || token.Response == nil ||
		token.Response.StatusCode != http.StatusUnprocessableEntity {
		return false
	}
	_ = token.Response.Body.Close()

	return true
}

// tokenNeeds is what the token needs for a request that needs a permission: those about
// pull requests share one.
func tokenNeeds(needs string) string {
	if needs == readPulls || needs == writePulls {
		return writeContents + ", and " + writePulls
	}

	return needs
}

func grant(needs string) string {
	return fmt.Sprintf("grant the App the repository permission %s, and accept it in its installation", needs)
}

// messageOf returns GitHub's message with its details.
func messageOf(answer *github.ErrorResponse) string {
	message := answer.Message
	for _, detail := range answer.Errors {
		text := detail.Message
		if text == "" {
			text = detail.Field + " " + detail.Code
		}
		message += ": " + text
	}
	return message
}

// unreadMessage reads the message of an answer that nobody has read yet.
func unreadMessage(response *http.Response) string {
	defer func() { _ = response.Body.Close() }()
	var body struct{ Message string }
	_ = json.NewDecoder(response.Body).Decode(&body)
	return body.Message
}

// refused is the error for an answer with a message.
func (r *repository) refused(doing, needs string, response *http.Response, message string) *forge.Error {
	cause := fmt.Errorf("GitHub answered %d %s", response.StatusCode, message)
	if message == "" {
		cause = fmt.Errorf("GitHub answered %s", response.Status)
	}

	return r.newError(doing, cause, r.remedy(response, message, needs))
}

// remedy is what to do about an answer with a message.
func (r *repository) remedy(response *http.Response, message, needs string) string {
	says := func(words string) bool { return strings.Contains(strings.ToLower(message), words) }
	app := r.client.isApp()
	switch status := response.StatusCode; {
	case status == http.StatusUnauthorized:
		return unauthorized(app, says)
	case says("rate limit"): // which the headers did not say
		return "GitHub limits the rate of requests; the next cycle continues"
	case status == http.StatusForbidden:
		if accepted := response.Header.Get("X-Accepted-GitHub-Permissions"); accepted != "" {
			needs = permissions(accepted)
		}
		return forbidden(app, says, needs)
	case status == http.StatusNotFound && app:
		return "install the App on this repository, and check the repository's name"
	case status == http.StatusNotFound:
		return "give the token access to this repository, and check the repository's name"
	case status == http.StatusConflict:
		return "something has changed in the meantime; the next cycle decides again"
	case status == http.StatusUnprocessableEntity:
		return unprocessable(says)
	case status >= http.StatusInternalServerError:
		return "GitHub has trouble; it is tried again in the next cycle"
	}
	return seeMessage
}

func unauthorized(app bool, says func(string) bool) string {
	switch {
	case app && says("expir"):
		return "set this machine's clock right: the App's signature is valid for minutes"
	case app:
		return "check github.app.id, and that github.app.privateKeyFile is a key that the App's settings still list"
	}
	return "make a new token and put it into github.tokenFile: this one is wrong, expired or revoked"
}

func forbidden(app bool, says func(string) bool, needs string) string {
	switch {
	case says("suspended"):
		return "unsuspend the App's installation, in the organization's settings under GitHub Apps"
	case says("saml"):
		return "authorize the token for the organization's single sign-on"
	case app:
		return grant(needs)
	}
	return fmt.Sprintf("give the token the permission %s (a classic one: the scope repo)", needs)
}

// unprocessable says which setting to change for what GitHub cannot do.
func unprocessable(says func(string) bool) string {
	switch {
	case says("already exists"):
		return "the next cycle continues with that one"
	case says("no commits between"):
		return "the base has it already; the next cycle decides again"
	case says("draft"):
		return "set github.pullRequest.draft: false, or use a plan that has drafts"
	case says("could not resolve to a node"):
		return "correct github.pullRequest.reviewers: name teams that have access as ORGANIZATION/TEAM, and grant " +
			"the App the organization permission Members: read"
	case says("collaborator"), says("reviewer"):
		return "correct github.pullRequest.reviewers: name collaborators of the repository, " +
			"and teams that have access as ORGANIZATION/TEAM"
	case says("assignee"):
		return "correct github.pullRequest.assignees: name people with access to the repository"
	case says("label"):
		return "correct github.pullRequest.labels"
	case says("base"), says("head"):
		return "the branch is gone or has moved; the next cycle decides again"
	}
	return seeMessage
}

// permissions turns "pull_requests=write; contents=read" into the words of the
// App's settings.
func permissions(accepted string) string {
	separator := func(r rune) bool { return r == ';' || r == ',' }
	var all []string
	for one := range strings.FieldsFuncSeq(accepted, separator) {
		name, level, _ := strings.Cut(strings.TrimSpace(one), "=")
		if name == "" {
			continue
		}

		name = strings.ReplaceAll(name, "_", " ")
		if level == "write" {
			level = "read and write"
		}
		all = append(all, strings.ToUpper(name[:1])+name[1:]+": "+level)
	}
	return strings.Join(all, " or ")
}
