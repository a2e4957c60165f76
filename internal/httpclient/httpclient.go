// Package httpclient makes connections to other services: transports that give up
// on a server that never answers, and pools of certificates that hold more than
// the system's. What is sent over them, and how often, is up to its users.
package httpclient

import (
	"context"
	"crypto/x509"
	"errors"
	"net/http"
	"time"
)

// NewTransport returns a transport with connections of its own. A request fails
// where the header of its answer takes longer than timeout.
func NewTransport(timeout time.Duration) *http.Transport {
	t := http.DefaultTransport.(*http.Transport).Clone()
	t.MaxIdleConnsPerHost = 4
	t.ResponseHeaderTimeout = timeout
	return t
}

// ErrNoCertificate means that there is no certificate in PEM form.
var ErrNoCertificate = errors.New("no certificate in PEM form")

// CertPool returns the certificates of the system and those in pem. The error is
// [ErrNoCertificate].
func CertPool(pem []byte) (*x509.CertPool, error) {
	pool, err := x509.SystemCertPool()
	if err != nil { // a system without any
		pool = x509.NewCertPool()
	}
	if !pool.AppendCertsFromPEM(pem) {
		return nil, ErrNoCertificate
	}
	return pool, nil
}

// Wait waits for d before a request is repeated. The error is that of ctx, if it
// ends first.
func Wait(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()

	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}
