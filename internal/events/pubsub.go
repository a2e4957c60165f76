package events

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"cloud.google.com/go/pubsub/v2"
	"google.golang.org/api/idtoken"
	"google.golang.org/api/option"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// The names of Pub/Sub's ways, in a webhook's address and in metrics.
const (
	pubsubType = "pubsub"
	pullType   = "pubsub-pull"
)

// Google checks what Pub/Sub pushes: the token that it signs for the service
// account and the audience of the subscription.
// https://cloud.google.com/pubsub/docs/authenticate-push-subscriptions
type Google struct {
	Audience, ServiceAccount string
	validator                *idtoken.Validator
}

// NewGoogle returns a check by Google's public keys, which client fetches; nil:
// the usual one.
func NewGoogle(ctx context.Context, audience, serviceAccount string, client *http.Client) (*Google, error) {
	if client == nil {
		client = &http.Client{Timeout: 10 * time.Second}
	}
	validator, err := idtoken.NewValidator(ctx, option.WithHTTPClient(client))
	if err != nil {
		return nil, err
	}
	return &Google{Audience: audience, ServiceAccount: serviceAccount, validator: validator}, nil
}

// receive believes a message whose token is Google's, for us, and for the
// service account that the subscription signs in with.
func (g *Google) receive(ctx context.Context, w http.ResponseWriter, r *http.Request, m *message) ([]Event, error) {
	token, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	if !ok {
		return nil, errForged
	}
	claims, err := g.validator.Validate(ctx, token, g.Audience)
	if err != nil {
		return nil, fmt.Errorf("%w: %s", errForged, reason(err))
	}
	verified, _ := claims.Claims["email_verified"].(bool)
	if email, _ := claims.Claims["email"].(string); !verified || !equal(email, g.ServiceAccount) || claims.Issuer != "https://accounts.google.com" && claims.Issuer != "accounts.google.com" {
		return nil, fmt.Errorf("%w: its token is for another account than events.pubsubPush.serviceAccount", errForged)
	}
	if err := m.readBody(w, r); err != nil {
		return nil, err
	}
	var body struct {
		Message *struct {
			Data string `json:"data"`
			ID   string `json:"messageId"`
		} `json:"message"`
	}
	if err := decode(m.body, &body); err != nil {
		return nil, err
	}
	if body.Message == nil {
		return nil, errors.New("it is no message of Pub/Sub")
	}
	data, err := base64.StdEncoding.DecodeString(body.Message.Data)
	if err != nil {
		return nil, fmt.Errorf("its data are not in base64: %w", err)
	}
	return readGoogle(body.Message.ID, data)
}

// reason is why a token is not valid, without the token.
func reason(err error) string {
	text := err.Error()
	if strings.Contains(text, "audience") {
		return "its token is for another audience than events.pubsubPush.audience"
	}
	return text
}

// Pull receives the messages of a subscription, projects/P/subscriptions/S,
// until ctx ends. Whatever hinders it is logged with what to do, and tried
// again. A message that cannot be read is taken as well: sent again, it would
// not be any better.
func (r *Receiver) Pull(ctx context.Context, subscription string) {
	project := strings.Split(subscription, "/")[1]
	last := ""
	for pause := firstPause; ; pause = min(2*pause, longestPause) {
		began := time.Now()
		err := r.pull(ctx, project, subscription)
		if ctx.Err() != nil {
			return
		}
		if text := pullError(subscription, err); text != last {
			r.log.Error(text)
			last = text
		}
		if time.Since(began) > longestPause {
			pause = firstPause
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(pause):
		}
	}
}

const (
	firstPause   = 5 * time.Second
	longestPause = 2 * time.Minute
)

func (r *Receiver) pull(ctx context.Context, project, subscription string) error {
	client, err := pubsub.NewClient(ctx, project)
	if err != nil {
		return err
	}
	defer func() { _ = client.Close() }()
	subscriber := client.Subscriber(subscription)
	subscriber.ReceiveSettings.NumGoroutines = 1
	return subscriber.Receive(ctx, func(_ context.Context, m *pubsub.Message) {
		var events []Event
		err := errOversized
		if len(m.Data) <= MaxSize {
			events, err = readGoogle(m.ID, m.Data)
		}
		r.take(pullType, events, m.Data, err)
		m.Ack()
	})
}

// pullError says what to do.
func pullError(subscription string, err error) string {
	text := fmt.Sprintf("events.pubsub: receiving from %s: ", subscription)
	if err == nil {
		return text + "the server ended the stream; it is tried again"
	}
	switch status.Code(err) {
	case codes.NotFound:
		return text + "there is no such subscription; create it: gcloud pubsub subscriptions create NAME --topic gcr"
	case codes.PermissionDenied:
		return text + "it may not be read; grant roles/pubsub.subscriber on it to our service account"
	case codes.Unauthenticated:
		return text + "Google does not accept our credentials; see GOOGLE_APPLICATION_CREDENTIALS, or Workload Identity"
	}
	return text + err.Error() + "; until it succeeds, registries are asked every interval alone"
}
