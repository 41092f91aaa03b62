// Package issuer is the certificate authority that signs the certificates of devices that register with a certificate
// signing request: a root, and an issuing authority under it, as a namespace of Azure Device Registry has them.
//
// It knows neither requests nor enrollments, and certifies whatever key and name its caller has checked. Server
// certificates are localca's.
//
// Sources: "Device certificate issuance in Azure Device Registry" (ECC, P-384, SHA-384), and the resources
// certificateAuthorities and certificatePolicies of Microsoft.DeviceRegistry 2026-11-01 (a root of 10 years, an issuing
// authority of 5, certificates of 30 days). Fidelity: there is one authority for all namespaces and policies.
package issuer

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"path/filepath"
	"time"

	"evenkeel/internal/authority"
	"evenkeel/internal/durable"
	"evenkeel/internal/hint"
)

// File names in the data folder. CertFile has the certificate of the issuing authority and, after it, the root's.
const (
	CertFile = "issuing-ca.pem"
	KeyFile  = "issuing-ca-key.pem"
)

// DefaultLifetime is how long certificates of devices are valid: Azure's policies allow 7 to 90 days.
const DefaultLifetime = 30 * 24 * time.Hour

const (
	rootLife    = 10 * 365 * 24 * time.Hour
	issuingLife = 5 * 365 * 24 * time.Hour
)

// Authority signs certificates of devices. Its methods may be called concurrently.
type Authority struct {
	issuing authority.Pair
	root    *x509.Certificate
	now     func() time.Time
}

// New returns an authority in memory. now is the clock of the emulated cloud, by which hubs check certificates.
func New(now func() time.Time) (*Authority, error) {
	root, err := newPair("evenkeel local devices root", now().Add(rootLife), now, nil)
	if err != nil {
		return nil, fmt.Errorf("create the root of devices' certificates: %w", err)
	}
	// The key of the root is dropped here: it has nothing more to sign.
	issuing, err := newPair("evenkeel local devices issuing CA", now().Add(issuingLife), now, &root)
	if err != nil {
		return nil, fmt.Errorf("create the issuing CA of devices' certificates: %w", err)
	}
	return &Authority{issuing, root.Certificate, now}, nil
}

// newPair creates an authority that parent signs, or that signs itself.
func newPair(name string, until time.Time, now func() time.Time, parent *authority.Pair) (authority.Pair, error) {
	key, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	if err != nil {
		return authority.Pair{}, fmt.Errorf("generate a key: %w", err)
	}
	serial := authority.NewSerial()
	template := x509.Certificate{
		SerialNumber: serial,
		// The number distinguishes the authorities of several emulators.
		Subject: pkix.Name{CommonName: name + " " + serial.Text(16)[:8],
			Organization: []string{"evenkeel"}},
		NotBefore:             now().Add(-authority.Backdate),
		NotAfter:              until,
		KeyUsage:              x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
		BasicConstraintsValid: true,
		IsCA:                  true,
	}
	if parent == nil {
		template.MaxPathLen = 1
		return authority.SelfSign(template, key)
	}
	template.MaxPathLenZero = true
	return parent.Sign(template, key)
}

// Load reads the authority from dir, or creates it at the first start, with a key that only its owner can read. If a
// power failure left the files empty, the authority is created again, with a warning. If they are damaged otherwise
// they are not changed, because devices hold certificates of it.
func Load(disk durable.Disk, dir string, now func() time.Time, logger *slog.Logger) (*Authority, error) {
	certPEM, certErr := disk.ReadFile(filepath.Join(dir, CertFile))
	keyPEM, keyErr := disk.ReadFile(filepath.Join(dir, KeyFile))
	for _, err := range []error{certErr, keyErr} {
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, fmt.Errorf("read the CA of devices' certificates: %w", err)
		}
	}
	if certErr != nil || durable.IsBlank(certPEM) && durable.IsBlank(keyPEM) {
		if certErr == nil || keyErr == nil {
			logger.Warn("the CA of devices' certificates is recreated because its files are empty or missing: devices "+
				"must register again to get new certificates", "file", filepath.Join(dir, CertFile))
		}
		return create(disk, dir, now)
	}
	a, err := read(certPEM, keyPEM, now)
	if err != nil {
		return nil, hint.To(
			fmt.Errorf("read the CA of devices' certificates, %s and %s in %s: %w", CertFile, KeyFile, dir, err),
			"restore both files from a backup, or remove both to get a new CA; devices must then register again")
	}
	return a, nil
}

func read(certPEM, keyPEM []byte, now func() time.Time) (*Authority, error) {
	issuing, err := authority.Parse(certPEM, keyPEM)
	if err == nil {
		err = issuing.CheckNotExpired(now())
	}
	if err != nil {
		return nil, err
	}
	_, rest := pem.Decode(certPEM)
	block, _ := pem.Decode(rest)
	if block == nil {
		return nil, errors.New("the root's certificate is missing after the first one")
	}
	root, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		return nil, fmt.Errorf("the root's certificate: %w", err)
	}
	if err := issuing.Certificate.CheckSignatureFrom(root); err != nil {
		return nil, fmt.Errorf("the second certificate did not sign the first one: %w", err)
	}
	return &Authority{issuing, root, now}, nil
}

// create creates an authority and writes it. The certificates are written last, because Load checks for them.
func create(disk durable.Disk, dir string, now func() time.Time) (*Authority, error) {
	a, err := New(now)
	if err != nil {
		return nil, err
	}
	key, err := a.issuing.KeyPEM()
	if err == nil {
		err = disk.WriteFile(filepath.Join(dir, KeyFile), key, 0o600)
	}
	if err == nil {
		chain := append(bytes.Clone(a.issuing.PEM()), authority.Pair{Certificate: a.root}.PEM()...)
		err = disk.WriteFile(filepath.Join(dir, CertFile), chain, 0o644)
	}
	if err != nil {
		return nil, fmt.Errorf("create the CA of devices' certificates: %w", err)
	}
	return a, nil
}

// Certificate returns the certificate of the issuing authority, which hubs trust.
func (a *Authority) Certificate() *x509.Certificate { return a.issuing.Certificate }

// Issue signs a certificate for a device's public key and returns its chain in DER: the device's, the issuing
// authority's, the root's. The certificate does not outlive the authority's.
func (a *Authority) Issue(key crypto.PublicKey, device string, lifetime time.Duration) ([][]byte, error) {
	now := a.now()
	until := now.Add(lifetime)
	if end := a.issuing.Certificate.NotAfter; until.After(end) {
		until = end
	}
	if !now.Before(until) {
		return nil, fmt.Errorf("issue a certificate for %q: the issuing CA has expired", device)
	}
	leaf, err := a.issuing.Certify(x509.Certificate{
		Subject:               pkix.Name{CommonName: device},
		NotBefore:             now.Add(-authority.Backdate),
		NotAfter:              until,
		KeyUsage:              x509.KeyUsageDigitalSignature,
		ExtKeyUsage:           []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
		BasicConstraintsValid: true,
	}, key)
	if err != nil {
		return nil, fmt.Errorf("issue a certificate for %q: %w", device, err)
	}
	return [][]byte{leaf.Raw, a.issuing.Certificate.Raw, a.root.Raw}, nil
}
