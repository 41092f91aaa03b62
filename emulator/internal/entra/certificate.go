package entra

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"time"

	"evenkeel/internal/authority"
)

// CertificateFile holds the client's own certificate with its private key in PEM. Only its owner can read it.
const CertificateFile = "client-certificate.pem"

// The certificate is valid for so long that it does not expire even if a test moves the clock.
var certificateFrom, certificateTo = time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC),
	time.Date(2100, 1, 1, 0, 0, 0, 0, time.UTC)

// newCertificate generates a certificate and its key for the client, both in one PEM text. The key is RSA, because
// MSAL supports nothing else.
func newCertificate() ([]byte, error) {
	key, err := rsa.GenerateKey(rand.Reader, keyBits)
	if err != nil {
		return nil, fmt.Errorf("make a key: %w", err)
	}
	pair, err := authority.SelfSign(x509.Certificate{
		Subject:   pkix.Name{CommonName: "evenkeel emulator client"},
		NotBefore: certificateFrom, NotAfter: certificateTo,
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}, key)
	if err != nil {
		return nil, err
	}
	keyPEM, err := pair.KeyPEM()
	return append(pair.PEM(), keyPEM...), err
}
