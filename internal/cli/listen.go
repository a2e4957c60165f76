package cli

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/liverty-music/image-writeback/internal/config"
	"github.com/liverty-music/image-writeback/internal/secretfile"
	"github.com/liverty-music/image-writeback/internal/trigger"
	"github.com/liverty-music/image-writeback/internal/trigger/pubsub"
)

// listen receives triggers as events: in config.yaml says, and passes them to
// sink until end is called. The error means that a setting cannot be used.
func (p *program) listen(ctx context.Context, sink trigger.Sink) (end func(), err error) {
	c := p.config.Events
	count := func(kind string, result trigger.Result) { p.metrics.Trigger(kind, string(result)) }
	receiver := trigger.NewReceiver(sink, count, p.log)
	ctx, cancel := context.WithCancel(ctx)
	var running sync.WaitGroup
	var server *http.Server
	end = func() {
		cancel()
		if server != nil {
			stopping, done := context.WithTimeout(context.Background(), 5*time.Second)
			defer done()
			_ = server.Shutdown(stopping)
		}
		running.Wait()
	}

	if c.Listen != "" {
		webhooks, err := newWebhooks(ctx, c, receiver)
		if err != nil {
			end()
			return nil, err
		}
		listener, err := net.Listen("tcp", c.Listen)
		if err != nil {
			end()
			return nil, fmt.Errorf("events.listen: %w; choose another address, or \"\" for none", err)
		}
		server = trigger.NewServer(webhooks)
		running.Go(func() { _ = server.Serve(trigger.Limit(listener)) }) // Shutdown ends it
		p.log.Info("listening for webhooks", "address", listener.Addr().String(), "types", webhooks.Types())
	}

	if c.PubSub.Subscription != "" {
		running.Go(func() { pubsub.Pull(ctx, c.PubSub.Subscription, receiver, p.log) })
		p.log.Info("receiving from Pub/Sub", "subscription", c.PubSub.Subscription)
	}

	return end, nil
}

func newWebhooks(ctx context.Context, c config.Events, receiver *trigger.Receiver) (*trigger.Webhooks, error) {
	secrets := map[string]*secretfile.File[string]{}
	for kind, file := range c.SecretFiles {
		secret, err := secretfile.Open(file, secretfile.Text(file))
		if err != nil {
			return nil, fmt.Errorf("events.secretFiles: %s: %w", kind, err)
		}
		secrets[kind] = secret
	}

	for kind, text := range c.Secrets {
		secrets[kind] = secretfile.Fixed(text)
	}

	senders := map[string]trigger.Sender{}
	if push := c.PubSubPush; push.Audience != "" {
		sender, err := pubsub.NewPush(ctx, push.Audience, push.ServiceAccount, nil)
		if err != nil {
			return nil, fmt.Errorf("events.pubsubPush: %w", err)
		}
		senders[pubsub.PushType] = sender
	}

	return trigger.NewWebhooks(receiver, secrets, senders), nil
}
