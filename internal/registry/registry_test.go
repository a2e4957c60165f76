package registry

import (
	"context"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/liverty-music/image-writeback/internal/image"
	"github.com/liverty-music/image-writeback/internal/sandbox/registry"
)

const server = "p/backend/server"

var built = time.Date(2026, 11, 20, 8, 0, 0, 0, time.UTC)

func start(t *testing.T) *registry.Server {
	t.Helper()
	r := registry.New()
	t.Cleanup(r.Close)
	return r
}

func client(t *testing.T, secrets SecretReader, registries ...Registry) *Client {
	t.Helper()
	c, err := New(registries, secrets, nil, "test")
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func repository(t *testing.T, c *Client, name, credentials string) *Repository {
	t.Helper()
	ref, err := image.ParseName(name)
	if err != nil {
		t.Fatal(err)
	}
	r, err := c.Repository(ref, credentials)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func names(tags []image.Tag) string {
	var all []string
	for _, t := range tags {
		all = append(all, t.Name)
	}
	return strings.Join(all, " ")
}

func TestGooglesListingIsOneRequest(t *testing.T) {
	s := start(t)
	digest := s.Push(server, registry.Build{Created: built}, "latest", "v1")
	s.Push(server, registry.Build{Created: built.Add(-time.Hour), Uploaded: built.Add(time.Hour)}, "v0")
	s.Push(server, registry.Build{Created: built, Platforms: []string{"linux/amd64", "linux/arm64"}}, "multi")
	// The host is not Google's: the shape of the answer tells.
	c := client(t, nil, Registry{Prefix: "asia-northeast2-docker.pkg.dev", APIURL: s.URL})
	for range 3 { // cycles
		r := repository(t, c, "asia-northeast2-docker.pkg.dev/"+server, "")
		listing, err := r.List(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if !listing.Complete || names(listing.Tags) != "latest multi v0 v1" {
			t.Fatalf("listing %+v", listing)
		}
		latest, multi, v0 := listing.Tags[0], listing.Tags[1], listing.Tags[2]
		if latest.Digest != digest || !latest.Created.Equal(built) ||
			!v0.Uploaded.Equal(built.Add(time.Hour)) || !multi.Created.IsZero() {
			t.Errorf("tags %+v", listing.Tags)
		}

		want := Wanted{Digest: true, Created: true, Default: "linux/amd64"}
		described, missing, err := r.Describe(t.Context(), listing.Complete, listing.Tags, want)
		if err != nil || len(described) != 4 || len(missing) != 0 {
			t.Errorf("described %+v, %+v, %v", described, missing, err)
		}
	}
	for kind, want := range map[string]int{"list": 3, "manifest": 0, "blob": 0, "ping": 1} {
		if got := s.Count(kind); got != want {
			t.Errorf("%d × %s, want %d", got, kind, want)
		}
	}
}

// TestOnePingForAllRepositories asks a registry once how to sign in, with
// whatever credentials, however many repositories it has.
func TestOnePingForAllRepositories(t *testing.T) {
	s := start(t)
	c := client(t, nil, Registry{Prefix: "asia-northeast2-docker.pkg.dev", APIURL: s.URL})
	var group sync.WaitGroup
	for i := range 20 {
		name := fmt.Sprintf("p/app%d", i)
		s.Announce(name, "v1", "sha256:"+strings.Repeat("0", 64), built)
		r := repository(t, c, "asia-northeast2-docker.pkg.dev/"+name, "")
		group.Go(func() {
			if _, err := r.List(t.Context()); err != nil {
				t.Error(err)
			}
		})
	}
	group.Wait()
	if s.Count("ping") != 1 || s.Count("list") != 20 {
		t.Errorf("%d pings, %d lists", s.Count("ping"), s.Count("list"))
	}
}

func TestAnotherRegistryIsAskedForWhatIsLeftStanding(t *testing.T) {
	s := start(t)
	s.Plain, s.PageSize = true, 2
	digest := s.Push(server, registry.Build{Created: built}, "v1", "v2")
	s.Push(server, registry.Build{Created: built.Add(time.Hour)}, "v3")
	both := []string{"linux/amd64", "linux/arm64"}
	s.Push(server, registry.Build{Created: built.Add(2 * time.Hour), Platforms: both}, "multi")
	s.Push(server, registry.Build{Created: built, Platforms: []string{"windows/amd64"}}, "win")
	c := client(t, nil)
	r := repository(t, c, s.Host()+"/"+server, "")
	listing, err := r.List(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if listing.Complete || names(listing.Tags) != "multi v1 v2 v3 win" || s.Count("list") != 3 {
		t.Fatalf("listing %+v after %d requests", listing, s.Count("list"))
	}
	if s.Count("manifest") != 0 {
		t.Errorf("%d manifests for a list", s.Count("manifest"))
	}

	want := Wanted{Created: true, Default: "linux/amd64"}
	described, missing, err := r.Describe(t.Context(), false, listing.Tags, want)
	if err != nil {
		t.Fatal(err)
	}
	if names(described) != "multi v1 v2 v3" || described[1].Digest != digest ||
		!described[0].Created.Equal(built.Add(2*time.Hour)) || !described[3].Created.Equal(built.Add(time.Hour)) {
		t.Errorf("described %+v", described)
	}
	if len(missing) != 1 || missing[0].Why != "is built for windows/amd64, not for linux/amd64" {
		t.Errorf("missing %+v", missing)
	}
	// In the next cycle configs are known by their digest.
	blobs := s.Count("blob")
	r = repository(t, c, s.Host()+"/"+server, "")
	if _, _, err := r.Describe(t.Context(), false, listing.Tags, want); err != nil {
		t.Fatal(err)
	}
	if s.Count("blob") != blobs {
		t.Errorf("%d more configs in the second cycle", s.Count("blob")-blobs)
	}
}

func TestPlatforms(t *testing.T) {
	s := start(t)
	s.Push(server, registry.Build{Created: built, Platforms: []string{"linux/amd64", "linux/arm64/v8"}}, "both")
	s.Push(server, registry.Build{Created: built, Platforms: []string{"linux/amd64"}}, "amd")
	s.Push(server, registry.Build{Created: built, Platforms: []string{"linux/arm/v7"}}, "arm7")
	for platforms, want := range map[string]string{
		"linux/amd64":              "amd both",
		"linux/arm64":              "both",
		"linux/arm64/v8":           "both",
		"linux/arm64/v9":           "",
		"linux/arm/v7":             "arm7",
		"windows/amd64,linux/arm":  "arm7",
		"linux/arm64/v8,linux/arm": "arm7 both",
		"linux/ar":                 "",
	} {
		r := repository(t, client(t, nil), s.Host()+"/"+server, "")
		listing, err := r.List(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		wanted := Wanted{Platforms: strings.Split(platforms, ",")}
		described, missing, err := r.Describe(t.Context(), listing.Complete, listing.Tags, wanted)
		if err != nil || names(described) != want || len(described)+len(missing) != 3 {
			t.Errorf("%s: %q, want %q (%v, %+v)", platforms, names(described), want, err, missing)
		}
	}
}

func TestRetries(t *testing.T) {
	for name, c := range map[string]struct {
		answers []int // then 200
		after   string
		want    int // requests
		says    string
	}{
		"a hiccup":              {[]int{503}, "", 2, ""},
		"a limit":               {[]int{429}, "1", 2, ""},
		"trouble that lasts":    {[]int{500, 502, 503, 500, 500}, "", 4, "has trouble"},
		"a limit that lasts":    {[]int{429, 429, 429, 429, 429}, "", 4, "limits requests"},
		"a wait beyond reason":  {[]int{429, 429}, "3600", 1, "limits requests"},
		"no such repository":    {[]int{404, 404}, "", 1, "check the image's name"},
		"no credentials":        {[]int{401, 401}, "", 1, "set credentials"},
		"not allowed":           {[]int{403, 403}, "", 1, "artifactregistry.reader"},
		"what nobody thinks of": {[]int{418, 418}, "", 1, "the address of the registry's API"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := start(t)
			s.Push(server, registry.Build{Created: built}, "v1")
			answered := 0
			s.Fault = func(w http.ResponseWriter, r *http.Request) bool {
				if !strings.HasSuffix(r.URL.Path, "/tags/list") || answered >= len(c.answers) {
					return false
				}
				w.Header().Set("Retry-After", c.after)
				w.WriteHeader(c.answers[answered])
				answered++
				return true
			}
			begin := time.Now()
			r := repository(t, client(t, nil), s.Host()+"/"+server, "")
			ctx, end := r.StartClock(t.Context())
			defer end()
			_, err := r.List(ctx)
			if c.says == "" && err != nil || c.says != "" && (err == nil || !strings.Contains(err.Error(), c.says)) {
				t.Errorf("error %v, want %q", err, c.says)
			}
			if s.Count("list") != c.want {
				t.Errorf("%d requests, want %d", s.Count("list"), c.want)
			}
			if c.after == "1" && time.Since(begin) < time.Second {
				t.Error("Retry-After was not waited for")
			}
		})
	}
}

// TestTriesAreSharedByACycle holds that a registry which fails for every
// manifest gets four tries for the repository, not for each tag.
func TestTriesAreSharedByACycle(t *testing.T) {
	s := start(t)
	s.Plain = true
	var tags []string
	for i := range 20 {
		tags = append(tags, fmt.Sprintf("v%d", i))
		s.Push(server, registry.Build{Created: built.Add(time.Duration(i) * time.Minute)}, tags[i])
	}
	s.Fault = func(w http.ResponseWriter, r *http.Request) bool {
		if !strings.Contains(r.URL.Path, "/manifests/") {
			return false
		}
		w.WriteHeader(http.StatusInternalServerError)
		return true
	}
	r := repository(t, client(t, nil), s.Host()+"/"+server, "")
	listing, err := r.List(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	_, _, err = r.Describe(t.Context(), false, listing.Tags, Wanted{Created: true, Default: "linux/amd64"})
	if err == nil || !strings.Contains(err.Error(), "reading the manifest of tag v") {
		t.Errorf("error %v", err)
	}
	if n := s.Count("manifest"); n > maxConcurrentTags+maxTries-1 {
		t.Errorf("%d requests for manifests", n)
	}
}

// answer returns a handler with a body.
func answer(body string) func(http.ResponseWriter, *http.Request) {
	return func(w http.ResponseWriter, _ *http.Request) { _, _ = fmt.Fprint(w, body) }
}

func TestGarbageAndSilence(t *testing.T) {
	for name, c := range map[string]struct {
		fault func(w http.ResponseWriter, r *http.Request)
		want  string
	}{
		"a page of HTML": {answer("<html>log in</html>"), "not a registry's answer"},
		"cut short":      {answer(`{"tags":["a`), "not a registry's answer"},
		"other fields":   {answer(`{"tags":"v1"}`), "not a registry's answer"},
		"times that are none": {
			answer(`{"manifest":{"sha256:a":{"tag":["v1"],"timeCreatedMs":"soon"}}}`), "not a registry's answer",
		},
		"never":            {func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }, "did not answer"},
		"a cut connection": {func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, "registry"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := start(t)
			s.Fault = func(w http.ResponseWriter, r *http.Request) bool {
				if !strings.HasSuffix(r.URL.Path, "/tags/list") {
					return false
				}
				c.fault(w, r)
				return true
			}
			ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
			defer cancel()
			_, err := repository(t, client(t, nil), s.Host()+"/"+server, "").List(ctx)
			var failed *Error
			if !errors.As(err, &failed) || !strings.Contains(err.Error(), c.want) || failed.Remedy == "" {
				t.Errorf("error %v, want %q", err, c.want)
			}
		})
	}
}

// secretsFor reads Secrets with the credentials of a registry; auth is the form that
// Docker's configuration has.
func secretsFor(host, auth string) SecretReader {
	config := func(content string) map[string][]byte {
		return map[string][]byte{".dockerconfigjson": []byte(content)}
	}
	secrets := map[string]map[string][]byte{
		"ns/plain": {"creds": []byte("robot:s3cret\n")},
		"ns/colon": {"creds": []byte("s3cret")},
		"ns/wrong": {"creds": []byte("robot:wr0ng")},
		"ns/auth":  config(fmt.Sprintf(`{"auths":{"https://%s/v2/":{"auth":%q}}}`, host, auth)),
		"ns/user": config(fmt.Sprintf(`{"auths":{"%s":{"username":"x","password":"y"},`+
			`"%s/p":{"username":"robot","password":"s3cret"}}}`, host, host)),
		"ns/other":   config(`{"auths":{"ghcr.io":{"auth":"cm9ib3Q6czNjcmV0"}}}`),
		"ns/garbage": config(`s3cret`),
	}

	return func(_ context.Context, namespace, name string) (map[string][]byte, error) {
		if data, ok := secrets[namespace+"/"+name]; ok {
			return data, nil
		}
		return nil, fmt.Errorf("the Secret %s/%s does not exist; create it", namespace, name)
	}
}

func TestCredentials(t *testing.T) {
	s := start(t)
	s.User, s.Password = "robot", "s3cret"
	s.Push(server, registry.Build{Created: built}, "v1")
	host := s.Host()
	auth := base64.StdEncoding.EncodeToString([]byte("robot:s3cret"))
	read := secretsFor(host, auth)
	t.Setenv("ROBOT", "robot:s3cret")
	docker := t.TempDir()
	file := fmt.Appendf(nil, `{"auths":{"%s":{"auth":%q}}}`, host, auth)
	if err := os.WriteFile(filepath.Join(docker, "config.json"), file, 0o600); err != nil {
		t.Fatal(err)
	}
	for credentials, want := range map[string]string{
		"env:ROBOT":             "",
		"secret:ns/plain#creds": "",
		"pullsecret:ns/auth":    "",
		"pullsecret:ns/user":    "",
		"":                      "", // the Docker configuration
		"env:NOBODY":            "the environment variable is not set",
		"secret:ns/plain#other": `no field "other"`,
		"secret:ns/colon#creds": "no colon",
		"secret:ns/wrong#creds": "check the credentials secret:ns/wrong#creds",
		"secret:ns/none#creds":  "does not exist",
		"pullsecret:ns/other":   "no entry for",
		"pullsecret:ns/garbage": "not a Docker configuration",
		"s3cret":                "unknown kind",
	} {
		t.Setenv("DOCKER_CONFIG", docker)
		c := client(t, read)
		_, err := repository(t, c, host+"/"+server, credentials).List(t.Context())
		if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%q: %v, want %q", credentials, err, want)
		}
		for _, secret := range []string{"s3cret", "wr0ng", auth} {
			if err != nil && strings.Contains(err.Error(), secret) {
				t.Errorf("%q: the error holds credentials: %v", credentials, err)
			}
		}
	}
	t.Setenv("DOCKER_CONFIG", t.TempDir())
	_, err := repository(t, client(t, nil), host+"/"+server, "").List(t.Context())
	if err == nil || !strings.Contains(err.Error(), "set credentials for") {
		t.Errorf("anonymous: %v", err)
	}
}

// TestMain puts Google's metadata server, as a pod with Workload Identity sees
// it, around all tests: the library asks for it once in a process.
func TestMain(m *testing.M) {
	metadata := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Metadata-Flavor", "Google")
		if strings.HasSuffix(r.URL.Path, "/token") {
			w.Header().Set("Content-Type", "application/json")
			_, _ = fmt.Fprint(w, `{"access_token":"ya29.workload","expires_in":3600,"token_type":"Bearer"}`)
		}
	}))
	for name, value := range map[string]string{
		"GCE_METADATA_HOST":              strings.TrimPrefix(metadata.URL, "http://"),
		"GOOGLE_APPLICATION_CREDENTIALS": "",
		"HOME":                           os.DevNull,
		"DOCKER_CONFIG":                  os.DevNull,
	} {
		if err := os.Setenv(name, value); err != nil {
			panic(err)
		}
	}
	os.Exit(m.Run())
}

func TestTLS(t *testing.T) {
	inner := start(t)
	inner.Push(server, registry.Build{Created: built}, "v1")
	s := httptest.NewTLSServer(inner)
	t.Cleanup(s.Close)
	ca := filepath.Join(t.TempDir(), "ca.pem")
	certificate := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw})
	if err := os.WriteFile(ca, certificate, 0o600); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		registry Registry
		want     string
	}{
		"unknown":  {Registry{}, "certificate"},
		"caFile":   {Registry{CAFile: ca}, ""},
		"insecure": {Registry{Insecure: true}, ""},
	} {
		c.registry.Prefix, c.registry.APIURL = "r.example.com", s.URL
		_, err := repository(t, client(t, nil, c.registry), "r.example.com/"+server, "").List(t.Context())
		if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := New([]Registry{{Prefix: "r", CAFile: "/none"}}, nil, nil, "test"); err == nil {
		t.Error("a CA file that is not there is accepted")
	}
}

func TestTheLongestPrefixCounts(t *testing.T) {
	a, b := start(t), start(t)
	a.Push(server, registry.Build{Created: built}, "a")
	b.Push(server, registry.Build{Created: built}, "b")
	c := client(t, nil, Registry{Prefix: "r.example.com", APIURL: a.URL},
		Registry{Prefix: "r.example.com/p/backend", APIURL: b.URL})
	listing, err := repository(t, c, "r.example.com/"+server, "").List(t.Context())
	if err != nil || names(listing.Tags) != "b" {
		t.Errorf("%q, %v", names(listing.Tags), err)
	}
}
