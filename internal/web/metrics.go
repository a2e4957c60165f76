package web

import (
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/liverty-music/image-writeback/internal/delivery"
	"github.com/liverty-music/image-writeback/internal/plan"
	"github.com/liverty-music/image-writeback/internal/report"
)

// Metrics counts what the updater does. Its methods may be called at any time.
type Metrics struct {
	registry *prometheus.Registry

	applications             prometheus.Gauge
	watched                  *prometheus.GaugeVec
	updated, failed          *prometheus.CounterVec
	requests, requestsFailed *prometheus.CounterVec
	calls, callsFailed       prometheus.Counter
	cycle                    prometheus.Gauge
	triggers                 *prometheus.CounterVec
	cacheErrors              prometheus.Counter

	// What becomes a label is somebody else's word, so there are not more of them
	// than exist, or than are kept.
	mu         sync.Mutex
	known      map[string]bool // Applications with metrics
	registries map[string]bool
}

// mostRegistries is how many registries are counted apart. Anybody can name more in
// an Application.
const mostRegistries = 1000

const prefix = "argocd_image_updater_"

// NewMetrics returns metrics that are all zero.
func NewMetrics() *Metrics {
	m := &Metrics{
		known:        map[string]bool{},
		registries:   map[string]bool{},
		registry:     prometheus.NewRegistry(),
		applications: gauge(prefix+"applications_watched_total", "Applications that ask for updates."),
		watched: prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: prefix + "images_watched_total",
			Help: "Images that are watched for an Application."}, []string{"application"}),
		updated: counters(prefix+"images_updated_total",
			"Images that were updated for an Application.", "application"),
		failed: counters(prefix+"images_errors_total",
			"Images of an Application that could not be decided on or written, once for each cycle.", "application"),
		requests: counters(prefix+"registry_requests_total", "Requests to a registry.", "registry"),
		requestsFailed: counters(prefix+"registry_requests_failed_total",
			"Requests to a registry that failed.", "registry"),
		calls:       counter(prefix+"k8s_api_requests_total", "Requests to the Kubernetes API."),
		callsFailed: counter(prefix+"k8s_api_errors_total", "Requests to the Kubernetes API that failed."),
		cycle: gauge("image_writeback_cycle_duration_seconds",
			"How long the last cycle about all Applications took."),
		triggers: counters("image_writeback_events_total",
			"Triggers that arrived, by their type and by what was done with them.", "type", "result"),
		cacheErrors: counter("image_writeback_git_cache_errors_total",
			"Mirrors of git repositories that could not be used as they were."),
	}

	m.registry.MustRegister(m.applications, m.watched, m.updated, m.failed, m.requests, m.requestsFailed,
		m.calls, m.callsFailed, m.cycle, m.triggers, m.cacheErrors,
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))

	return m
}

func gauge(name, help string) prometheus.Gauge {
	return prometheus.NewGauge(prometheus.GaugeOpts{Name: name, Help: help})
}

func counter(name, help string) prometheus.Counter {
	return prometheus.NewCounter(prometheus.CounterOpts{Name: name, Help: help})
}

func counters(name, help string, labels ...string) *prometheus.CounterVec {
	return prometheus.NewCounterVec(prometheus.CounterOpts{Name: name, Help: help}, labels)
}

// Cycle counts what a cycle found and did.
func (m *Metrics) Cycle(result *report.Cycle) {
	if result.All { // one that is about some Applications knows only them
		m.cycle.Set(result.Took.Seconds())
		m.applications.Set(float64(len(result.Plan.Applications)))
		m.watched.Reset()
		m.forget(result.Plan)
	}

	for _, app := range result.Plan.Applications {
		name := m.application(app.Name)
		if result.All {
			m.watched.WithLabelValues(name).Add(float64(len(app.Images)))
		}
		failed := 0
		for _, img := range app.Images {
			if img.Action == plan.ActionError {
				failed++
			}
		}
		m.failed.WithLabelValues(name).Add(float64(failed))
		m.updated.WithLabelValues(name).Add(0)
	}

	for _, o := range result.Outcomes {
		switch {
		case o.Kind == delivery.Failed:
			m.failed.WithLabelValues(m.application(o.Name())).Inc()
		case o.Written():
			m.updated.WithLabelValues(m.application(o.Name())).Add(float64(len(o.Changes)))
		}
	}
}

// application returns the label of an Application, and notes that it has metrics.
func (m *Metrics) application(name string) string {
	m.mu.Lock()
	defer m.mu.Unlock()

	name = strings.ToValidUTF8(name, "?")
	m.known[name] = true

	return name
}

// forget drops the metrics of Applications that are not in a plan of all: their
// names are anybody's choice, and there is no end of them.
func (m *Metrics) forget(p *plan.Plan) {
	m.mu.Lock()
	defer m.mu.Unlock()

	now := map[string]bool{}
	for _, app := range p.Applications {
		now[strings.ToValidUTF8(app.Name, "?")] = true
	}
	for name := range m.known {
		if !now[name] {
			delete(m.known, name)
			m.updated.DeleteLabelValues(name)
			m.failed.DeleteLabelValues(name)
		}
	}
}

// registryLabel returns the label of a registry.
func (m *Metrics) registryLabel(registry string) string {
	m.mu.Lock()
	defer m.mu.Unlock()

	registry = strings.ToValidUTF8(registry, "?")
	if !m.registries[registry] {
		if len(m.registries) == mostRegistries {
			return "other"
		}
		m.registries[registry] = true
	}

	return registry
}

// CacheError counts a mirror that could not be used as it was.
func (m *Metrics) CacheError() { m.cacheErrors.Inc() }

// RegistryRequest counts a request to a registry's API.
func (m *Metrics) RegistryRequest(registry string, failed bool) {
	registry = m.registryLabel(registry)
	m.requests.WithLabelValues(registry).Inc()
	if failed {
		m.requestsFailed.WithLabelValues(registry).Inc()
	}
}

// Trigger counts a message that arrived, by its type and what became of it.
func (m *Metrics) Trigger(kind, result string) {
	m.triggers.WithLabelValues(kind, result).Inc()
}

// KubernetesRequests counts the requests that go through a transport.
func (m *Metrics) KubernetesRequests(base http.RoundTripper) http.RoundTripper {
	return counting{m, base}
}

type counting struct {
	metrics *Metrics
	base    http.RoundTripper
}

// RoundTrip counts a request.
func (c counting) RoundTrip(r *http.Request) (*http.Response, error) {
	response, err := c.base.RoundTrip(r)
	c.metrics.calls.Inc()
	if err != nil || response.StatusCode >= http.StatusBadRequest {
		c.metrics.callsFailed.Inc()
	}
	return response, err
}

// handler serves the metrics in Prometheus' format.
func (m *Metrics) handler() http.Handler {
	return promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{Timeout: 10 * time.Second})
}
