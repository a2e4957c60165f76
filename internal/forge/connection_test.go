package forge

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
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
