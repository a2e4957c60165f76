package web

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/liverty-music/image-writeback/internal/delivery"
	"github.com/liverty-music/image-writeback/internal/plan"
	"github.com/liverty-music/image-writeback/internal/report"
)

// start serves on free addresses.
func start(t *testing.T, s *Server, metricsApart bool) (health, metrics string) {
	t.Helper()
	health = freeAddress(t)
	metrics, metricsListen := health, ""
	if metricsApart {
		metricsListen = freeAddress(t)
		metrics = metricsListen
	}

	stop, err := s.Start(health, metricsListen)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(stop)

	return "http://" + health, "http://" + metrics
}

func freeAddress(t *testing.T) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = listener.Close() }()

	return listener.Addr().String()
}

func get(t *testing.T, url string) (status int, body string) {
	t.Helper()
	response, err := http.Get(url) //nolint:gosec,noctx // of this test's own server
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()

	data, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}

	return response.StatusCode, string(data)
}

// TestProbes holds that each probe reports its own state, with the reason.
func TestProbes(t *testing.T) {
	var alive, ready error
	s := &Server{Metrics: NewMetrics(), Alive: func() error { return alive }, Ready: func() error { return ready }}
	health, _ := start(t, s, false)

	for _, step := range []struct {
		alive, ready               error
		healthzStatus, readyStatus int
		healthzBody, readyBody     string
	}{
		{nil, nil, 200, 200, "ok\n", "ok\n"},
		{nil, errors.New("no cycle has ended yet"), 200, 503, "ok\n", "no cycle has ended yet\n"},
		{errors.New("the cycle hangs"), nil, 503, 200, "the cycle hangs\n", "ok\n"},
	} {
		alive, ready = step.alive, step.ready
		if status, body := get(t, health+"/healthz"); status != step.healthzStatus || body != step.healthzBody {
			t.Errorf("/healthz: %d %q, want %d %q", status, body, step.healthzStatus, step.healthzBody)
		}
		if status, body := get(t, health+"/readyz"); status != step.readyStatus || body != step.readyBody {
			t.Errorf("/readyz: %d %q, want %d %q", status, body, step.readyStatus, step.readyBody)
		}
	}

	if status, _ := get(t, health+"/"); status != http.StatusNotFound {
		t.Errorf("/: %d", status)
	}
}

// TestMetricsListen holds that metrics are at their own address only, if they
// have one.
func TestMetricsListen(t *testing.T) {
	ok := func() error { return nil }
	s := &Server{Metrics: NewMetrics(), Alive: ok, Ready: ok}
	health, metrics := start(t, s, true)
	for url, want := range map[string]int{
		health + "/healthz": 200, health + "/metrics": 404, metrics + "/metrics": 200, metrics + "/healthz": 404,
	} {
		if status, _ := get(t, url); status != want {
			t.Errorf("%s: %d, want %d", url, status, want)
		}
	}

	health, metrics = start(t, &Server{Metrics: NewMetrics(), Alive: ok, Ready: ok}, false)
	if status, _ := get(t, metrics+"/metrics"); status != 200 || metrics != health {
		t.Errorf("metrics at the address of health: %d", status)
	}
}

func TestAddressInUse(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = listener.Close() }()
	used := listener.Addr().String()

	for _, c := range []struct{ listen, metricsListen, serving string }{
		{used, "", "health"}, {"", used, "metrics"}, {freeAddress(t), used, "metrics"},
	} {
		_, err := (&Server{Metrics: NewMetrics()}).Start(c.listen, c.metricsListen)
		var failed *ListenError
		if !errors.As(err, &failed) || failed.Serving != c.serving {
			t.Errorf("%v: %v", c, err)
		}
		if c.listen != "" && c.listen != used { // what had started is stopped again
			if again, err := net.Listen("tcp", c.listen); err != nil {
				t.Error(err)
			} else {
				_ = again.Close()
			}
		}
	}
}

// TestServerGivesUp checks that no client can hold a connection for ever.
func TestServerGivesUp(t *testing.T) {
	s := newServer(nil)
	for what, limit := range map[string]time.Duration{
		"header": s.ReadHeaderTimeout, "body": s.ReadTimeout, "answer": s.WriteTimeout, "next request": s.IdleTimeout,
	} {
		if limit <= 0 || limit > time.Minute {
			t.Errorf("%s: %s", what, limit)
		}
	}
	if s.MaxHeaderBytes <= 0 || s.MaxHeaderBytes > 64<<10 {
		t.Errorf("a header may have %d bytes", s.MaxHeaderBytes)
	}
}

// TestMetricNames holds the names, types and labels of all metrics: dashboards
// and alerts are built on them.
func TestMetricNames(t *testing.T) {
	m := NewMetrics()
	m.RegistryRequest("https://ghcr.io", false)
	m.RegistryRequest("https://ghcr.io", true)
	m.Trigger("github", "accepted")
	cluster := httptest.NewServer(http.NotFoundHandler())
	t.Cleanup(cluster.Close)
	client := &http.Client{Transport: m.KubernetesRequests(http.DefaultTransport)}
	response, err := client.Get(cluster.URL)
	if err != nil {
		t.Fatal(err)
	}

	_ = response.Body.Close()
	m.Cycle(wholeCycle())

	recorder := httptest.NewRecorder()
	m.handler().ServeHTTP(recorder, httptest.NewRequest(http.MethodGet, "/metrics", nil))
	var own []string
	for line := range strings.Lines(recorder.Body.String()) {
		if strings.Contains(line, "argocd_image_updater_") || strings.Contains(line, "image_writeback_") {
			if !strings.HasPrefix(line, "# HELP") {
				own = append(own, line)
			}
		}
	}

	want, err := os.ReadFile("../../testdata/web/metrics.txt")
	if err != nil {
		t.Fatal(err)
	}

	if got := strings.Join(own, ""); got != string(want) {
		t.Errorf("the metrics are\n%s\nwant\n%s", got, want)
	}
}

// TestMetricsDoNotGrow holds that there are labels for what exists, and for a
// bounded number of registries: both are named by whoever writes an Application.
func TestMetricsDoNotGrow(t *testing.T) {
	m := NewMetrics()
	for i := range 3 * mostRegistries {
		m.RegistryRequest(fmt.Sprintf("https://r%d.example.com\xff", i), true)
	}
	for i := range 100 {
		m.Cycle(&report.Cycle{
			All:  true,
			Plan: &plan.Plan{Applications: []plan.Application{{Namespace: "a", Name: fmt.Sprintf("app%d\xff", i)}}},
			Outcomes: []delivery.Outcome{
				{Application: fmt.Sprintf("a/app%d", i), Kind: delivery.Failed, Err: errors.New("it fails")},
			},
		})
	}

	recorder := httptest.NewRecorder()
	m.handler().ServeHTTP(recorder, httptest.NewRequest(http.MethodGet, "/metrics", nil))
	text := recorder.Body.String()
	if n := strings.Count(text, "{registry="); n != 2*(mostRegistries+1) {
		t.Errorf("%d labels of registries", n)
	}
	if n := strings.Count(text, "{application="); n != 4 || !strings.Contains(text, "app99?") {
		t.Errorf("%d labels of Applications", n)
	}
}

func wholeCycle() *report.Cycle {
	return &report.Cycle{
		All:  true,
		Took: 1500 * time.Millisecond,
		Plan: &plan.Plan{Applications: []plan.Application{
			{Name: "backend-dev", Images: []plan.Image{
				{Action: plan.ActionUpdate}, {Action: plan.ActionError},
			}},
			{Name: "backend-prod", Images: []plan.Image{{Action: plan.ActionUpToDate}}},
		}},
	}
}
