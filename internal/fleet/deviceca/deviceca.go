// Package deviceca is the certificate authority of one environment's devices. It creates a root certificate on first use
// and issues client certificates whose common name is a registration id.
//
// It enrolls nothing and is separate from the emulator's authority, which signs server certificates. To prove possession
// of the root to a cloud, issue a certificate whose common name is the verification code.
package deviceca

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"math/big"
	"os"
	"path/filepath"
	"time"

	"evenkeel/internal/durable"
	"evenkeel/internal/hint"
)

// File names in the authority's folder.
const (
	CertFile = "ca.pem"
	KeyFile  = "ca-key.pem"
)

// Lifetimes. Environments are ephemeral; a device that outlives its certificate gets another one.
const (
	rootLife = 5 * 365 * 24 * time.Hour
	LeafLife = 180 * 24 * time.Hour
	// backdate tolerates a small clock difference between this machine and the cloud.
	backdate = time.Hour
)

// Authority signs the certificates of devices.
type Authority struct {
	root *x509.Certificate
	key  crypto.Signer
}

// Open reads the authority in a folder. If none exists, it creates the folder and a new authority, whose key file only
// the owner can read.
func Open(dir string, now time.Time) (*Authority, error) {
	pair, err := tls.LoadX509KeyPair(filepath.Join(dir, CertFile), filepath.Join(dir, KeyFile))
	if errors.Is(err, fs.ErrNotExist) {
		return create(dir, now)
	}
	if err != nil {
		return nil, hint.To(fmt.Errorf("read the authority of devices in %s: %w", dir, err),
			"restore %s and %s from a backup, or delete that folder to create a new authority, which must then be enrolled",
			CertFile, KeyFile)
	}
	key, ok := pair.PrivateKey.(crypto.Signer)
	if !ok {
		return nil, fmt.Errorf("read the authority of devices in %s: its key cannot sign", dir)
	}
	if now.After(pair.Leaf.NotAfter) {
		return nil, fmt.Errorf("the authority of devices in %s expired on %s: delete that folder to create a new one",
			dir, pair.Leaf.NotAfter.Format(time.DateOnly))
	}
	return &Authority{pair.Leaf, key}, nil
}

func create(dir string, now time.Time) (*Authority, error) {
	if exists(filepath.Join(dir, CertFile)) {
		return nil, fmt.Errorf("the authority of devices in %s has no key file %s: restore the file, or delete the folder to create a new authority", dir, KeyFile)
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("generate the key of the devices' authority: %w", err)
	}
	template := &x509.Certificate{
		SerialNumber: serial(), Subject: pkix.Name{CommonName: "evenkeel devices " + serial().Text(36)[:8]},
		NotBefore: now.Add(-backdate), NotAfter: now.Add(rootLife), BasicConstraintsValid: true, IsCA: true,
		KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return nil, fmt.Errorf("create the devices' authority: %w", err)
	}
	root, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, fmt.Errorf("create the devices' authority: %w", err)
	}
	a := &Authority{root, key}
	keyPEM, err := encodeKey(key)
	if err == nil {
		err = durable.OS.MkdirAll(dir, 0o700)
	}
	// Write the key first: Open creates both files again as long as there is no certificate.
	if err == nil {
		err = durable.OS.WriteFile(filepath.Join(dir, KeyFile), keyPEM, 0o600)
	}
	if err == nil {
		err = durable.OS.WriteFile(filepath.Join(dir, CertFile), a.PEM(), 0o644)
	}
	if err != nil {
		return nil, fmt.Errorf("store the devices' authority: %w", err)
	}
	return a, nil
}

// PEM returns the root certificate, which is not secret.
func (a *Authority) PEM() []byte { return encode("CERTIFICATE", a.root.Raw) }

// Issue creates a client certificate and its key. The common name is a registration id or a verification code. The chain
// is PEM: the leaf certificate, then the root, as clients present them.
func (a *Authority) Issue(commonName string, now time.Time) (chain, key []byte, err error) {
	own, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, nil, fmt.Errorf("generate a key for %q: %w", commonName, err)
	}
	template := &x509.Certificate{
		SerialNumber: serial(), Subject: pkix.Name{CommonName: commonName}, NotBefore: now.Add(-backdate), NotAfter: now.Add(LeafLife),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, a.root, own.Public(), a.key)
	if err != nil {
		return nil, nil, fmt.Errorf("create a certificate for %q: %w", commonName, err)
	}
	if key, err = encodeKey(own); err != nil {
		return nil, nil, err
	}
	return append(encode("CERTIFICATE", der), a.PEM()...), key, nil
}

func encodeKey(key crypto.Signer) ([]byte, error) {
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, fmt.Errorf("encode a key: %w", err)
	}
	return encode("PRIVATE KEY", der), nil
}

func encode(kind string, der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})
}

// serial returns a random positive number of 126 bits.
func serial() *big.Int {
	var text [16]byte
	_, _ = rand.Read(text[:]) // never fails
	text[0] = text[0]&0x3f | 0x20
	return new(big.Int).SetBytes(text[:])
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}
