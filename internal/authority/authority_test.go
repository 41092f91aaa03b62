package authority_test

import (
	"bytes"
	"crypto/x509"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"evenkeel/internal/authority"
	"evenkeel/internal/durable"
)

var now = time.Date(2026, 5, 4, 3, 2, 1, 0, time.UTC)

func root(t *testing.T) authority.Pair {
	t.Helper()
	made, err := authority.NewRoot(x509.Certificate{
		NotBefore: now, NotAfter: now.Add(time.Hour), IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageCertSign,
	})
	if err != nil {
		t.Fatal(err)
	}
	return made
}

func TestIssuedCertificatesAreTrustedByTheRootOnly(t *testing.T) {
	t.Parallel()
	ours := root(t)
	leaf, err := ours.Issue(x509.Certificate{NotBefore: now, NotAfter: now.Add(time.Minute)})
	if err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct {
		by    authority.Pair
		valid bool
	}{"the root": {ours, true}, "another root": {root(t), false}} {
		t.Run(name, func(t *testing.T) {
			pool := x509.NewCertPool()
			pool.AddCert(test.by.Certificate)
			_, err := leaf.Certificate.Verify(x509.VerifyOptions{Roots: pool, CurrentTime: now.Add(time.Second)})
			if (err == nil) != test.valid {
				t.Errorf("by %s: got %v, want valid %t", name, err, test.valid)
			}
		})
	}
	if leaf.Certificate.SerialNumber.Cmp(ours.Certificate.SerialNumber) == 0 {
		t.Error("got the serial number of the root, want another")
	}
}

func TestWrittenPairsAreReadAgain(t *testing.T) {
	t.Parallel()
	written, dir := root(t), t.TempDir()
	if err := written.Write(durable.OS, dir); err != nil {
		t.Fatal(err)
	}
	certificate, err := os.ReadFile(filepath.Join(dir, authority.CertFile))
	if err != nil {
		t.Fatal(err)
	}
	key, err := os.ReadFile(filepath.Join(dir, authority.KeyFile))
	if err != nil {
		t.Fatal(err)
	}
	got, err := authority.Parse(certificate, key)
	if err != nil || !got.Certificate.Equal(written.Certificate) || !bytes.Equal(got.PEM(), certificate) {
		t.Errorf("got another certificate or %v, want the one written", err)
	}
	if _, err := authority.Parse(certificate, nil); err == nil {
		t.Error("got no error without a key")
	}
	info, err := os.Stat(filepath.Join(dir, authority.KeyFile))
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("got the key's file with %v %v, want mode 600", info.Mode(), err)
	}
}

func TestCheckNotExpired(t *testing.T) {
	t.Parallel()
	p := root(t)
	if err := p.CheckNotExpired(now.Add(time.Hour)); err != nil {
		t.Errorf("at its end: got %v", err)
	}
	if err := p.CheckNotExpired(now.Add(time.Hour + time.Second)); err == nil ||
		!strings.Contains(err.Error(), "expired on 2026-05-04") {
		t.Errorf("after its end: got %v, want the day", err)
	}
}

func TestSerialNumbersArePositiveAndOfOneLength(t *testing.T) {
	t.Parallel()
	for range 64 {
		if n := authority.NewSerial(); n.Sign() != 1 || n.BitLen() != 127 {
			t.Fatalf("got %v with %d bits, want 127", n, n.BitLen())
		}
	}
}
