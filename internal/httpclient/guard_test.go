package httpclient

import (
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"sigs.k8s.io/kustomize/kyaml/yaml"
)

// vector is a vector of testdata/httpclient; its README says what the fields mean.
type vector struct {
	Name              string
	Allow, Deny       []string
	Configured, Named []string
	Open, Refused     []string
	Because           string
	permit            func(g *Guard, address string) error
}

func vectors(t *testing.T, name string) []vector {
	t.Helper()
	data, err := os.ReadFile("../../testdata/httpclient/" + name + ".yaml")
	if err != nil {
		t.Fatal(err)
	}
	decoder := yaml.NewDecoder(strings.NewReader(string(data)))
	decoder.KnownFields(true)
	var all []vector
	if err := decoder.Decode(&all); err != nil || len(all) < 5 {
		t.Fatal(len(all), err)
	}

	return all
}

func ranges(texts ...string) []netip.Prefix {
	all := make([]netip.Prefix, len(texts))
	for i, text := range texts {
		all[i] = netip.MustParsePrefix(text)
	}

	return all
}

func (v vector) check(t *testing.T) {
	g := NewGuard(Rules{Allow: ranges(v.Allow...), Deny: ranges(v.Deny...), Hosts: v.Configured}).With(v.Named...)
	for _, address := range v.Open {
		if err := v.permit(g, address); err != nil {
			t.Errorf("%s: %v", address, err)
		}
	}

	for _, address := range v.Refused {
		var refused *AddressError
		err := v.permit(g, address)
		if !errors.As(err, &refused) || v.Because == "" || !strings.Contains(err.Error(), v.Because) {
			t.Errorf("%s: %v, want %q", address, err, v.Because)
		}
	}
	if len(v.Open)+len(v.Refused) == 0 {
		t.Error("no addresses")
	}
}

func TestAddresses(t *testing.T) {
	for _, v := range vectors(t, "addresses") {
		v.permit = func(g *Guard, address string) error {
			host, at, named := strings.Cut(address, " ")
			if !named {
				return g.permit(host, netip.MustParseAddrPort(host).Addr())
			}
			return g.permit(host, netip.MustParseAddr(at))
		}
		t.Run(v.Name, v.check)
	}
}

func TestProxiedHosts(t *testing.T) {
	for _, v := range vectors(t, "proxied") {
		v.permit = (*Guard).CheckProxied
		t.Run(v.Name, v.check)
	}
}

// counting is a server that counts the connections that are opened to it.
type counting struct {
	*httptest.Server
	connections atomic.Int32
}

func serve(t *testing.T, handler http.HandlerFunc) *counting {
	t.Helper()
	c := &counting{Server: httptest.NewUnstartedServer(handler)}
	c.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		if state == http.StateNew {
			c.connections.Add(1)
		}
	}
	c.Start()
	t.Cleanup(c.Close)

	return c
}

func answer(text string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, text) }
}

func (c *counting) address() string { return c.Listener.Addr().String() }

// port is what an address at another host has to end with.
func (c *counting) port() string { return c.address()[strings.LastIndex(c.address(), ":"):] }

// get requests a URL as the guard permits.
func get(t *testing.T, g *Guard, proxy func(*http.Request) (*url.URL, error), url string) (string, error) {
	t.Helper()
	transport := NewTransport(10 * time.Second)
	transport.Proxy = proxy
	g.Protect(transport)
	defer transport.CloseIdleConnections()

	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	response, err := (&http.Client{Transport: transport}).Do(request)
	if err != nil {
		return "", err
	}
	defer func() { _ = response.Body.Close() }()
	body, err := io.ReadAll(response.Body)

	return string(body), err
}

// TestNothingArrives checks that a server on loopback sees no connection, however
// it is named and whoever names it, unless the operator permits it.
func TestNothingArrives(t *testing.T) {
	secret := serve(t, answer("credentials"))
	front := serve(t, func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, "http://localhost"+secret.port()+"/", http.StatusFound)
	})
	guard := NewGuard(Rules{Hosts: []string{front.address()}, Remedy: func(e *AddressError) string {
		return "allow " + e.Address.String()
	}})

	for _, url := range []string{
		secret.URL, "http://localhost" + secret.port(), "http://[::ffff:127.0.0.1]" + secret.port(),
		"http://0.0.0.0" + secret.port(), front.URL, // which redirects
	} {
		_, err := get(t, guard, nil, url)
		var refused *AddressError
		if !errors.As(err, &refused) || !strings.HasPrefix(refused.Remedy, "allow ") || refused.Kind == "" {
			t.Errorf("%s: %v", url, err)
		}
	}
	if n := secret.connections.Load(); n != 0 || front.connections.Load() != 1 {
		t.Errorf("%d connections to the secret, %d to the front", n, front.connections.Load())
	}

	for _, g := range []*Guard{
		nil, NewGuard(Rules{Allow: ranges("127.0.0.0/8", "::1/128")}),
		NewGuard(Rules{Hosts: []string{secret.address()}}), NewGuard(Rules{}).With(secret.address()),
	} {
		if got, err := get(t, g, nil, secret.URL); got != "credentials" {
			t.Errorf("permitted: %q, %v", got, err)
		}
	}
}

// TestProxyOfOperator checks that the operator's proxy is reached on loopback, that
// it is not asked for what the guard refuses, and that it is no server of images.
func TestProxyOfOperator(t *testing.T) {
	var asked atomic.Value
	proxy := serve(t, func(w http.ResponseWriter, r *http.Request) {
		asked.Store(r.Host)
		_, _ = io.WriteString(w, "through the proxy")
	})
	through := func(r *http.Request) (*url.URL, error) {
		if r.URL.Host == proxy.address() { // as for all of loopback, by the rules of the environment
			return nil, nil
		}
		return url.Parse(proxy.URL)
	}
	guard := NewGuard(Rules{Proxies: []string{proxy.address()}})

	if got, err := get(t, guard, through, "http://registry.example.com/"); got != "through the proxy" {
		t.Errorf("%q, %v", got, err)
	}
	before := proxy.connections.Load()
	for _, url := range []string{"http://169.254.169.254/", "http://2852039166/", "http://localhost/", proxy.URL} {
		var refused *AddressError
		if _, err := get(t, guard, through, url); !errors.As(err, &refused) {
			t.Errorf("%s: %v", url, err)
		}
	}
	if proxy.connections.Load() != before || asked.Load() != "registry.example.com" {
		t.Errorf("the proxy was asked for %v", asked.Load())
	}

	// A proxy that is not the operator's is an address like all others.
	var refused *AddressError
	if _, err := get(t, NewGuard(Rules{}), through, "http://registry.example.com/"); !errors.As(err, &refused) {
		t.Errorf("somebody's proxy: %v", err)
	}
}

// TestResolve checks the addresses for connections that others open.
func TestResolve(t *testing.T) {
	var refused *AddressError
	if got, err := NewGuard(Rules{}).Resolve(t.Context(), "localhost:22"); !errors.As(err, &refused) || len(got) > 0 {
		t.Errorf("%v, %v", got, err)
	}

	got, err := NewGuard(Rules{Allow: ranges("127.0.0.0/8")}).Resolve(t.Context(), "localhost:22")
	if err != nil || len(got) == 0 || got[0].String() != "127.0.0.1:22" {
		t.Errorf("%v, %v", got, err)
	}
	for _, address := range []string{"localhost", "localhost:ssh", "localhost:99999"} {
		if got, err := NewGuard(Rules{}).Resolve(t.Context(), address); err == nil {
			t.Errorf("%s: %v", address, got)
		}
	}
}

// TestHostPort checks the server to which a URL leads.
func TestHostPort(t *testing.T) {
	for text, want := range map[string]string{
		"https://ghcr.io": "ghcr.io:443", "http://localhost/v2/": "localhost:80", "ssh://git@h/p": "h:22",
		"https://[::1]:5000/x": "[::1]:5000", "socks5://proxy": "proxy:1080", "ftp://h": "", "https://": "",
	} {
		u, err := url.Parse(text)
		if err != nil {
			t.Fatal(err)
		}
		if got := HostPort(u); got != want {
			t.Errorf("%s: %q, want %q", text, got, want)
		}
	}
}
