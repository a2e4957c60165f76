package pubsub

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"cloud.google.com/go/pubsub/v2"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/liverty-music/image-writeback/internal/panics"
	"github.com/liverty-music/image-writeback/internal/trigger"
)

// How long to wait after a failure: the pause doubles from the first to the
// longest.
const (
	firstPause   = 5 * time.Second
	longestPause = 2 * time.Minute
)

// Pull receives the messages of a subscription, projects/P/subscriptions/S, and
// passes them to receiver until ctx ends. Errors are logged with what to do, and
// retried. Every message is acknowledged, also one that cannot be read: it would
// not be any better the next time.
func Pull(ctx context.Context, subscription string, receiver *trigger.Receiver, log *slog.Logger) {
	logged := ""
	for pause := firstPause; ; pause = min(2*pause, longestPause) {
		start := time.Now()
		err := receive(ctx, subscription, receiver)
		if ctx.Err() != nil {
			return
		}

		if text := errorText(subscription, err); text != logged {
			log.Error(text)
			logged = text
		}

		if time.Since(start) > longestPause {
			pause = firstPause
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(pause):
		}
	}
}

// receive passes on messages until the stream ends.
func receive(ctx context.Context, subscription string, receiver *trigger.Receiver) error {
	project := strings.Split(subscription, "/")[1]
	client, err := pubsub.NewClient(ctx, project)
	if err != nil {
		return err
	}
	defer func() { _ = client.Close() }()

	subscriber := client.Subscriber(subscription)
	subscriber.ReceiveSettings.NumGoroutines = 1

	return subscriber.Receive(ctx, func(_ context.Context, m *pubsub.Message) {
		var triggers []trigger.Trigger
		err := trigger.ErrOversized
		if len(m.Data) <= trigger.MaxSize {
			triggers, err = panics.Try(func() ([]trigger.Trigger, error) {
				return trigger.ReadArtifactRegistry(m.ID, m.Data)
			})
		}

		receiver.Take(pullType, triggers, m.Data, err)
		m.Ack()
	})
}

// errorText says what went wrong and what to do.
func errorText(subscription string, err error) string {
	text := fmt.Sprintf("receiving from the Pub/Sub subscription %s: ", subscription)
	if err == nil {
		return text + "the server closed the stream; retrying"
	}

	switch status.Code(err) {
	case codes.NotFound:
		return text + "the subscription does not exist; " +
			"create it: gcloud pubsub subscriptions create NAME --topic gcr"
	case codes.PermissionDenied:
		return text + "permission denied; grant roles/pubsub.subscriber on the subscription to our service account"
	case codes.Unauthenticated:
		return text + "Google does not accept our credentials; " +
			"check GOOGLE_APPLICATION_CREDENTIALS or Workload Identity"
	}

	return text + err.Error() + "; until this is fixed, new images are found by polling only"
}
