package forge

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"github.com/bradleyfalzon/ghinstallation/v2"
	"github.com/google/go-github/v88/github"
)

// failed puts an answer of GitHub's in words, with what to do. needs is the
// permission that the request takes, as the App's settings name it.
func (r *GitHubRepository) failed(doing, needs string, err error) error {
	e := &Error{Repository: r.fullName() + " at GitHub", Doing: doing, Err: err}
	var known *Error
	var limited *LimitedError
	var answer *github.ErrorResponse
	var token *ghinstallation.HTTPError
	var primary *github.RateLimitError
	var secondary *github.AbuseRateLimitError
	var transport *url.Error
	switch {
	case errors.As(err, &known):
		return known
	case errors.As(err, &limited):
		e.Err, e.Remedy = limited, "the first cycle after that goes on"
	case errors.As(err, &primary):
		e.Err, e.Remedy = &LimitedError{primary.Rate.Reset.Time}, "the first cycle after that goes on"
	case errors.As(err, &secondary):
		e.Err, e.Remedy = errors.New("GitHub asks to send less"), "the next cycle goes on"
	case errors.As(err, &token) && token.Response != nil:
		e.Remedy, e.Err = r.told(token.Response, said(token.Response), needs)
		if token.Response.StatusCode == http.StatusNotFound {
			r.forget()
			e.Remedy = "check github.app.installationID, or leave it at 0 to have it found; the App may have been uninstalled"
		}
	case errors.As(err, &answer) && answer.Response != nil:
		message := answer.Message
		for _, detail := range answer.Errors {
			text := detail.Message
			if text == "" {
				text = detail.Field + " " + detail.Code
			}
			message += ": " + text
		}
		e.Remedy, e.Err = r.told(answer.Response, message, needs)
	case errors.As(err, &transport):
		e.Err, e.Remedy = transport.Err, "check github.apiURL and that it can be reached from here"
	default:
		e.Remedy = "check github.apiURL and that it can be reached from here"
	}
	return e
}

// said is the message of an answer that nobody has read yet.
func said(response *http.Response) string {
	defer func() { _ = response.Body.Close() }()
	var body struct{ Message string }
	_ = json.NewDecoder(response.Body).Decode(&body)
	return body.Message
}

// told turns an answer into what to do, and a cause.
func (r *GitHubRepository) told(response *http.Response, message, needs string) (remedy string, cause error) {
	status := response.StatusCode
	cause = fmt.Errorf("GitHub answered %d %s", status, message)
	if message == "" {
		cause = fmt.Errorf("GitHub answered %s", response.Status)
	}
	says := func(words string) bool { return strings.Contains(strings.ToLower(message), words) }
	app := r.hub.app != nil
	switch {
	case status == http.StatusUnauthorized && app && says("expir"):
		return "set this machine's clock right: the App's signature is valid for minutes", cause
	case status == http.StatusUnauthorized && app:
		return "check github.app.id, and that github.app.privateKeyFile is a key that the App's settings still list", cause
	case status == http.StatusUnauthorized:
		return "make a new token and put it into github.tokenFile: this one is wrong, expired or revoked", cause
	case status == http.StatusForbidden && says("suspended"):
		return "unsuspend the App's installation, in the organization's settings under GitHub Apps", cause
	case status == http.StatusForbidden && says("saml"):
		return "authorize the token for the organization's single sign-on", cause
	case status == http.StatusForbidden:
		if accepted := response.Header.Get("X-Accepted-GitHub-Permissions"); accepted != "" {
			needs = permissions(accepted)
		}
		if app {
			return fmt.Sprintf("grant the App the repository permission %s, and accept it in its installation", needs), cause
		}
		return fmt.Sprintf("give the token the permission %s (a classic one: the scope repo)", needs), cause
	case status == http.StatusNotFound && app:
		return "install the App on this repository, and check the repository's name", cause
	case status == http.StatusNotFound:
		return "give the token access to this repository, and check the repository's name", cause
	case status == http.StatusConflict:
		return "something has changed meanwhile; the next cycle decides anew", cause
	case status == http.StatusUnprocessableEntity:
		return unprocessable(says), cause
	case status >= http.StatusInternalServerError:
		return "GitHub has trouble; it is tried again in the next cycle", cause
	}
	return "see GitHub's message", cause
}

// unprocessable says which setting to change for what GitHub cannot do.
func unprocessable(says func(string) bool) string {
	switch {
	case says("already exists"):
		return "the next cycle takes that one on"
	case says("no commits between"):
		return "the base has it already; the next cycle decides anew"
	case says("draft"):
		return "set github.pullRequest.draft: false, or use a plan that has drafts"
	case says("collaborator"), says("reviewer"), says("could not resolve to a node"):
		return "correct github.pullRequest.reviewers: name collaborators of the repository, and teams that have access as ORGANIZATION/TEAM"
	case says("assignee"):
		return "correct github.pullRequest.assignees: name people with access to the repository"
	case says("label"):
		return "correct github.pullRequest.labels"
	case says("base"), says("head"):
		return "the branch is gone or has moved; the next cycle decides anew"
	}
	return "see GitHub's message"
}

// permissions turns "pull_requests=write; contents=read" into the words of the
// App's settings.
func permissions(accepted string) string {
	var all []string
	for one := range strings.FieldsFuncSeq(accepted, func(r rune) bool { return r == ';' || r == ',' }) {
		name, level, _ := strings.Cut(strings.TrimSpace(one), "=")
		name = strings.ReplaceAll(name, "_", " ")
		if name == "" {
			continue
		}
		if level == "write" {
			level = "read and write"
		}
		all = append(all, strings.ToUpper(name[:1])+name[1:]+": "+level)
	}
	return strings.Join(all, " or ")
}
