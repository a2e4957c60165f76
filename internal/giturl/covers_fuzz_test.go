package giturl

import (
	"net/http"
	"net/url"
	"path"
	"strings"
	"testing"

	"github.com/go-git/go-git/v5/plumbing/transport"
)

// FuzzCovers checks that credentials never leave their server, as the library that
// connects reads the two addresses: it decides in the end where they go.
func FuzzCovers(f *testing.F) {
	type vector struct {
		Template    string
		Covers, Not []string
	}
	for _, v := range vectors[vector](f, "covers") {
		for _, text := range append(v.Covers, v.Not...) {
			f.Add(v.Template, text)
		}
	}

	f.Fuzz(func(t *testing.T, template, text string) {
		own, other := Parse(template), Parse(text)
		covers := own.Covers(other)
		if served := other.ServedBy(own); !covers && !served {
			return
		}

		// What does not parse is not connected to. The library gets addresses without the white
		// space around them, which Parse ignores.
		template, text = strings.TrimSpace(template), strings.TrimSpace(text)
		from, fromErr := transport.NewEndpoint(template)
		if fromErr == nil && from.Protocol == "file" { // "git@github.com:", which is a template alone
			from, fromErr = transport.NewEndpoint(template + "x")
		}
		to, toErr := transport.NewEndpoint(text)
		if fromErr != nil || toErr != nil || to.Protocol == "file" {
			return
		}
		if !strings.EqualFold(from.Host, to.Host) || from.Host == "" {
			t.Fatalf("%q covers or serves %q: %q is not %q", template, text, from.Host, to.Host)
		}
		if covers && (from.Protocol != to.Protocol || portOf(from) != portOf(to)) {
			t.Fatalf("%q covers %q: %s:%d is not %s:%d", template, text, from.Protocol, portOf(from),
				to.Protocol, portOf(to))
		}
		if strings.HasPrefix(to.Protocol, "http") {
			sentTo(t, own, to, covers)
		}
	})
}

// sentTo checks the request that the library makes for an endpoint.
func sentTo(t *testing.T, own Address, to *transport.Endpoint, covers bool) {
	t.Helper()
	request, err := http.NewRequest(http.MethodGet, to.String()+"/info/refs?service=git-upload-pack", nil)
	if err != nil {
		return // it is not sent
	}
	if !strings.EqualFold(request.URL.Hostname(), own.Host()) {
		t.Fatalf("%v is sent to %q, not to %q", to, request.URL.Host, own.Host())
	}
	decoded, err := url.PathUnescape(request.URL.EscapedPath())
	if err != nil || !covers || own.Path() == "" {
		return
	}

	served := strings.ToLower(strings.Trim(path.Clean("/"+decoded), "/"))
	under := strings.ToLower(own.Path())
	if served != under && // what follows a "#" is not sent
		!strings.HasPrefix(served, under+"/") && !strings.HasPrefix(served, under+".git/") {
		t.Fatalf("%v is served as %q, which is not below %q", to, served, under)
	}
}

// portOf is the port that an endpoint is reached at.
func portOf(e *transport.Endpoint) int {
	if e.Port != 0 {
		return e.Port
	}

	return map[string]int{"http": 80, "https": 443, "ssh": 22, "git": 9418}[e.Protocol]
}
