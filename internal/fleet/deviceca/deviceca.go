// Package deviceca is the certificate authority of one environment's devices. It creates a root certificate on first
// use and issues client certificates whose common name is a registration id.
//
// It enrolls nothing and is separate from the emulator's authority, which signs server certificates. To prove
// possession of the root to a cloud, issue a certificate whose common name is the verification code.
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

// Lifetimes. Environments are ephemeral; a device that outlives its certificate gets another one.
const (
	rootLife = 5 * 365 * 24 * time.Hour
	LeafLife = 180 * 24 * time.Hour
)

// Authority signs the certificates of devices.
type Authority struct {
	root authority.Pair
}

// Open reads the authority in a folder. If none exists, it creates the folder and a new authority, whose key file only
// the owner can read.
func Open(dir string, now time.Time) (*Authority, error) {
	root, err := read(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return create(dir, now)
	}
	if err != nil {
		return nil, hint.To(fmt.Errorf("read the authority of devices in %s: %w", dir, err),
			"restore %s and %s from a backup, or delete that folder to create a new authority, which must then be "+
				"enrolled",
			CertFile, KeyFile)
	}
	if err := root.CheckNotExpired(now); err != nil {
		return nil, hint.To(fmt.Errorf("read the authority of devices in %s: %w", dir, err),
			"delete that folder to create a new authority, which must then be enrolled")
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
		return nil, fmt.Errorf("the authority of devices in %s has no key file %s: restore the file, or delete the "+
			"folder to create a new authority", dir, KeyFile)
	}
	root, err := authority.NewRoot(x509.Certificate{
		Subject:   pkix.Name{CommonName: "evenkeel devices " + authority.NewSerial().Text(36)[:8]},
		NotBefore: now.Add(-authority.Backdate), NotAfter: now.Add(rootLife), BasicConstraintsValid: true, IsCA: true,
		KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
	})
	if err != nil {
		return nil, fmt.Errorf("create the devices' authority: %w", err)
	}
	err = durable.OS.MkdirAll(dir, 0o700)
	if err == nil {
		err = root.Write(durable.OS, dir)
	}
	if err != nil {
		return nil, fmt.Errorf("store the devices' authority: %w", err)
	}
	return &Authority{root}, nil
}

// PEM returns the root certificate, which is not secret.
func (a *Authority) PEM() []byte { return a.root.PEM() }

// Issue creates a client certificate and its key. The common name is a registration id or a verification code. The
// chain is PEM: the leaf certificate, then the root, as clients present them.
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
