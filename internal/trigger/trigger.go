// Package trigger receives what asks for a cycle before the next poll: webhooks
// of registries, git pushes from GitHub, and Google's Pub/Sub (by pull and push,
// in package pubsub). A message comes in, and typed values ([Trigger]) go out.
//
// Use [Webhooks] to serve the webhooks over HTTP, and [Receiver] for messages
// that arrive in another way. Do not use this package to find out which tags or
// commits exist: a trigger is a reason to look, never the truth. The registry
// and git are still asked, so a lost, repeated or late message costs time or a
// request, and never leads to a wrong commit.
//
// # Who receives what
//
//   - A sender receives whether its message was accepted (HTTP 200) and, once it
//     is authenticated, what is wrong with the message. A sender without the
//     secret learns only that its secret is missing or wrong; nothing of its
//     message is interpreted, and its body is read only if the proof is a
//     signature of the body.
//   - Each type of message has places of its own (see [Webhooks]): whoever sends
//     many messages of one type keeps nobody out who sends another.
//   - The [Sink] receives what authenticated messages name: images, and branches
//     with their heads. It receives nothing from ignored or malformed messages.
//   - The log and the metrics get the type and the [Result] of each message,
//     never a secret, a signature or a token.
//
// # In which order
//
// The sink receives a message before the sender gets its answer, and the parts of
// one message in the order of the message. Messages that are received at the same
// time have no particular order: two pushes to one branch may arrive in reverse
// order. The sink must accept calls from several goroutines.
//
// # What may be lost
//
// Nothing is written to disk. What the sink has received but not handled is lost
// when the process ends; the first cycle of the next process checks everything
// anyway. A rejected message is not kept. A message that arrives twice is passed
// on twice, and counted as [Repeated].
package trigger

import (
	"errors"
	"fmt"

	"github.com/liverty-music/image-writeback/internal/image"
)

// Trigger is what one message asks to look at.
type Trigger struct {
	// ID is the sender's own, and the same when the message is sent again. It is
	// empty if the sender has none.
	ID string
	// Images are the images that were pushed.
	Images []image.Ref
	// Push is a branch of a git repository that moved; nil if none did.
	Push *Push
}

// Push is a branch that moved.
type Push struct {
	Repository string // its URL
	Branch     string
	Head       string // the commit that it points to now; empty if it was deleted
}

// Sink is told what to look at. Its methods return at once and may be called
// from several goroutines.
type Sink interface {
	// Image reports that an image was pushed.
	Image(ref image.Ref)
	// Pushed reports that a branch of a repository, by its URL, points to head;
	// an empty head means that the branch was deleted.
	Pushed(repository, branch, head string)
}

// Result is what became of a message.
type Result string

// The results, by their names in the metrics.
const (
	Accepted  Result = "accepted"
	Repeated  Result = "repeated"  // received before; it is passed on again
	Ignored   Result = "ignored"   // it is not about a push
	Forged    Result = "forged"    // its secret, signature or token is missing or wrong
	Oversized Result = "oversized" // larger than MaxSize
	Malformed Result = "malformed"
	Unknown   Result = "unknown" // no secret is configured for its type
	Busy      Result = "busy"    // too many messages of its type arrived at a time
)

// MaxSize is the size of the largest message that is accepted, in bytes. Real
// ones are a few KB; GitHub's grow with the commits that were pushed.
const MaxSize = 1 << 20

// The errors by which [Receiver.Take] tells results apart. Any other error means
// that a message is malformed.
var (
	// ErrIgnored is wrapped by the errors of messages that are not about a push.
	ErrIgnored = errors.New("nothing was pushed")
	// ErrForged is wrapped where the sender did not prove who it is.
	ErrForged = errors.New("the sender is not authenticated")
	// ErrBusy is returned where too many messages of one type arrive at a time.
	ErrBusy = errors.New("too many messages of this type arrive at a time")
	// ErrOversized is returned for messages that are larger than MaxSize.
	ErrOversized = fmt.Errorf("the message is larger than %d KB", MaxSize>>10)
)
