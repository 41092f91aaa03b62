package deviceca_test

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"evenkeel/internal/fleet/deviceca"
)

var now = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

func open(t *testing.T, dir string, at time.Time) *deviceca.Authority {
	t.Helper()
	a, err := deviceca.Open(dir, at)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func TestADevicesCertificateHasItsNameAndChainsToTheRoot(t *testing.T) {
	t.Parallel()
	a := open(t, t.TempDir(), now)
	chain, key, err := a.Issue("device-1", now)
	if err != nil {
		t.Fatal(err)
	}
	pair, err := tls.X509KeyPair(chain, key)
	if err != nil {
		t.Fatal(err)
	}
	if got := pair.Leaf.Subject.CommonName; got != "device-1" || len(pair.Certificate) != 2 {
		t.Errorf("got common name %q and %d certificates, want device-1, the leaf and the root", got,
			len(pair.Certificate))
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(a.PEM())
	for at, valid := range map[time.Duration]bool{0: true, -time.Minute: true, deviceca.LeafLife + time.Minute: false} {
		t.Run(fmt.Sprint(at), func(t *testing.T) {
			_, err := pair.Leaf.Verify(x509.VerifyOptions{Roots: roots, CurrentTime: now.Add(at),
				KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}})
			if (err == nil) != valid {
				t.Errorf("%s after it was made: got %v, want valid %v", at, err, valid)
			}
		})
	}
}

func TestTheAuthorityIsCreatedOnceAndItsKeyIsPrivate(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "authority")
	first := string(open(t, dir, now).PEM())
	if again := string(open(t, dir, now).PEM()); again != first {
		t.Error("got another root the second time, want the same")
	}
	if other := string(open(t, t.TempDir(), now).PEM()); other == first {
		t.Error("got the same root in another folder, want its own")
	}
	info, err := os.Stat(filepath.Join(dir, deviceca.KeyFile))
	if err != nil {
		t.Fatal(err)
	}
	if got := info.Mode().Perm(); got != 0o600 {
		t.Errorf("got key with mode %o, want 600", got)
	}
}

func TestADamagedAuthorityIsReportedAndNotReplaced(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		spoil func(dir string) error
		at    time.Time
		want  string
	}{
		"no key": {func(dir string) error { return os.Remove(filepath.Join(dir, deviceca.KeyFile)) }, now,
			"has no key file"},
		"another key": {func(dir string) error {
			return os.WriteFile(filepath.Join(dir, deviceca.KeyFile), []byte("x"), 0o600)
		}, now, "read the authority"},
		"too old": {func(string) error { return nil }, now.AddDate(6, 0, 0), "expired on 2031-"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			root := string(open(t, dir, now).PEM())
			if err := c.spoil(dir); err != nil {
				t.Fatal(err)
			}
			if _, err := deviceca.Open(dir, c.at); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want an error with %q", err, c.want)
			}
			if text, err := os.ReadFile(filepath.Join(dir, deviceca.CertFile)); err != nil || string(text) != root {
				t.Errorf("got another certificate, %v, want the old one untouched", err)
			}
		})
	}
}
