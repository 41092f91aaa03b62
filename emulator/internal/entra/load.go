package entra

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"strings"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"evenkeel/internal/durable"
	"evenkeel/internal/hint"
)

// Load reads the client's secret, its certificate and the signing key from dir, and makes them there at the first
// start, so that tokens stay valid over a restart. A file that a loss of power left blank holds nothing that could be
// kept: it is made again, and the logger warned. What is damaged otherwise is left alone where clients have it, and
// made again where only the emulator does.
func Load(disk durable.Disk, dir string, now func() time.Time, logger *slog.Logger) (*Authority, error) {
	l := loader{disk, dir, logger}
	secret, err := l.file(SecretFile, "clients need the new secret", newSecretFile)
	if err != nil {
		return nil, err
	}
	text := strings.TrimSpace(string(secret))
	if raw, err := base64.RawURLEncoding.DecodeString(text); err != nil || len(raw) != secretBytes {
		return nil, l.damaged(SecretFile, errors.New("it is not a secret that the emulator made"))
	}
	key, err := l.key()
	if err != nil {
		return nil, err
	}
	certificate, err := l.file(CertificateFile, "clients need the new certificate", newCertificate)
	if err != nil {
		return nil, err
	}
	a := fromParts(key, text, now)
	pair, err := tls.X509KeyPair(certificate, certificate)
	if err != nil {
		return nil, l.damaged(CertificateFile, err)
	}
	a.TrustCertificate(pair.Leaf)
	return a, nil
}

// loader reads the files of a data folder.
type loader struct {
	disk   durable.Disk
	dir    string
	logger *slog.Logger
}

func (l loader) path(name string) string { return filepath.Join(l.dir, name) }

// file reads a file, or makes it; what follows from making it again is told.
func (l loader) file(name, follows string, content func() ([]byte, error)) ([]byte, error) {
	data, again, err := l.disk.ReadOrMake(l.path(name), 0o600, content)
	if err != nil {
		return nil, fmt.Errorf("read or make the client's credentials: %w", err)
	}
	if again {
		l.logger.Warn("a file is recreated, because it was empty: "+follows, "file", l.path(name))
	}
	return data, nil
}

// damaged is the error of a file that clients have.
func (l loader) damaged(name string, cause error) error {
	return hint.To(fmt.Errorf("read %s: %w", l.path(name), cause),
		"put the file back from a copy, or remove it for a new one, which clients must then use")
}

// key reads the key that tokens are signed with, or makes it. Nobody but the emulator has it; tokens live for an hour.
func (l loader) key() (*rsa.PrivateKey, error) {
	text, err := l.file(KeyFile, "tokens given out before are refused", newKey)
	if err != nil {
		return nil, err
	}
	if key, err := jwt.ParseRSAPrivateKeyFromPEM(text); err == nil {
		return key, nil
	}
	l.logger.Warn("a file is recreated, because it was damaged: tokens given out before are refused", "file",
		l.path(KeyFile))
	if text, err = newKey(); err == nil {
		err = l.disk.WriteFile(l.path(KeyFile), text, 0o600)
	}
	if err != nil {
		return nil, fmt.Errorf("make the token key: %w", err)
	}
	return jwt.ParseRSAPrivateKeyFromPEM(text)
}

func newKey() ([]byte, error) {
	key, err := rsa.GenerateKey(rand.Reader, keyBits)
	if err != nil {
		return nil, fmt.Errorf("make: %w", err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(key)}), nil
}

func newSecretFile() ([]byte, error) {
	secret, err := newSecret()
	return []byte(secret + "\n"), err
}
