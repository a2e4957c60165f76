package pubsub

import (
	"context"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"google.golang.org/api/idtoken"
	"google.golang.org/api/option"

	"github.com/liverty-music/image-writeback/internal/trigger"
)

// Push authenticates and reads what a push subscription sends: Pub/Sub adds a
// token that Google signs for the service account and the audience of the
// subscription. It implements [trigger.Sender].
// https://cloud.google.com/pubsub/docs/authenticate-push-subscriptions
type Push struct {
	audience, serviceAccount string
	validator                *idtoken.Validator
}

// NewPush returns a Push for the audience and the service account of a
// subscription. client fetches Google's public keys; nil: a client with a
// timeout of ten seconds.
func NewPush(ctx context.Context, audience, serviceAccount string, client *http.Client) (*Push, error) {
	if client == nil {
		client = &http.Client{Timeout: 10 * time.Second}
	}

	validator, err := idtoken.NewValidator(ctx, option.WithHTTPClient(client))
	if err != nil {
		return nil, err
	}

	return &Push{audience: audience, serviceAccount: serviceAccount, validator: validator}, nil
}

// Authenticate accepts a token of Google's for our audience and for the service
// account of the subscription. The error wraps [trigger.ErrForged].
func (p *Push) Authenticate(ctx context.Context, header http.Header) error {
	token, ok := strings.CutPrefix(header.Get("Authorization"), "Bearer ")
	if !ok {
		return trigger.ErrForged
	}

	// What the token says is checked before its signature: that needs Google's keys,
	// which are fetched only for a token that could be right.
	claims, err := idtoken.ParsePayload(token)
	if err != nil {
		return fmt.Errorf("%w: %s", trigger.ErrForged, reason(err))
	}

	verified, _ := claims.Claims["email_verified"].(bool)
	email, _ := claims.Claims["email"].(string)
	google := claims.Issuer == "https://accounts.google.com" || claims.Issuer == "accounts.google.com"
	same := subtle.ConstantTimeCompare([]byte(email), []byte(p.serviceAccount)) == 1
	if !verified || !same || !google {
		return fmt.Errorf("%w: the token is not of the service account that is configured for the push subscription",
			trigger.ErrForged)
	}

	if _, err := p.validator.Validate(ctx, token, p.audience); err != nil {
		return fmt.Errorf("%w: %s", trigger.ErrForged, reason(err))
	}

	return nil
}

// reason returns why a token is not valid, without the token.
func reason(err error) string {
	text := err.Error()
	if strings.Contains(text, "audience") {
		return "the token has another audience than the one that is configured for the push subscription"
	}

	return text
}

// Read reads the message in the body of a push request.
func (p *Push) Read(body []byte) ([]trigger.Trigger, error) {
	var request struct {
		Message *struct {
			Data string `json:"data"`
			ID   string `json:"messageId"`
		} `json:"message"`
	}
	if err := trigger.Decode(body, &request); err != nil {
		return nil, err
	}
	if request.Message == nil {
		return nil, errors.New("not a Pub/Sub message: message is missing")
	}

	data, err := base64.StdEncoding.DecodeString(request.Message.Data)
	if err != nil {
		return nil, fmt.Errorf("message.data is not valid base64: %w", err)
	}

	return trigger.ReadArtifactRegistry(request.Message.ID, data)
}
