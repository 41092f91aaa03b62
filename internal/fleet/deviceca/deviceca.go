// Package deviceca is the certificate authority of one environment's devices: it makes a root when first asked, and client
// certificates that bear a registration id.
//
// It enrolls nothing and is no part of the emulator, whose own authority signs servers. What proves possession of the root to a cloud
// is a leaf that bears a verification code, which Issue makes as it makes any other.
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

// Lifetimes. Environments are ephemeral; a device that outlives its certificate is given another.
const (
	rootLife = 5 * 365 * 24 * time.Hour
	LeafLife = 180 * 24 * time.Hour
	// backdate covers clocks that differ a little between this machine and the cloud.
	backdate = time.Hour
)

// Authority signs certificates of devices.
type Authority struct {
	root *x509.Certificate
	key  crypto.Signer
}

// Open reads the authority of a folder, which it makes, with the folder, when there is none: the key is readable by its owner only.
func Open(dir string, now time.Time) (*Authority, error) {
	pair, err := tls.LoadX509KeyPair(filepath.Join(dir, CertFile), filepath.Join(dir, KeyFile))
	if errors.Is(err, fs.ErrNotExist) {
		return create(dir, now)
	}
	if err != nil {
		return nil, hint.To(fmt.Errorf("read the authority of devices in %s: %w", dir, err),
			"put %s and %s back from a copy, or remove that folder for a new authority, which must then be enrolled",
			CertFile, KeyFile)
	}
	key, ok := pair.PrivateKey.(crypto.Signer)
	if !ok {
		return nil, fmt.Errorf("read the authority of devices in %s: its key cannot sign", dir)
	}
	if now.After(pair.Leaf.NotAfter) {
		return nil, fmt.Errorf("the authority of devices in %s ended on %s: remove that folder to have a new one made",
			dir, pair.Leaf.NotAfter.Format(time.DateOnly))
	}
	return &Authority{pair.Leaf, key}, nil
}

func create(dir string, now time.Time) (*Authority, error) {
	if exists(filepath.Join(dir, CertFile)) {
		return nil, fmt.Errorf("the authority of devices in %s has lost its key %s: put it back, or remove the folder to have a new one made", dir, KeyFile)
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("make the key of the devices' authority: %w", err)
	}
	template := &x509.Certificate{
		SerialNumber: serial(), Subject: pkix.Name{CommonName: "evenkeel devices " + serial().Text(36)[:8]},
		NotBefore: now.Add(-backdate), NotAfter: now.Add(rootLife), BasicConstraintsValid: true, IsCA: true,
		KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return nil, fmt.Errorf("make the devices' authority: %w", err)
	}
	root, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, fmt.Errorf("make the devices' authority: %w", err)
	}
	a := &Authority{root, key}
	keyPEM, err := encodeKey(key)
	if err == nil {
		err = durable.OS.MkdirAll(dir, 0o700)
	}
	// The key first: Open makes both anew as long as there is no certificate.
	if err == nil {
		err = durable.OS.WriteFile(filepath.Join(dir, KeyFile), keyPEM, 0o600)
	}
	if err == nil {
		err = durable.OS.WriteFile(filepath.Join(dir, CertFile), a.PEM(), 0o644)
	}
	if err != nil {
		return nil, fmt.Errorf("keep the devices' authority: %w", err)
	}
	return a, nil
}

// PEM returns the root certificate; it is no secret.
func (a *Authority) PEM() []byte { return encode("CERTIFICATE", a.root.Raw) }

// Issue makes a client certificate with the common name given, a registration id or a verification code, and its key. The first text
// holds the leaf and then the root, as clients present them.
func (a *Authority) Issue(commonName string, now time.Time) (chain, key []byte, err error) {
	own, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, nil, fmt.Errorf("make a key for %q: %w", commonName, err)
	}
	template := &x509.Certificate{
		SerialNumber: serial(), Subject: pkix.Name{CommonName: commonName}, NotBefore: now.Add(-backdate), NotAfter: now.Add(LeafLife),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, a.root, own.Public(), a.key)
	if err != nil {
		return nil, nil, fmt.Errorf("make a certificate for %q: %w", commonName, err)
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

// serial is a random positive number of 126 bits.
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
