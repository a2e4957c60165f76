package cli

import (
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/liverty-music/image-writeback/internal/config"
	"github.com/liverty-music/image-writeback/internal/httpclient"
)

// TestConfiguredHosts checks which servers of config.yaml may be reached wherever they
// are: by host and port.
func TestConfiguredHosts(t *testing.T) {
	c := config.Default()
	c.Registries = []config.Registry{
		{Prefix: "localhost:5000"}, {Prefix: "reg.corp/team", APIURL: "https://mirror.corp:8443/x"},
		{APIURL: "http://bare"},
	}
	c.GitHub.APIURL, c.GitLab.URL = "https://api.ghe.corp/", "http://gitlab.corp:8080/git"
	got := configuredHosts(c)
	for _, want := range []string{
		"localhost:5000", "reg.corp:443", "reg.corp:80", "mirror.corp:8443", "bare:80",
		"api.ghe.corp:443", "ghe.corp:443", "gitlab.corp:8080",
	} {
		if !slices.Contains(got, want) {
			t.Errorf("%s is missing in %q", want, got)
		}
	}
	for _, other := range []string{"localhost:80", "mirror.corp:443", "gitlab.corp:80"} {
		if slices.Contains(got, other) {
			t.Errorf("%s is in %q", other, got)
		}
	}
}

// TestProxiesOfEnvironment checks that the operator's proxies are known, in each form.
func TestProxiesOfEnvironment(t *testing.T) {
	t.Setenv("HTTP_PROXY", "http://user:secret@127.0.0.1:3128")
	t.Setenv("HTTPS_PROXY", "proxy.corp:8080")
	t.Setenv("ALL_PROXY", "socks5://localhost")
	got := proxiesOfEnvironment()
	for _, want := range []string{"127.0.0.1:3128", "proxy.corp:8080", "localhost:1080"} {
		if !slices.Contains(got, want) {
			t.Errorf("%s is missing in %q", want, got)
		}
	}
}

// TestNetworkRemedies checks that a refusal names the line of config.yaml that would
// permit the connection, as config.yaml takes it.
func TestNetworkRemedies(t *testing.T) {
	for _, c := range []struct {
		refused httpclient.AddressError
		want    string
	}{
		{
			httpclient.AddressError{Address: netip.MustParseAddr("127.0.0.1")},
			"network.allow in config.yaml: - '127.0.0.1/32'",
		},
		{httpclient.AddressError{Address: netip.MustParseAddr("::1")}, "network.allow in config.yaml: - '::1/128'"},
		{
			httpclient.AddressError{Address: netip.MustParseAddr("10.0.0.1"), Denied: true},
			"network.deny in config.yaml",
		},
		{httpclient.AddressError{}, "in the usual form"},
	} {
		if got := networkRemedy(&c.refused); !strings.Contains(got, c.want) {
			t.Errorf("%v: %q, want %q", c.refused, got, c.want)
		}
	}

	c := config.Default()
	c.Network.Allow = []string{"127.0.0.1"}
	if _, err := newGuard(c, nil); err == nil || !strings.Contains(err.Error(), "network.allow") {
		t.Errorf("an address that is not a range: %v", err)
	}
}
