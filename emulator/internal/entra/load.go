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

// Load reads the client's secret, its certificate and the signing key from dir, and generates them at the first
// start, so that tokens stay valid after a restart. A file that a power failure left empty is generated again, with a
// warning. A file that is damaged otherwise is an error if clients use it, and is generated again if only the
// emulator does.
func Load(disk durable.Disk, dir string, now func() time.Time, logger *slog.Logger) (*Authority, error) {
	l := loader{disk, dir, logger}
	secret, err := l.file(SecretFile, "clients need the new secret", newSecretFile)
	if err != nil {
		return nil, err
	}
	text := strings.TrimSpace(string(secret))
	if raw, err := base64.RawURLEncoding.DecodeString(text); err != nil || len(raw) != secretBytes {
		return nil, l.damaged(SecretFile, errors.New("not a client secret of the emulator"))
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

// file reads a file, or generates it. The warning contains the consequence of generating it again.
func (l loader) file(name, follows string, content func() ([]byte, error)) ([]byte, error) {
	data, again, err := l.disk.ReadOrCreate(l.path(name), 0o600, content)
	if err != nil {
		return nil, fmt.Errorf("read or create the client's credentials: %w", err)
	}
	if again {
		l.logger.Warn("an empty file is recreated: "+follows, "file", l.path(name))
	}
	return data, nil
}

// damaged is the error for a file that clients use.
func (l loader) damaged(name string, cause error) error {
	return hint.To(fmt.Errorf("read %s: %w", l.path(name), cause),
		"restore the file from a backup, or remove it to get a new one, which clients must then use")
}

// key reads the key that signs tokens, or generates it. Only the emulator uses it, and tokens are valid for an hour.
func (l loader) key() (*rsa.PrivateKey, error) {
	text, err := l.file(KeyFile, "tokens issued before are refused", newKey)
	if err != nil {
		return nil, err
	}
	if key, err := jwt.ParseRSAPrivateKeyFromPEM(text); err == nil {
		return key, nil
	}
	l.logger.Warn("a damaged file is recreated: tokens issued before are refused", "file",
		l.path(KeyFile))
	if text, err = newKey(); err == nil {
		err = l.disk.WriteFile(l.path(KeyFile), text, 0o600)
	}
	if err != nil {
		return nil, fmt.Errorf("generate the token key: %w", err)
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
