// Package web serves the health and the metrics of a running updater over HTTP.
// Metrics have the names that Argo CD Image Updater gives them, so that dashboards
// and alerts still work. Use [Server] to serve, and [Metrics] to count. It decides
// nothing.
package web

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"sync"
	"time"
)

// Server serves health and metrics. Alive and Ready return what is wrong, or nil.
type Server struct {
	Metrics      *Metrics
	Alive, Ready func() error
}

// ListenError means that an address cannot be listened on.
type ListenError struct {
	Serving string // "health" or "metrics"
	Err     error
}

// Error names what cannot be served, and why.
func (e *ListenError) Error() string { return "serving " + e.Serving + ": " + e.Err.Error() }

// Unwrap returns the cause.
func (e *ListenError) Unwrap() error { return e.Err }

// probe answers as Kubernetes' probes expect, with the reason in the body.
func probe(check func() error) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		if err := check(); err != nil {
			http.Error(w, err.Error(), http.StatusServiceUnavailable)
			return
		}
		_, _ = fmt.Fprintln(w, "ok")
	}
}

// Start serves health at one address and metrics at another, until stop is
// called. If metricsListen is empty, metrics are at the first address too. An
// empty address serves nothing. The error is a [ListenError].
func (s *Server) Start(listen, metricsListen string) (stop func(), err error) {
	var servers []*http.Server
	var running sync.WaitGroup
	stop = func() {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		for _, server := range servers {
			_ = server.Shutdown(ctx)
		}
		running.Wait()
	}

	health := http.NewServeMux()
	health.HandleFunc("GET /healthz", probe(s.Alive))
	health.HandleFunc("GET /readyz", probe(s.Ready))
	metrics := health
	if metricsListen != "" {
		metrics = http.NewServeMux()
	}

	metrics.Handle("GET /metrics", s.Metrics.handler())

	for _, at := range []struct {
		serving, address string
		handler          http.Handler
	}{{"health", listen, health}, {"metrics", metricsListen, metrics}} {
		if at.address == "" {
			continue
		}

		listener, err := net.Listen("tcp", at.address)
		if err != nil {
			stop()
			return nil, &ListenError{at.serving, err}
		}
		server := newServer(at.handler)
		servers = append(servers, server)
		running.Go(func() { _ = server.Serve(listener) }) // stop ends it
	}

	return stop, nil
}

// newServer returns a server that gives slow clients up.
func newServer(handler http.Handler) *http.Server {
	return &http.Server{
		Handler:           handler,
		ReadHeaderTimeout: 10 * time.Second,
		ReadTimeout:       10 * time.Second,
		WriteTimeout:      30 * time.Second,
		IdleTimeout:       time.Minute,
		MaxHeaderBytes:    16 << 10,
	}
}
