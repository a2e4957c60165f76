// Package events takes in what registries and git servers tell of themselves,
// so that nothing waits for the next poll: webhooks of the registries that have
// them, Google's Pub/Sub by pull and by push, and git pushes from GitHub.
//
// A message is authenticated before anything of it is believed, and all that is
// believed is that somebody should look: which images, which branches. What is
// there is still asked of the registry and of git. So an event that is lost,
// repeated or late costs time or a request, never a wrong commit.
package events

import (
	"errors"
	"fmt"
	"net/http"

	"github.com/liverty-music/image-writeback/internal/image"
)

// Event is what one message tells of.
type Event struct {
	// ID is the sender's own, the same when the message is sent again; empty
	// where the sender has none.
	ID string
	// Images were pushed.
	Images []image.Ref
	// Push is a branch of a git repository that has moved; nil: none has.
	Push *Push
}

// Push is a branch that has moved.
type Push struct {
	Repository string // its URL
	Branch     string
	Head       string // the commit it is at now; empty: the branch is gone
}

// Sink is told what to look at. Its methods return at once.
type Sink interface {
	Image(ref image.Ref)
	Pushed(repository, branch, head string)
}

// Result is what became of a message.
type Result string

// The results, as the metrics have them.
const (
	Accepted  Result = "accepted"
	Repeated  Result = "repeated"  // it was there before; it asks for a look all the same
	Ignored   Result = "ignored"   // it tells of nothing that was pushed
	Forged    Result = "forged"    // its secret, signature or token is missing or wrong
	Oversized Result = "oversized" // more than MaxSize
	Malformed Result = "malformed"
	Unknown   Result = "unknown" // no secret is configured for its type
)

// MaxSize is how large a message may be, in bytes. Real ones are a few KB;
// GitHub's grow with the commits that were pushed.
const MaxSize = 1 << 20

// errIgnored is wrapped by the errors of messages that tell of no push.
var errIgnored = errors.New("nothing was pushed")

// message is one message as it was received.
type message struct {
	header http.Header
	query  map[string][]string
	body   []byte
}

// kind is a kind of sender.
type kind struct {
	proof proof
	// read finds what a message tells. The error wraps errIgnored where that
	// is nothing, and says what is wrong with it otherwise.
	read func(m message) ([]Event, error)
}

// kindOf finds a kind by the type in the webhook's address, which are those of
// Argo CD Image Updater where it has them.
func kindOf(name string) (kind, bool) {
	switch name {
	case "docker.io":
		return kind{inQuery, readDockerHub}, true
	case "quay.io":
		return kind{inQuery, readQuay}, true
	case "aliyun-acr":
		return kind{inQuery, readAliyun}, true
	case "cloudevents":
		return kind{inQueryOrHeader, readCloudEvents}, true
	case "harbor":
		return kind{inAuthorization, readHarbor}, true
	case "acr":
		return kind{inAuthorization, readAzure}, true
	case "ghcr.io":
		return kind{signed, readGHCR}, true
	case "github":
		return kind{signed, readGitHubPush}, true
	}
	return kind{}, false
}

// Types are the types of webhooks that have a secret.
func Types() []string {
	return []string{"acr", "aliyun-acr", "cloudevents", "docker.io", "ghcr.io", "github", "harbor", "quay.io"}
}

// pushed makes the event of an image. Names are taken in lower case, as
// registries have them whatever the sender writes.
func pushed(id, registry, repository, tag string) ([]Event, error) {
	if repository == "" {
		return nil, errors.New("it names no repository")
	}
	ref, err := image.ParseName(lower(registry + "/" + repository))
	if err != nil {
		return nil, err
	}
	if tag != "" && !image.ValidTag(tag) {
		return nil, fmt.Errorf("%q is no tag", tag)
	}
	ref.Tag = tag
	return []Event{{ID: id, Images: []image.Ref{ref}}}, nil
}
