package dpsdevice

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"
)

// errNotIssued is the error of a service that ignored the request for a certificate.
var errNotIssued = errors.New("the service assigned a hub but issued no certificate: its enrollment may name no " +
	"certificate policy, or the service may not support certificate signing requests")

// NewCSR makes a key and a certificate signing request for Options.CSR. The key never leaves the device. It is an EC
// key on P-384, the curve that Azure documents.
func NewCSR(registrationID string) (csr []byte, key crypto.Signer, err error) {
	made, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	if err == nil {
		csr, err = x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{
			Subject: pkix.Name{CommonName: registrationID}}, made)
	}
	if err != nil {
		return nil, nil, fmt.Errorf("make a certificate signing request for %q: %w", registrationID, err)
	}
	return csr, made, nil
}

// Certificate returns the issued certificate with its chain and the key of the request, for X509. It fails if the
// service issued none, or issued it for another key.
func (r Registration) Certificate(key crypto.Signer) (tls.Certificate, error) {
	if len(r.IssuedChain) == 0 {
		return tls.Certificate{}, fmt.Errorf("use the certificate of %q: %w", r.RegistrationID, errNotIssued)
	}
	leaf, err := x509.ParseCertificate(r.IssuedChain[0])
	if err != nil {
		return tls.Certificate{}, fmt.Errorf("read the certificate issued to %q: %w", r.RegistrationID, err)
	}
	if public, is := key.Public().(interface{ Equal(crypto.PublicKey) bool }); !is || !public.Equal(leaf.PublicKey) {
		return tls.Certificate{}, fmt.Errorf("the certificate issued to %q is for another key", r.RegistrationID)
	}
	return tls.Certificate{Certificate: r.IssuedChain, PrivateKey: key, Leaf: leaf}, nil
}

// readChain decodes an issued chain: base64 of DER or, since no source settles which, of PEM.
func readChain(texts []string) ([][]byte, error) {
	var chain [][]byte
	for i, text := range texts {
		der, err := base64.StdEncoding.DecodeString(text)
		if err != nil {
			return nil, fmt.Errorf("read certificate %d of the issued chain: it is not base64", i+1)
		}
		if block, _ := pem.Decode(der); block != nil {
			der = block.Bytes
		}
		if _, err := x509.ParseCertificate(der); err != nil {
			return nil, fmt.Errorf("read certificate %d of the issued chain: %w", i+1, err)
		}
		chain = append(chain, der)
	}
	return chain, nil
}
