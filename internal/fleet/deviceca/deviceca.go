// Package deviceca is the certificate authority of one environment's devices: it makes a root when first asked, and client
// certificates that bear a registration id.
//
// It enrolls nothing and is no part of the emulator, whose own authority signs servers. What proves possession of the root to a cloud
// is a leaf that bears a verification code, which Issue makes as it makes any other.
package deviceca

import (
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"evenkeel/internal/authority"
	"evenkeel/internal/durable"
	"evenkeel/internal/hint"
)

// File names in the authority's folder.
const (
	CertFile = authority.CertFile
	KeyFile  = authority.KeyFile
)

// Lifetimes. Environments are ephemeral; a device that outlives its certificate is given another.
const (
	rootLife = 5 * 365 * 24 * time.Hour
	LeafLife = 180 * 24 * time.Hour
)

// Authority signs certificates of devices.
type Authority struct {
	root authority.Pair
}

// Open reads the authority of a folder, which it makes, with the folder, when there is none: the key is readable by its owner only.
func Open(dir string, now time.Time) (*Authority, error) {
	root, err := read(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return create(dir, now)
	}
	if err != nil {
		return nil, hint.To(fmt.Errorf("read the authority of devices in %s: %w", dir, err),
			"put %s and %s back from a copy, or remove that folder for a new authority, which must then be enrolled",
			CertFile, KeyFile)
	}
	if err := root.CheckNotEnded(now); err != nil {
		return nil, hint.To(fmt.Errorf("read the authority of devices in %s: %w", dir, err),
			"remove that folder for a new authority, which must then be enrolled")
	}
	return &Authority{root}, nil
}

func read(dir string) (authority.Pair, error) {
	certificate, err := os.ReadFile(filepath.Join(dir, CertFile))
	if err != nil {
		return authority.Pair{}, err
	}
	key, err := os.ReadFile(filepath.Join(dir, KeyFile))
	if err != nil {
		return authority.Pair{}, err
	}
	return authority.Parse(certificate, key)
}

func create(dir string, now time.Time) (*Authority, error) {
	if exists(filepath.Join(dir, CertFile)) {
		return nil, fmt.Errorf("the authority of devices in %s has lost its key %s: put it back, or remove the folder to have a new one made", dir, KeyFile)
	}
	root, err := authority.NewRoot(x509.Certificate{
		Subject:   pkix.Name{CommonName: "evenkeel devices " + authority.NewSerial().Text(36)[:8]},
		NotBefore: now.Add(-authority.Backdate), NotAfter: now.Add(rootLife), BasicConstraintsValid: true, IsCA: true,
		KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
	})
	if err != nil {
		return nil, fmt.Errorf("make the devices' authority: %w", err)
	}
	err = durable.OS.MkdirAll(dir, 0o700)
	if err == nil {
		err = root.Write(durable.OS, dir)
	}
	if err != nil {
		return nil, fmt.Errorf("keep the devices' authority: %w", err)
	}
	return &Authority{root}, nil
}

// PEM returns the root certificate; it is no secret.
func (a *Authority) PEM() []byte { return a.root.PEM() }

// Issue makes a client certificate with the common name given, a registration id or a verification code, and its key. The first text
// holds the leaf and then the root, as clients present them.
func (a *Authority) Issue(commonName string, now time.Time) (chain, key []byte, err error) {
	leaf, err := a.root.Issue(x509.Certificate{
		Subject:   pkix.Name{CommonName: commonName},
		NotBefore: now.Add(-authority.Backdate), NotAfter: now.Add(LeafLife), BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	})
	if err != nil {
		return nil, nil, fmt.Errorf("issue a certificate for %q: %w", commonName, err)
	}
	if key, err = leaf.KeyPEM(); err != nil {
		return nil, nil, err
	}
	return append(leaf.PEM(), a.PEM()...), key, nil
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}
