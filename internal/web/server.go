package web

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"sync/atomic"
	"time"
)

// Server serves health and metrics.
type Server struct {
	Metrics *Metrics
	// Ready tells that the first cycle has ended.
	Ready atomic.Bool
}

// Start listens on an address for health, and on another for metrics; where
// that is empty, both are on the first. An empty address serves nothing. The
// error is for an address that cannot be listened on. stop ends it all.
func (s *Server) Start(listen, metricsListen string) (stop func(), err error) {
	var servers []*http.Server
	stop = func() {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		for _, server := range servers {
			_ = server.Shutdown(ctx)
		}
	}
	health := http.NewServeMux()
	health.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { _, _ = fmt.Fprintln(w, "ok") })
	health.HandleFunc("GET /readyz", func(w http.ResponseWriter, _ *http.Request) {
		if !s.Ready.Load() {
			http.Error(w, "the first cycle has not ended yet", http.StatusServiceUnavailable)
			return
		}
		_, _ = fmt.Fprintln(w, "ok")
	})
	metrics := health
	if metricsListen != "" {
		metrics = http.NewServeMux()
	}
	metrics.Handle("GET /metrics", s.Metrics.handler())
	for _, at := range []struct {
		key, listen string
		handler     http.Handler
	}{{"web.listen", listen, health}, {"web.metricsListen", metricsListen, metrics}} {
		if at.listen == "" {
			continue
		}
		listener, err := net.Listen("tcp", at.listen)
		if err != nil {
			stop()
			return nil, fmt.Errorf("%s: %w; choose another address, or \"\" for none", at.key, err)
		}
		server := &http.Server{Handler: at.handler, ReadHeaderTimeout: 10 * time.Second, IdleTimeout: time.Minute}
		servers = append(servers, server)
		go func() { _ = server.Serve(listener) }() // it ends by stop alone
	}
	return stop, nil
}
