// Package pubsub is Google's Pub/Sub for tests and stories.
package pubsub

import (
	"context"
	"encoding/json"

	"cloud.google.com/go/pubsub/v2/apiv1/pubsubpb"
	"cloud.google.com/go/pubsub/v2/pstest"

	"github.com/liverty-music/image-writeback/internal/sandbox"
)

// Server is Google's own server for tests, with the topic to which Artifact Registry
// publishes pushes, and a subscription to it. Google's clients find
// it by the environment variable PUBSUB_EMULATOR_HOST.
type Server struct{ server *pstest.Server }

// The names of Pub/Sub in the sandbox.
const (
	Subscription = "projects/p/subscriptions/updater"
	topic        = "projects/p/topics/gcr"
)

// New starts the server; close it with Close.
func New() (*Server, error) {
	p := &Server{pstest.NewServer()}
	if _, err := p.server.GServer.CreateTopic(context.Background(), &pubsubpb.Topic{Name: topic}); err != nil {
		return nil, err
	}

	_, err := p.server.GServer.CreateSubscription(context.Background(), &pubsubpb.Subscription{Name: Subscription,
		Topic: topic, AckDeadlineSeconds: 10})
	return p, err
}

// Close stops the server.
func (p *Server) Close() { _ = p.server.Close() }

// Environment is the variable by which Google's clients find the server.
func (p *Server) Environment() (name, value string) { return "PUBSUB_EMULATOR_HOST", p.server.Addr }

// Publish sends a message of any content.
func (p *Server) Publish(data string) { p.server.Publish(topic, []byte(data), nil) }

// Pushed publishes a push of an image as Artifact Registry does.
func (p *Server) Pushed(image, tag string) {
	p.Publish(string(sandbox.Must(json.Marshal(map[string]string{"action": "INSERT", "digest": image + "@sha256:0",
		"tag": image + ":" + tag}))))
}

// Taken counts the messages that were acknowledged.
func (p *Server) Taken() int {
	n := 0
	for _, m := range p.server.Messages() {
		if m.Acks > 0 {
			n++
		}
	}

	return n
}
