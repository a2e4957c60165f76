package registry

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/liverty-music/image-writeback/internal/sandbox/registry"
)

func TestGoogleCredentials(t *testing.T) {
	prefix := "asia-northeast2-docker.pkg.dev"
	list := func(password, credentials string) error {
		s := start(t)
		s.User, s.Password = "_token", password
		s.Push(server, registry.Build{Created: built}, "v1")
		c := client(t, nil, Registry{Prefix: prefix, APIURL: s.URL, Credentials: credentials})
		_, err := repository(t, c, prefix+"/"+server, "").List(t.Context())
		return err
	}
	if err := list("ya29.workload", "google"); err != nil {
		t.Errorf("Workload Identity: %v", err)
	}
	if err := list("ya29.workload", ""); err != nil {
		t.Errorf("Google's hosts without configured credentials: %v", err)
	}
	err := list("ya29.other", "google")
	if err == nil || !strings.Contains(err.Error(), "check the credentials google") ||
		strings.Contains(err.Error(), "ya29") {
		t.Errorf("a token that is refused: %v", err)
	}
	// Application Default Credentials from the key file of a service account.
	tokens := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		if r.FormValue("grant_type") == "urn:ietf:params:oauth:grant-type:jwt-bearer" {
			_, _ = fmt.Fprint(w, `{"access_token":"ya29.account","expires_in":3600,"token_type":"Bearer"}`)
		}
	}))
	t.Cleanup(tokens.Close)
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	block := &pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(key)}
	account, err := json.Marshal(map[string]string{
		"type": "service_account", "client_email": "updater@p.iam.gserviceaccount.com", "token_uri": tokens.URL,
		"private_key": string(pem.EncodeToMemory(block)),
	})
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "key.json")
	if err := os.WriteFile(file, account, 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("GOOGLE_APPLICATION_CREDENTIALS", file)
	if err := list("ya29.account", "google"); err != nil {
		t.Errorf("a service account: %v", err)
	}
	t.Setenv("GOOGLE_APPLICATION_CREDENTIALS", "/none.json")
	err = list("ya29.account", "google")
	if err == nil || !strings.Contains(err.Error(), "Google has no credentials for this process") {
		t.Errorf("no credentials: %v", err)
	}
}
