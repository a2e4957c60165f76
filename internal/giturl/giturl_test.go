package giturl

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"sigs.k8s.io/kustomize/kyaml/yaml"
)

// vectors reads a file of testdata/giturl; its README says what the fields mean.
func vectors[T any](t testing.TB, name string) []T {
	t.Helper()
	data, err := os.ReadFile("../../testdata/giturl/" + name + ".yaml")
	if err != nil {
		t.Fatal(err)
	}
	decoder := yaml.NewDecoder(strings.NewReader(string(data)))
	decoder.KnownFields(true)
	var all []T
	if err := decoder.Decode(&all); err != nil {
		t.Fatal(err)
	}
	return all
}

func TestSpellings(t *testing.T) {
	type vector struct {
		Name, Key         string
		Same, Also, Other []string
	}
	for _, v := range vectors[vector](t, "spellings") {
		first := Parse(v.Same[0])
		for _, text := range v.Same {
			if a := Parse(text); a.Key() != v.Key || a.ProtocolKey() != first.ProtocolKey() {
				t.Errorf("%s: %q has the key %q (%q), want %q", v.Name, text, a.Key(), a.ProtocolKey(), v.Key)
			}
		}
		for _, text := range v.Also {
			if a := Parse(text); a.Key() != v.Key || a.ProtocolKey() == first.ProtocolKey() {
				t.Errorf("%s: %q has the key %q (%q), want %q", v.Name, text, a.Key(), a.ProtocolKey(), v.Key)
			}
		}
		for _, text := range v.Other {
			if a := Parse(text); a.Key() == v.Key {
				t.Errorf("%s: %q has the same key", v.Name, text)
			}
		}
	}
}

func TestAddresses(t *testing.T) {
	type vector struct {
		Address, Public, Host, Path, Owner, Name, HTTPS, User, Password string
	}
	for _, v := range vectors[vector](t, "addresses") {
		if v.Public == "" {
			v.Public = v.Address
		}
		if v.HTTPS == "" {
			v.HTTPS = v.Address
		}

		a := Parse(v.Address)
		user, password := a.Login()
		got := vector{v.Address, a.Public(), a.Host(), a.Path(), a.Owner(), a.Name(), a.HTTPS(), user, password}
		if got != v {
			t.Errorf("\n got %+v\nwant %+v", got, v)
		}
		if shown := fmt.Sprint(a); strings.Contains(shown, "s3cret") || shown != a.Public() {
			t.Errorf("%s is printed as %q", v.Address, shown)
		}
	}
}

func TestCovers(t *testing.T) {
	type vector struct {
		Template    string
		Covers, Not []string
	}
	for _, v := range vectors[vector](t, "covers") {
		for _, text := range v.Covers {
			if !Parse(v.Template).Covers(Parse(text)) {
				t.Errorf("%q does not cover %q", v.Template, text)
			}
		}
		for _, text := range v.Not {
			if Parse(v.Template).Covers(Parse(text)) {
				t.Errorf("%q covers %q", v.Template, text)
			}
		}
	}
}

func TestServers(t *testing.T) {
	type vector struct {
		Server      string
		Serves, Not []string
	}
	for _, v := range vectors[vector](t, "servers") {
		for _, text := range v.Serves {
			if !Parse(text).ServedBy(Parse(v.Server)) {
				t.Errorf("%q does not serve %q", v.Server, text)
			}
		}
		for _, text := range v.Not {
			if Parse(text).ServedBy(Parse(v.Server)) {
				t.Errorf("%q serves %q", v.Server, text)
			}
		}
	}
}

func TestHosts(t *testing.T) {
	type vector struct{ Address, Host, Server string }
	for _, v := range vectors[vector](t, "hosts") {
		if got := Parse(v.Address).HostPort(); got != v.Host {
			t.Errorf("%q is at %q, want %q", v.Address, got, v.Host)
		}
		if got := Parse(v.Address).Server(); got != v.Server {
			t.Errorf("the server of %q is %q, want %q", v.Address, got, v.Server)
		}
	}
}
