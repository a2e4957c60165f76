// Package tlsroots makes the certificate pools by which servers are verified
// that have a certificate authority of their own.
package tlsroots

import (
	"crypto/x509"
	"errors"
)

// ErrNoCertificate means that data has no certificate in PEM form.
var ErrNoCertificate = errors.New("no certificate in PEM form")

// With returns the system's certificate authorities and those in data, which is
// in PEM form. Where the system has none, those in data are all. The error is
// ErrNoCertificate.
func With(data []byte) (*x509.CertPool, error) {
	pool, err := x509.SystemCertPool()
	if err != nil {
		pool = x509.NewCertPool()
	}
	if !pool.AppendCertsFromPEM(data) {
		return nil, ErrNoCertificate
	}

	return pool, nil
}
