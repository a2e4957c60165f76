package trigger

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// The headers of GitHub's webhooks: which event of GitHub's they are about, and
// an ID of the delivery, the same when it is sent again.
// https://docs.github.com/en/webhooks/webhook-events-and-payloads
const (
	githubEventHeader    = "X-Github-Event"
	githubDeliveryHeader = "X-Github-Delivery"
)

// checkGitHubHeader returns an error unless a message is about one of the given
// events of GitHub's. It wraps ErrIgnored for all others, such as ping.
func checkGitHubHeader(m message, names ...string) error {
	name := m.header.Get(githubEventHeader)
	switch {
	case name == "":
		return errors.New("the header " + githubEventHeader + " is missing")
	case !slices.Contains(names, name):
		return fmt.Errorf("%w: the GitHub event is %s", ErrIgnored, name)
	}

	return nil
}

// readGitHubPush reads the webhook push, for a branch:
// https://docs.github.com/en/webhooks/webhook-events-and-payloads#push.
func readGitHubPush(m message) ([]Trigger, error) {
	if err := checkGitHubHeader(m, "push"); err != nil {
		return nil, err
	}

	var body struct {
		Ref        string `json:"ref"`
		After      string `json:"after"`
		Deleted    bool   `json:"deleted"`
		Repository struct {
			CloneURL string `json:"clone_url"`
		} `json:"repository"`
	}
	if err := Decode(m.body, &body); err != nil {
		return nil, err
	}
	if body.Ref == "" || body.After == "" || body.Repository.CloneURL == "" {
		return nil, errors.New("ref, after or repository.clone_url is missing")
	}

	branch, ok := strings.CutPrefix(body.Ref, "refs/heads/")
	if !ok {
		return nil, fmt.Errorf("%w to a branch: %s", ErrIgnored, body.Ref)
	}

	push := &Push{Repository: body.Repository.CloneURL, Branch: branch, Head: body.After}
	if body.Deleted {
		push.Head = ""
	}

	return []Trigger{{ID: m.header.Get(githubDeliveryHeader), Push: push}}, nil
}
