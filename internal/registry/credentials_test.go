package registry

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/liverty-music/image-writeback/internal/sandbox/registry"
)

// script writes a program that the shell runs.
func script(t *testing.T, body string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "credentials")
	if err := os.WriteFile(file, []byte("#!/bin/sh\n"+body), 0o700); err != nil { //nolint:gosec // it is to be run
		t.Fatal(err)
	}
	return file
}

func TestScripts(t *testing.T) {
	r := start(t)
	r.User, r.Password = "ada", "s3cret"
	r.Push("p/app", registry.Build{Created: built}, "v1")
	for body, want := range map[string]string{
		"echo ada:s3cret":           "",
		"echo s3cret >&2; exit 3":   "the program ended with exit status 3",
		"echo s3cret":               "the value has no colon",
		"echo ada:wr0ng-s3cret":     "answered 401",
		"sleep 60 & echo; sleep 60": "the program did not end",
	} {
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
		_, err := repository(t, client(t, nil), r.Host()+"/p/app", "ext:"+script(t, body)).List(ctx)
		cancel()
		if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%s: %v, want %q", body, err, want)
		}
		if err != nil && strings.Contains(err.Error(), "s3cret") {
			t.Errorf("%s: the error quotes what was printed: %v", body, err)
		}
	}
	for program, want := range map[string]string{
		"ext:credentials.sh": "is not absolute",
		"ext:/none":          "could not be run",
	} {
		_, err := repository(t, client(t, nil), r.Host()+"/p/app", program).List(t.Context())
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", program, err, want)
		}
	}
}

// TestCredentialsExpire counts how often a program is asked.
func TestCredentialsExpire(t *testing.T) {
	r := start(t)
	r.User, r.Password = "ada", "s3cret"
	r.Push("p/app", registry.Build{Created: built}, "v1")
	log := filepath.Join(t.TempDir(), "log")
	program := script(t, "echo asked >> "+log+"; echo ada:s3cret")
	for life, want := range map[time.Duration]int{time.Nanosecond: 3, time.Hour: 1} {
		_ = os.Remove(log)
		c := client(t, nil, Registry{
			Prefix: r.Host(), APIURL: r.URL, Credentials: "ext:" + program, CredentialsLife: life,
		})
		for range 3 {
			if _, err := repository(t, c, r.Host()+"/p/app", "").List(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		data, err := os.ReadFile(log)
		if got := strings.Count(string(data), "asked"); err != nil || got != want {
			t.Errorf("with %s it was asked %d times, want %d (%v)", life, got, want, err)
		}
	}
}

// TestAmazon has Amazon's own client ask a server for the registry's password.
func TestAmazon(t *testing.T) {
	token := base64.StdEncoding.EncodeToString([]byte("AWS:s3cret"))
	amazon := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/x-amz-json-1.1")
		_, _ = fmt.Fprintf(w, `{"authorizationData":[{"authorizationToken":%q,"expiresAt":%d,`+
			`"proxyEndpoint":"https://123456789012.dkr.ecr.eu-west-1.amazonaws.com"}]}`,
			token, time.Now().Add(time.Hour).Unix())
	}))
	t.Cleanup(amazon.Close)
	t.Setenv("AWS_ENDPOINT_URL_ECR", amazon.URL)
	t.Setenv("AWS_ACCESS_KEY_ID", "x")
	t.Setenv("AWS_SECRET_ACCESS_KEY", "x")
	t.Setenv("AWS_ECR_DISABLE_CACHE", "true")
	r := start(t)
	r.User, r.Password = "AWS", "s3cret"
	r.Push("app", registry.Build{Created: built}, "v1")
	c := client(t, nil, Registry{Prefix: "123456789012.dkr.ecr.eu-west-1.amazonaws.com", APIURL: r.URL})
	got, err := repository(t, c, "123456789012.dkr.ecr.eu-west-1.amazonaws.com/app", "").List(t.Context())
	if err != nil || names(got.Tags) != "v1" {
		t.Errorf("%v, %v", got, err)
	}
}

// TestMicrosoft holds that without an identity in the environment the registry
// is asked as anybody, and says itself what is missing.
func TestMicrosoft(t *testing.T) {
	r := start(t)
	r.User, r.Password = "ada", "s3cret"
	c := client(t, nil, Registry{Prefix: "x.azurecr.io", APIURL: r.URL})
	_, err := repository(t, c, "x.azurecr.io/app", "").List(t.Context())
	if err == nil || !strings.Contains(err.Error(), "set credentials for x.azurecr.io") {
		t.Error(err)
	}
}

// TestNames checks which registry is asked for an image, and by which name.
func TestNames(t *testing.T) {
	hub := Registry{Prefix: "docker.io"}
	own := Registry{Prefix: "reg.example.com", APIURL: "https://api.example.com", Namespace: "team", Default: true}
	for name, c := range map[string]struct {
		registries []Registry
		want       string
	}{
		"nginx":                   {nil, "index.docker.io/library/nginx"},
		"o/app":                   {[]Registry{hub}, "index.docker.io/o/app"},
		"reg.example.com/app":     {[]Registry{own}, "api.example.com/team/app"},
		"reg.example.com/o/app":   {[]Registry{own}, "api.example.com/o/app"},
		"app":                     {[]Registry{own}, "api.example.com/team/app"},
		"docker.io/library/nginx": {[]Registry{own}, "index.docker.io/library/nginx"},
		"p/app":                   {[]Registry{hub, own}, "api.example.com/p/app"},
	} {
		if got := repository(t, client(t, nil, c.registries...), name, "").repo.Name(); got != c.want {
			t.Errorf("%s: %s, want %s", name, got, c.want)
		}
	}
}

func TestSortedLists(t *testing.T) {
	r := start(t)
	r.Plain = true
	for _, tag := range []string{"a", "b", "c"} {
		r.Push("p/app", registry.Build{Created: built}, tag)
	}
	for sorted, newest := range map[string]string{"latest-first": "a", "latest-last": "c"} {
		c := client(t, nil, Registry{Prefix: r.Host(), APIURL: r.URL, Sorted: sorted})
		got, err := repository(t, c, r.Host()+"/p/app", "").List(t.Context())
		if err != nil || !got.Ranked {
			t.Fatalf("%+v, %v", got, err)
		}
		for _, tag := range got.Tags {
			if (tag.Rank == 3) != (tag.Name == newest) {
				t.Errorf("%s: %s has rank %d", sorted, tag.Name, tag.Rank)
			}
		}
	}
}

// TestATokenIsAskedForOnce holds that a registry's token is used for as long as
// the registry takes it and the credentials are the same, though these are looked
// at again before each cycle.
func TestATokenIsAskedForOnce(t *testing.T) {
	s := start(t)
	s.Push(server, registry.Build{Created: built}, "v1")
	tokens, good := 0, ""
	s.Fault = func(w http.ResponseWriter, r *http.Request) bool {
		if r.URL.Path == "/token" {
			tokens++
			good = fmt.Sprint("token", tokens)
			_ = json.NewEncoder(w).Encode(map[string]string{"token": good})
			return true
		}
		if good != "" && r.Header.Get("Authorization") == "Bearer "+good {
			return false
		}
		w.Header().Set("WWW-Authenticate", fmt.Sprintf(`Bearer realm="%s/token",service="s"`, s.URL))
		w.WriteHeader(http.StatusUnauthorized)
		return true
	}
	t.Setenv("ROBOT", "robot:one")
	c := client(t, nil, Registry{Prefix: s.Host(), Credentials: "env:ROBOT", CredentialsLife: time.Nanosecond})
	list := func(what string, want int) {
		t.Helper()
		if _, err := repository(t, c, s.Host()+"/"+server, "").List(t.Context()); err != nil {
			t.Fatal(err)
		}
		if tokens != want {
			t.Errorf("%s: %d tokens, want %d", what, tokens, want)
		}
	}
	list("at first", 1)
	list("again", 1)
	good = "another" // the registry takes the token no more
	list("once the token has run out", 2)
	list("after that", 2)
	t.Setenv("ROBOT", "robot:two")
	list("with other credentials", 3)
}
