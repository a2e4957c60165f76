package main

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/liverty-music/image-writeback/internal/config"
	"github.com/liverty-music/image-writeback/internal/events"
)

// listen takes events in, as events: in config.yaml asks for, and has sink told
// of them. end ends that. The error is for settings that cannot be followed.
func (p *program) listen(ctx context.Context, sink events.Sink) (end func(), err error) {
	c := p.config.Events
	receiver := events.NewReceiver(sink, func(kind string, result events.Result) { p.web.Metrics.Event(kind, string(result)) }, p.log)
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
		server = &http.Server{Handler: webhooks, ReadHeaderTimeout: 10 * time.Second, ReadTimeout: 20 * time.Second, IdleTimeout: 2 * time.Minute, MaxHeaderBytes: 16 << 10}
		running.Go(func() { _ = server.Serve(listener) }) // it ends by Shutdown alone
		p.log.Info("events are taken in", "address", listener.Addr().String(), "types", webhooks.Types())
	}
	if c.PubSub.Subscription != "" {
		running.Go(func() { receiver.Pull(ctx, c.PubSub.Subscription) })
		p.log.Info("events are taken in", "subscription", c.PubSub.Subscription)
	}
	return end, nil
}

func newWebhooks(ctx context.Context, c config.Events, receiver *events.Receiver) (*events.Webhooks, error) {
	secrets := map[string]*events.Secret{}
	for kind, file := range c.SecretFiles {
		secret, err := events.NewSecret(file)
		if err != nil {
			return nil, fmt.Errorf("events.secretFiles: %s: %w", kind, err)
		}
		secrets[kind] = secret
	}
	for kind, text := range c.Secrets {
		secrets[kind] = events.FixedSecret(text)
	}
	var google *events.Google
	if push := c.PubSubPush; push.Audience != "" {
		var err error
		if google, err = events.NewGoogle(ctx, push.Audience, push.ServiceAccount, nil); err != nil {
			return nil, fmt.Errorf("events.pubsubPush: %w", err)
		}
	}
	return events.NewWebhooks(receiver, secrets, google), nil
}
