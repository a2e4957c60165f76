package registry

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/liverty-music/image-writeback/internal/httpclient"
	"github.com/liverty-music/image-writeback/internal/sandbox/registry"
)

// hidden is a server of this machine that nobody's image may lead to. It counts the
// connections that are opened to it.
type hidden struct {
	*httptest.Server
	connections atomic.Int32
}

func hide(t *testing.T) *hidden {
	t.Helper()
	h := &hidden{Server: httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, `{"token": "t", "tags": ["secret"]}`)
	}))}
	h.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		if state == http.StateNew {
			h.connections.Add(1)
		}
	}
	h.Start()
	t.Cleanup(h.Close)

	return h
}

func (h *hidden) port() string { return h.URL[strings.LastIndex(h.URL, ":"):] }

// guarded is a client whose guard permits the servers of its registries alone.
func guarded(t *testing.T, rules httpclient.Rules, registries ...Registry) *Client {
	t.Helper()
	for _, r := range registries {
		u, err := url.Parse(r.APIURL)
		if err != nil {
			t.Fatal(err)
		}
		rules.Hosts = append(rules.Hosts, httpclient.HostPort(u))
	}
	rules.Remedy = func(e *httpclient.AddressError) string { return fmt.Sprintf("allow %s", e.Address) }
	c, err := New(registries, nil, httpclient.NewGuard(rules), "test")
	if err != nil {
		t.Fatal(err)
	}

	return c
}

// refusesWithoutRetry checks that listing an image fails since the guard refuses an
// address, at the first try, and that the registry is not taken for one that does
// not answer: other images of the cycle are still requested.
func refusesWithoutRetry(t *testing.T, c *Client, name string) {
	t.Helper()
	dials := map[string]int{}
	c.OnRequest = func(api string, _ bool) { dials[api]++ }
	_, err := repository(t, c, name, "").List(t.Context())

	var failed *Error
	var refused *httpclient.AddressError
	if !errors.As(err, &failed) || !errors.As(err, &refused) || failed.NoAnswer || failed.Overloaded {
		t.Fatalf("%s: %v", name, err)
	}
	for _, part := range []string{
		"image " + name, refused.Host, refused.Kind, "no connection", "; allow " + refused.Address.String(),
	} {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("%s: %v, want %q in it", name, err, part)
		}
	}
	for api, n := range dials {
		if n > 2 { // the ping, and the request that leads to the refused address
			t.Errorf("%s: %d requests to %s", name, n, api)
		}
	}
}

// TestImageOnLoopback checks that an image's name leads to no server of this
// machine, whatever name the server has, unless the operator permits it.
func TestImageOnLoopback(t *testing.T) {
	h := hide(t)
	for _, host := range []string{"127.0.0.1", "localhost", "0.0.0.0"} {
		refusesWithoutRetry(t, guarded(t, httpclient.Rules{}), host+h.port()+"/p/app")
	}
	if n := h.connections.Load(); n != 0 {
		t.Errorf("%d connections were opened", n)
	}

	s := start(t)
	s.Push(server, registry.Build{Created: built}, "v1")
	for _, c := range []*Client{
		guarded(t, httpclient.Rules{Allow: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}}),
		guarded(t, httpclient.Rules{Hosts: []string{s.Host()}}),
		guarded(t, httpclient.Rules{}, Registry{Prefix: s.Host(), APIURL: s.URL}),
	} {
		if listing, err := repository(t, c, s.Host()+"/"+server, "").List(t.Context()); err != nil ||
			names(listing.Tags) != "v1" {
			t.Errorf("permitted: %q, %v", names(listing.Tags), err)
		}
	}
}

// TestRegistryLeadsToLoopback checks that a registry that may be reached cannot send
// this program to a server that may not: by a redirect, nor by the server of tokens.
func TestRegistryLeadsToLoopback(t *testing.T) {
	h := hide(t)
	for how, fault := range map[string]func(w http.ResponseWriter, r *http.Request) bool{
		"redirect": func(w http.ResponseWriter, r *http.Request) bool {
			if strings.HasSuffix(r.URL.Path, "/tags/list") {
				http.Redirect(w, r, h.URL+r.URL.Path, http.StatusTemporaryRedirect)
				return true
			}
			return false
		},
		"token": func(w http.ResponseWriter, _ *http.Request) bool {
			w.Header().Set("WWW-Authenticate", `Bearer realm="http://localhost`+h.port()+`/token",service="s"`)
			w.WriteHeader(http.StatusUnauthorized)
			return true
		},
	} {
		t.Run(how, func(t *testing.T) {
			s := start(t)
			s.Push(server, registry.Build{Created: built}, "v1")
			c := guarded(t, httpclient.Rules{}, Registry{Prefix: "r.example.com", APIURL: s.URL})
			s.Fault = fault
			refusesWithoutRetry(t, c, "r.example.com/"+server)

			s.Fault = nil
			_, err := repository(t, c, "r.example.com/"+server, "").List(t.Context())
			if how == "redirect" && err != nil {
				t.Errorf("the registry is not requested again: %v", err)
			}
		})
	}
	if n := h.connections.Load(); n != 0 {
		t.Errorf("%d connections were opened", n)
	}
}
