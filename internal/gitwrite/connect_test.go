package gitwrite

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"io"
	"log"
	"math/big"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/liverty-music/image-writeback/internal/sandbox/forge"
)

// reads fetches a file of the repository with credentials.
func reads(t *testing.T, url string, c Credentials) error {
	t.Helper()
	service := newService(t, Options{Credentials: func(context.Context, Access) (Credentials, error) {
		return c, nil
	}})
	r, err := service.Open(t.Context(), Access{URL: url, From: "repocreds"})
	if err != nil {
		return err
	}
	_, err = r.Read(t.Context(), []Want{wantFile("f0/k.yaml")})
	return err
}

// certificate returns a self-signed client certificate with its key.
func certificate(t *testing.T) (cert, key []byte) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), DNSNames: []string{"client"}}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &private.PublicKey, private)
	if err != nil {
		t.Fatal(err)
	}
	bytes, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}),
		pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: bytes})
}

func TestClientCertificates(t *testing.T) {
	git := startGit(t, true, 1)
	server := httptest.NewUnstartedServer(git)
	server.TLS = &tls.Config{ClientAuth: tls.RequireAnyClientCert, MinVersion: tls.VersionTLS12}
	server.Config.ErrorLog = log.New(io.Discard, "", 0)
	server.StartTLS()
	t.Cleanup(server.Close)
	url := server.URL + "/" + repo + ".git"
	cert, key := certificate(t)
	_, otherKey := certificate(t)
	ca := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})
	for name, c := range map[string]struct {
		credentials Credentials
		want        string // empty: it works
	}{
		"with the server's authority": {Credentials{TLSClientCert: cert, TLSClientKey: key, CA: ca}, ""},
		"without verifying": {Credentials{TLSClientCert: cert, TLSClientKey: key, Insecure: true},
			""},
		"an authority that is not known": {Credentials{TLSClientCert: cert, TLSClientKey: key}, "certificate"},
		"no certificate":                 {Credentials{CA: ca}, "certificate required"},
		"a certificate that is none": {Credentials{TLSClientCert: []byte("s3cret"), TLSClientKey: key},
			"are not a certificate and its key in PEM"},
		"an authority that cannot be read": {Credentials{CA: []byte("s3cret")}, "argocd-tls-certs-cm"},
		"a key that belongs to another one": {Credentials{TLSClientCert: cert, TLSClientKey: otherKey},
			"are not a certificate and its key"},
	} {
		err := reads(t, url, c.credentials)
		if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) ||
			err != nil && strings.Contains(err.Error(), "s3cret") {
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
	}
}

func TestProxy(t *testing.T) {
	git := startGit(t, true, 1)
	var through atomic.Int32
	proxy := httptest.NewServer(&httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) {
		through.Add(1)
		r.Out.URL, r.Out.Host = r.In.URL, r.In.Host
		r.Out.URL.Host = strings.TrimPrefix(git.URL, "http://")
	}})
	t.Cleanup(proxy.Close)
	// Only the proxy can resolve this host.
	const url = "http://git.invalid/" + repo + ".git"
	if err := reads(t, url, Credentials{Proxy: proxy.URL}); err != nil || through.Load() == 0 {
		t.Errorf("%d requests went through the proxy, %v", through.Load(), err)
	}
	before := through.Load()
	if err := reads(t, url, Credentials{Proxy: proxy.URL, NoProxy: ".invalid"}); err == nil ||
		through.Load() != before {
		t.Errorf("%d requests went through the proxy, %v", through.Load()-before, err)
	}
	if err := reads(t, url, Credentials{Proxy: "nonsense"}); err == nil ||
		!strings.Contains(err.Error(), "proxy is not a URL") {
		t.Error(err)
	}
}

func TestBearerToken(t *testing.T) {
	git := startGit(t, true, 1)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "Bearer s3cret-token" {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		git.ServeHTTP(w, r)
	}))
	t.Cleanup(server.Close)
	url := server.URL + "/" + repo + ".git"
	if err := reads(t, url, Credentials{BearerToken: "s3cret-token"}); err != nil {
		t.Error(err)
	}
	if err := reads(t, url, Credentials{BearerToken: "wr0ng-token"}); err == nil ||
		strings.Contains(err.Error(), "wr0ng") {
		t.Error(err)
	}
}

// TestAppOfASecret signs in as a GitHub App that a Secret names, at a GitHub
// that config.yaml does not know.
func TestAppOfASecret(t *testing.T) {
	git := startGit(t, true, 1)
	hub, err := forge.NewGitHub(git)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(hub.Close)
	good := Credentials{GitHubAppID: forge.AppID, GitHubInstallationID: forge.InstallationID,
		GitHubAppKey: hub.PrivateKey, GitHubURL: hub.URL}
	if err := reads(t, git.URLOf(repo), good); err != nil {
		t.Error(err)
	}
	for want, change := range map[string]func(*Credentials){
		"answered 4":                        func(c *Credentials) { c.GitHubAppID = 1 },
		"githubAppPrivateKey is not an RSA": func(c *Credentials) { c.GitHubAppKey = []byte("s3cret") },
		"it has the field githubAppID, but not githubAppIns": func(c *Credentials) { c.GitHubInstallationID = 0 },
	} {
		bad := good
		change(&bad)
		if err := reads(t, git.URLOf(repo), bad); err == nil || !strings.Contains(err.Error(), want) ||
			strings.Contains(err.Error(), "s3cret") {
			t.Errorf("%v, want %q", err, want)
		}
	}
	if err := reads(t, git.URLOf(repo), Credentials{GCPServiceAccountKey: []byte("s3cret")}); err == nil ||
		!strings.Contains(err.Error(), "gcpServiceAccountKey is not the key") {
		t.Error(err)
	}
}
