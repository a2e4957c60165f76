package registry

import (
	"context"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/liverty-music/image-writeback/internal/image"
)

// stranger is a server that notes the credentials that it receives. It asks for some, as
// a registry does.
type stranger struct {
	*httptest.Server
	mu       sync.Mutex
	requests int
	received []string
}

func newStranger(t *testing.T) *stranger {
	t.Helper()
	s := &stranger{}
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		s.mu.Lock()
		defer s.mu.Unlock()
		s.requests++
		if secret := r.Header.Get("Authorization") + string(body); secret != "" {
			s.received = append(s.received, r.URL.Path+" "+secret)
		}
		w.Header().Set("WWW-Authenticate", `Basic realm="stranger"`)
		w.WriteHeader(http.StatusUnauthorized)
	}))
	t.Cleanup(s.Close)

	return s
}

// leading is a registry with HTTPS that leads to a stranger in one way.
func leading(t *testing.T, lead func(w http.ResponseWriter, r *http.Request)) *httptest.Server {
	t.Helper()
	s := httptest.NewUnstartedServer(http.HandlerFunc(lead))
	s.Config.ErrorLog = log.New(io.Discard, "", 0)
	s.StartTLS()
	t.Cleanup(s.Close)

	return s
}

// TestRegistriesLeadCredentialsNowhere has a registry lead to a server of somebody else
// in every way that the protocol has.
func TestRegistriesLeadCredentialsNowhere(t *testing.T) {
	t.Setenv("LOGIN", "ada:s3cret")
	other := newStranger(t)
	away := func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, other.URL+r.URL.RequestURI(), http.StatusTemporaryRedirect)
	}
	basic := func(w http.ResponseWriter) {
		w.Header().Set("WWW-Authenticate", `Basic realm="x"`)
		w.WriteHeader(http.StatusUnauthorized)
	}
	signedIn := func(r *http.Request) bool { _, _, ok := r.BasicAuth(); return ok }

	for name, lead := range map[string]func(w http.ResponseWriter, r *http.Request){
		"a redirect of the ping": away,
		"a redirect of the list": func(w http.ResponseWriter, r *http.Request) {
			switch {
			case !signedIn(r):
				basic(w)
			case r.URL.Path != "/v2/":
				away(w, r)
			}
		},
		"a link to the next page": func(w http.ResponseWriter, r *http.Request) {
			if !signedIn(r) {
				basic(w)
				return
			}
			w.Header().Set("Link", fmt.Sprintf(`<%s/v2/p/app/tags/list?last=a>; rel="next"`, other.URL))
			_, _ = io.WriteString(w, `{"name": "p/app", "tags": ["a"]}`)
		},
		"tokens from a server without TLS": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("WWW-Authenticate", fmt.Sprintf(`Bearer realm="%s/token",service="x"`, other.URL))
			w.WriteHeader(http.StatusUnauthorized)
		},
		"tokens from a server that redirects": func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/token" {
				away(w, r)
				return
			}
			w.Header().Set("WWW-Authenticate", fmt.Sprintf(`Bearer realm="https://%s/token",service="x"`, r.Host))
			w.WriteHeader(http.StatusUnauthorized)
		},
	} {
		s := leading(t, lead)
		c := client(t, nil, Registry{
			Prefix: "reg.corp", APIURL: s.URL, Credentials: "env:LOGIN", Insecure: true,
		})
		r := repository(t, c, "reg.corp/p/app", "")
		r.StopRetrying()
		if _, err := r.List(t.Context()); err == nil || strings.Contains(err.Error(), "s3cret") {
			t.Errorf("%s: %v", name, err)
		}
		if len(other.received) > 0 {
			t.Errorf("%s: the stranger received %q", name, other.received)
		}
	}
	if other.requests == 0 {
		t.Error("no registry has led to the stranger")
	}
}

// TestCredentialsInClearText has a registry with HTTPS send its client to HTTP at its own
// address, where the library would go with the credentials.
func TestCredentialsInClearText(t *testing.T) {
	t.Setenv("LOGIN", "ada:s3cret")
	received := ""
	clear := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		received += r.Header.Get("Authorization")
		w.Header().Set("WWW-Authenticate", `Basic realm="x"`)
		w.WriteHeader(http.StatusUnauthorized)
	}))
	t.Cleanup(clear.Close)
	s := leading(t, func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, clear.URL+"/sign-in", http.StatusTemporaryRedirect)
	})
	c := client(t, nil, Registry{Prefix: "reg.corp", APIURL: s.URL, Credentials: "env:LOGIN", Insecure: true})
	_, err := repository(t, c, "reg.corp/p/app", "").List(t.Context())
	if err == nil || !strings.Contains(err.Error(), "leads from https to http") || received != "" {
		t.Errorf("%v; received %q", err, received)
	}
}

// TestConfiguredCredentialsStay checks that the credentials that the configuration gives
// a prefix are not used for an image that only looks like one of its own.
func TestConfiguredCredentialsStay(t *testing.T) {
	t.Setenv("LOGIN", "ada:s3cret")
	t.Setenv("DOCKER_CONFIG", t.TempDir())
	other := newStranger(t)
	host := strings.TrimPrefix(other.URL, "http://")
	short := host[:len(host)-1] // 127.0.0.1:4567, and the stranger is at 45678
	c := client(t, nil, Registry{Prefix: short, Credentials: "env:LOGIN"},
		Registry{Prefix: host + "/team", Credentials: "env:LOGIN"})
	for _, name := range []string{host + "/app", host + "/team-b/app", host + "/teams/app"} {
		r := repository(t, c, name, "")
		r.StopRetrying()
		if _, err := r.List(t.Context()); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
	if other.requests == 0 || len(other.received) > 0 {
		t.Errorf("the stranger received %q in %d requests", other.received, other.requests)
	}

	_, _ = repository(t, c, host+"/team/app", "").List(t.Context())
	if len(other.received) == 0 {
		t.Error("the registry that has credentials did not receive them")
	}
}

// TestKeysOfDockersConfiguration checks for which images the key of an entry is.
func TestKeysOfDockersConfiguration(t *testing.T) {
	for key, images := range map[string]map[string]bool{
		"https://reg.corp": {
			"reg.corp/app": true, "REG.corp/app": true, "reg.corp.example.net/app": false, "reg.corp:5000/app": false,
			"reg.corp:443/app": false, "xreg.corp/app": false, "example.net/reg.corp/app": false,
		},
		"https://Reg.corp/v2/": {"reg.corp/app": true},
		"reg.corp:5000":        {"reg.corp:5000/app": true, "reg.corp/app": false, "reg.corp:50000/app": false},
		"reg.corp/team": {
			"reg.corp/team/app": true, "reg.corp/team": true, "reg.corp/team-b/app": false, "reg.corp/app": false,
		},
		"https://index.docker.io/v1/": {
			"nginx": true, "o/app": true, "index.docker.io/o/app": true, "ghcr.io/o/app": false,
		},
		"https://ada@reg.corp": {"reg.corp/app": false},
		"*.corp":               {"reg.corp/app": false},
		"https://":             {"reg.corp/app": false},
		"":                     {"reg.corp/app": false, "nginx": false},
	} {
		config := fmt.Appendf(nil, `{"auths": {%q: {"username": "ada", "password": "s3cret"}}}`, key)
		read := func(context.Context, string, string) (map[string][]byte, error) {
			return map[string][]byte{".dockerconfigjson": config}, nil
		}
		for name, want := range images {
			ref, err := image.ParseName(name)
			if err != nil {
				t.Fatal(err)
			}
			_, err = dockerConfig(config, ref, failureOf("pullsecret:ns/x"))
			if (err == nil) != want {
				t.Errorf("the entry %q is for %s: %t (%v)", key, name, err == nil, err)
			}
			if _, err := client(t, read).authenticator(t.Context(), repository(t, client(t, read), name,
				"pullsecret:ns/x")); (err == nil) != want {
				t.Errorf("the entry %q is for %s: %v", key, name, err)
			}
		}
	}
}
