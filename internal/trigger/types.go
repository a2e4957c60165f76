package trigger

import (
	"maps"
	"slices"
)

// webhook is one type of webhooks that proves itself with a secret.
type webhook struct {
	proof proof
	// read returns what a message asks to look at, at least one trigger. The
	// error wraps ErrIgnored if the message is not about a push, and says what is
	// wrong with the message otherwise.
	read func(m message) ([]Trigger, error)
}

// webhooks lists the types by their name in the webhook's address. Those that
// Argo CD Image Updater has too have its names.
var webhooks = map[string]webhook{
	"acr":         {secretInAuthorization, readAzure},
	"aliyun-acr":  {secretInQuery, readAliyun},
	"cloudevents": {secretInQueryOrHeader, readCloudEvents},
	"docker.io":   {secretInQuery, readDockerHub},
	"ghcr.io":     {signedBody, readGHCR},
	"github":      {signedBody, readGitHubPush},
	"harbor":      {secretInAuthorization, readHarbor},
	"quay.io":     {secretInQuery, readQuay},
}

// Types returns the types of webhooks that need a secret, in alphabetical order.
func Types() []string { return slices.Sorted(maps.Keys(webhooks)) }
