package trigger

import (
	"errors"
	"fmt"
)

// readAzure reads
// https://learn.microsoft.com/azure/container-registry/container-registry-webhook-reference.
func readAzure(m message) ([]Trigger, error) {
	var body azureContent
	if err := Decode(m.body, &body); err != nil {
		return nil, err
	}

	return body.pushed()
}

// azureContent is what Azure says about a push, in its webhooks and in the
// CloudEvents of its Event Grid.
type azureContent struct {
	ID     string `json:"id"`
	Action string `json:"action"`
	Target struct {
		Repository string `json:"repository"`
		Tag        string `json:"tag"`
	} `json:"target"`
	Request struct {
		Host string `json:"host"`
	} `json:"request"`
}

func (c azureContent) pushed() ([]Trigger, error) {
	switch {
	case c.Action == "":
		return nil, errors.New("the message has no action")
	case c.Action != "push" && c.Action != "chart_push":
		return nil, fmt.Errorf("%w: %s", ErrIgnored, c.Action)
	case c.Request.Host == "":
		return nil, errors.New("request.host is missing")
	}

	return pushedImage(c.ID, c.Request.Host, c.Target.Repository, c.Target.Tag)
}
