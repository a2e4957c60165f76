package forge

import (
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"
)

// TestTransportStaysAtTheAPI checks that no request goes elsewhere, such as by a
// redirect: it would be signed.
func TestTransportStaysAtTheAPI(t *testing.T) {
	received := 0
	stranger := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { received++ }))
	t.Cleanup(stranger.Close)
	forge := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/away" {
			http.Redirect(w, r, stranger.URL, http.StatusFound)
		}
	}))
	t.Cleanup(forge.Close)

	api, err := url.Parse(forge.URL + "/api/")
	if err != nil {
		t.Fatal(err)
	}
	client := &http.Client{Transport: NewTransport(api, nil)}
	for path, want := range map[string]string{
		forge.URL + "/here": "",
		forge.URL + "/away": "which does not get its credentials",
		stranger.URL:        "which does not get its credentials",
		"https://" + strings.TrimPrefix(forge.URL, "http://"): "which does not get its credentials",
	} {
		response, err := client.Get(path)
		if err == nil {
			_ = response.Body.Close()
		}
		if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%s: %v, want %q", path, err, want)
		}
	}
	if received > 0 {
		t.Errorf("the stranger received %d requests", received)
	}
}

// TestAnswersAreLimited holds that an answer has a size and a time, and that of one that
// is an error only the beginning is read.
func TestAnswersAreLimited(t *testing.T) {
	gone := make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/endless", "/refused":
			if r.URL.Path == "/refused" {
				w.WriteHeader(http.StatusForbidden)
			}
			for chunk := make([]byte, 1<<16); ; {
				if _, err := w.Write(chunk); err != nil {
					return
				}
			}
		case "/slow":
			_ = http.NewResponseController(w).Flush()
			<-gone
		default:
			_, _ = w.Write(make([]byte, maxAnswer))
		}
	}))
	t.Cleanup(server.Close)
	t.Cleanup(func() { close(gone) })
	api, err := url.Parse(server.URL)
	if err != nil {
		t.Fatal(err)
	}

	for path, want := range map[string]struct {
		bytes int
		err   string
	}{
		"/":        {maxAnswer, ""},
		"/endless": {0, "the answer is larger than 8 MiB"},
		"/refused": {maxRefusal, ""},
		"/slow":    {0, "context deadline exceeded"},
	} {
		timeout := requestTimeout
		if path == "/slow" {
			timeout = 10 * time.Millisecond
		}
		client := &http.Client{Transport: &apiTransport{
			scheme: api.Scheme, host: api.Host, timeout: timeout, base: http.DefaultTransport,
		}}
		response, err := client.Get(server.URL + path)
		var body []byte
		if err == nil {
			body, err = io.ReadAll(response.Body)
			_ = response.Body.Close()
		}
		if len(body) != want.bytes || (err == nil) != (want.err == "") ||
			err != nil && !strings.Contains(err.Error(), want.err) {
			t.Errorf("%s: %d bytes, %v; want %d, %q", path, len(body), err, want.bytes, want.err)
		}
	}
}
