// Package authority makes certificates and what signs them: it is the one place where certificates are created.
//
// Who is certified, for how long and under which constraints is the caller's business, and so is what happens to files
// that are damaged.
package authority

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"path/filepath"
	"time"

	"evenkeel/internal/durable"
)

// Names of the files in the folder of an authority.
const (
	CertFile = "ca.pem"
	KeyFile  = "ca-key.pem"
)

// Backdate is how long before now a certificate should begin: clocks differ a little between those who make and check
// it.
const Backdate = time.Hour

// Pair is a certificate with its private key.
type Pair struct {
	Certificate *x509.Certificate
	Key         crypto.Signer
}

// NewRoot makes a key and a certificate that it signs itself. Without a serial number the template is given one.
func NewRoot(template x509.Certificate) (Pair, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return Pair{}, fmt.Errorf("make a key: %w", err)
	}
	return SelfSign(template, key)
}

// SelfSign makes a certificate for a key, signed by that key.
func SelfSign(template x509.Certificate, key crypto.Signer) (Pair, error) {
	return Pair{&template, key}.Sign(template, key)
}

// Issue makes a key and a certificate for it, signed by p. Without a serial number the template is given one.
func (p Pair) Issue(template x509.Certificate) (Pair, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return Pair{}, fmt.Errorf("make a key: %w", err)
	}
	return p.Sign(template, key)
}

// Sign makes a certificate for a key, signed by p. Without a serial number the template is given one.
func (p Pair) Sign(template x509.Certificate, key crypto.Signer) (Pair, error) {
	made, err := p.Certify(template, key.Public())
	return Pair{made, key}, err
}

// Certify makes a certificate for a public key, whose private key only its owner has, signed by p. Without a serial
// number the template is given one.
func (p Pair) Certify(template x509.Certificate, key crypto.PublicKey) (*x509.Certificate, error) {
	if template.SerialNumber == nil {
		template.SerialNumber = NewSerial()
	}
	der, err := x509.CreateCertificate(rand.Reader, &template, p.Certificate, key, p.Key)
	if err != nil {
		return nil, fmt.Errorf("make a certificate: %w", err)
	}
	made, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, fmt.Errorf("make a certificate: %w", err)
	}
	return made, nil
}

// Parse reads what PEM and KeyPEM return.
func Parse(certificate, key []byte) (Pair, error) {
	pair, err := tls.X509KeyPair(certificate, key)
	if err != nil {
		return Pair{}, err
	}
	signer, ok := pair.PrivateKey.(crypto.Signer)
	if !ok {
		return Pair{}, errors.New("its key cannot sign")
	}
	return Pair{pair.Leaf, signer}, nil
}

// CheckNotExpired returns an error when the certificate has expired.
func (p Pair) CheckNotExpired(now time.Time) error {
	if now.After(p.Certificate.NotAfter) {
		return fmt.Errorf("it expired on %s", p.Certificate.NotAfter.Format(time.DateOnly))
	}
	return nil
}

// PEM returns the certificate, which is no secret.
func (p Pair) PEM() []byte { return encode("CERTIFICATE", p.Certificate.Raw) }

// KeyPEM returns the private key.
func (p Pair) KeyPEM() ([]byte, error) {
	der, err := x509.MarshalPKCS8PrivateKey(p.Key)
	if err != nil {
		return nil, fmt.Errorf("encode a key: %w", err)
	}
	return encode("PRIVATE KEY", der), nil
}

func encode(kind string, der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})
}

// Write writes both files into a folder, the key readable by its owner only. The key is written first: a folder without
// a certificate has issued none, so an interrupted write can be repeated.
func (p Pair) Write(disk durable.Disk, dir string) error {
	key, err := p.KeyPEM()
	if err != nil {
		return err
	}
	if err := disk.WriteFile(filepath.Join(dir, KeyFile), key, 0o600); err != nil {
		return err
	}
	return disk.WriteFile(filepath.Join(dir, CertFile), p.PEM(), 0o644)
}

// NewSerial returns a random serial number of 127 bits: positive, and always of the same length.
func NewSerial() *big.Int {
	var text [16]byte
	_, _ = rand.Read(text[:]) // never fails
	serial := new(big.Int).SetBytes(text[:])
	return serial.SetBit(serial.SetBit(serial, 127, 0), 126, 1)
}
