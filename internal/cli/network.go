package cli

import (
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"os"
	"strings"

	"golang.org/x/net/http/httpproxy"

	"github.com/liverty-music/image-writeback/internal/config"
	"github.com/liverty-music/image-writeback/internal/httpclient"
)

// newGuard returns what decides to which addresses connections may be opened because
// an image, an Application or a server names them. hosts are servers of the command
// line, as HOST:PORT. What the operator alone names is not guarded: the cluster,
// Pub/Sub and the credentials of clouds.
func newGuard(c config.Config, hosts []string) (*httpclient.Guard, error) {
	rules := httpclient.Rules{
		Hosts: append(configuredHosts(c), hosts...), Proxies: proxiesOfEnvironment(), Remedy: networkRemedy,
	}

	var err error
	if rules.Allow, err = prefixes("network.allow", c.Network.Allow); err != nil {
		return nil, err
	}
	if rules.Deny, err = prefixes("network.deny", c.Network.Deny); err != nil {
		return nil, err
	}

	return httpclient.NewGuard(rules), nil
}

func prefixes(key string, texts []string) ([]netip.Prefix, error) {
	all := make([]netip.Prefix, len(texts))
	for i, text := range texts {
		var err error
		if all[i], err = netip.ParsePrefix(text); err != nil {
			return nil, fmt.Errorf("%s: %w", key, err)
		}
	}

	return all, nil
}

// networkRemedy names the line of config.yaml that decides about an address.
func networkRemedy(e *httpclient.AddressError) string {
	switch {
	case e.Denied:
		return "network.deny in config.yaml has it; if this server is needed, narrow that range"
	case !e.Address.IsValid():
		return "name the server, or write its address in the usual form"
	}

	return fmt.Sprintf("if this server is yours, add to network.allow in config.yaml: - '%s'",
		netip.PrefixFrom(e.Address, e.Address.BitLen()))
}

// configuredHosts returns the registries and forges of config.yaml, as HOST:PORT.
func configuredHosts(c config.Config) []string {
	var all []string
	for _, r := range c.Registries {
		host, _, _ := strings.Cut(r.Prefix, "/")
		all = append(all, registryHosts(host)...)
		all = append(all, hostOf(r.APIURL))
	}

	// The API of github.com is at api.github.com, and its repositories are not.
	for _, text := range []string{c.GitHub.APIURL, c.GitLab.URL} {
		host := hostOf(text)
		all = append(all, host, strings.TrimPrefix(host, "api."))
	}

	return all
}

// registryHosts returns where a registry of this name may be, as HOST:PORT.
func registryHosts(host string) []string {
	if host == "" {
		return nil
	}
	if _, _, err := net.SplitHostPort(host); err == nil {
		return []string{host}
	}

	host = strings.Trim(host, "[]")

	return []string{net.JoinHostPort(host, "443"), net.JoinHostPort(host, "80")}
}

// proxiesOfEnvironment returns the proxies that the operator has set for this
// process, as HOST:PORT.
func proxiesOfEnvironment() []string {
	environment := httpproxy.FromEnvironment()
	var all []string
	for _, text := range []string{environment.HTTPProxy, environment.HTTPSProxy, os.Getenv("ALL_PROXY"),
		os.Getenv("all_proxy")} {
		if text != "" && !strings.Contains(text, "://") {
			text = "http://" + text // as net/http reads it
		}
		all = append(all, hostOf(text))
	}

	return all
}

// hostOf returns the server of a URL as HOST:PORT; empty if it has none.
func hostOf(text string) string {
	u, err := url.Parse(text)
	if err != nil {
		return ""
	}

	return httpclient.HostPort(u)
}
