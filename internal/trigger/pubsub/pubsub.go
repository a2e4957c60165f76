// Package pubsub receives Artifact Registry's messages from Google's Pub/Sub:
// [Pull] takes them from a pull subscription, [Push] authenticates those that a
// push subscription sends to [trigger.Webhooks]. What a message says is read by
// [trigger.ReadArtifactRegistry]. It is a package of its own because the Pub/Sub
// client is large.
package pubsub

// The types of the messages, in a webhook's address and in metrics.
const (
	PushType = "pubsub"
	pullType = "pubsub-pull"
)
