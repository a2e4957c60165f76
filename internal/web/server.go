package web

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"time"
)

// Server serves health and metrics. Alive and Ready tell what is wrong, if
// anything is.
type Server struct {
	Metrics      *Metrics
	Alive, Ready func() error
}

// probe answers as Kubernetes' probes understand it, with the reason for people.
func probe(check func() error) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		if err := check(); err != nil {
			http.Error(w, err.Error(), http.StatusServiceUnavailable)
			return
		}
		_, _ = fmt.Fprintln(w, "ok")
	}
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
	health.HandleFunc("GET /healthz", probe(s.Alive))
	health.HandleFunc("GET /readyz", probe(s.Ready))
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
