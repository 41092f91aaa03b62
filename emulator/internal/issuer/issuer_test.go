package issuer_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"log/slog"
	"os"
	"path/filepath"
	"testing"
	"time"

	"evenkeel/emulator/internal/issuer"
	"evenkeel/internal/durable"
)

func publicKey(t *testing.T) *ecdsa.PublicKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return &key.PublicKey
}

func issue(t *testing.T, a *issuer.Authority, device string, lifetime time.Duration) []*x509.Certificate {
	t.Helper()
	chain, err := a.Issue(publicKey(t), device, lifetime)
	if err != nil {
		t.Fatal(err)
	}
	var out []*x509.Certificate
	for _, der := range chain {
		certificate, err := x509.ParseCertificate(der)
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, certificate)
	}
	return out
}

// verify checks the leaf against the root of its chain.
func verify(chain []*x509.Certificate, at time.Time) error {
	o := x509.VerifyOptions{Roots: x509.NewCertPool(), Intermediates: x509.NewCertPool(), CurrentTime: at,
		KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}}
	o.Roots.AddCert(chain[len(chain)-1])
	for _, certificate := range chain[1 : len(chain)-1] {
		o.Intermediates.AddCert(certificate)
	}
	_, err := chain[0].Verify(o)
	return err
}

func TestAChainIsLeafIssuingRoot(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 5, 4, 3, 2, 1, 0, time.UTC)
	a, err := issuer.New(func() time.Time { return now })
	if err != nil {
		t.Fatal(err)
	}
	key := publicKey(t)
	der, err := a.Issue(key, "Device-1", 30*24*time.Hour)
	if err != nil || len(der) != 3 {
		t.Fatalf("got %d certificates, %v, want 3", len(der), err)
	}
	chain := issue(t, a, "Device-1", 30*24*time.Hour)
	leaf, issuing, root := chain[0], chain[1], chain[2]
	if err := verify(chain, now); err != nil {
		t.Errorf("verify the chain: %v", err)
	}
	if leaf.Subject.String() != "CN=Device-1" || leaf.IsCA || leaf.NotAfter != now.Add(30*24*time.Hour) {
		t.Errorf("got the leaf %s, CA %v, until %s", leaf.Subject, leaf.IsCA, leaf.NotAfter)
	}
	if leaf.SignatureAlgorithm != x509.ECDSAWithSHA384 || issuing.SignatureAlgorithm != x509.ECDSAWithSHA384 {
		t.Errorf("got signatures %s and %s, want SHA-384", leaf.SignatureAlgorithm, issuing.SignatureAlgorithm)
	}
	if !issuing.Equal(a.Certificate()) || !issuing.IsCA || !issuing.MaxPathLenZero || !root.IsCA {
		t.Errorf("got the issuing CA %s and the root %s", issuing.Subject, root.Subject)
	}
	first, err := x509.ParseCertificate(der[0])
	if err != nil || !key.Equal(first.PublicKey) {
		t.Errorf("got a certificate of another key, %v", err)
	}
	if first.SerialNumber.Cmp(leaf.SerialNumber) == 0 {
		t.Error("got the same serial number twice")
	}
}

func TestNoCertificateOutlivesItsIssuer(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 5, 4, 3, 2, 1, 0, time.UTC)
	a, err := issuer.New(func() time.Time { return now })
	if err != nil {
		t.Fatal(err)
	}
	end := a.Certificate().NotAfter
	now = end.Add(-time.Hour)
	if got := issue(t, a, "device-1", 24*time.Hour)[0].NotAfter; got != end {
		t.Errorf("got a certificate until %s, want the issuing CA's end %s", got, end)
	}
	now = end
	if _, err := a.Issue(publicKey(t), "device-1", time.Hour); err == nil {
		t.Error("got a certificate of an expired CA, want an error")
	}
}

func TestTheAuthorityIsKept(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	load := func(now time.Time) (*issuer.Authority, error) {
		return issuer.Load(durable.OS, dir, func() time.Time { return now }, slog.New(slog.DiscardHandler))
	}
	first, err := load(time.Now())
	if err != nil {
		t.Fatal(err)
	}
	second, err := load(time.Now())
	if err != nil {
		t.Fatal(err)
	}
	old, again := issue(t, first, "device-1", time.Hour), issue(t, second, "device-1", time.Hour)
	if !old[1].Equal(again[1]) || !old[2].Equal(again[2]) {
		t.Error("got another authority at the second start, want the same")
	}
	info, err := os.Stat(filepath.Join(dir, issuer.KeyFile))
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("got mode %v of the key, %v, want 600", info.Mode(), err)
	}
	if _, err := load(first.Certificate().NotAfter.Add(time.Hour)); err == nil {
		t.Error("got an expired authority loaded, want an error")
	}
}

// TestCertificatesOfAnotherRootAreRefused swaps the root in the file.
func TestCertificatesOfAnotherRootAreRefused(t *testing.T) {
	t.Parallel()
	dirs := []string{t.TempDir(), t.TempDir()}
	load := func(dir string) error {
		_, err := issuer.Load(durable.OS, dir, time.Now, slog.New(slog.DiscardHandler))
		return err
	}
	var texts [][]byte
	for _, dir := range dirs {
		if err := load(dir); err != nil {
			t.Fatal(err)
		}
		text, err := os.ReadFile(filepath.Join(dir, issuer.CertFile))
		if err != nil {
			t.Fatal(err)
		}
		texts = append(texts, text)
	}
	const end = "-----END CERTIFICATE-----\n"
	cut := func(text []byte) int {
		for i := range text {
			if string(text[max(0, i-len(end)):i]) == end {
				return i
			}
		}
		t.Fatal("got no certificate")
		return 0
	}
	for name, text := range map[string][]byte{
		"another root": append(texts[0][:cut(texts[0]):cut(texts[0])], texts[1][cut(texts[1]):]...),
		"no root":      texts[0][:cut(texts[0])],
	} {
		t.Run(name, func(t *testing.T) {
			if err := os.WriteFile(filepath.Join(dirs[0], issuer.CertFile), text, 0o600); err != nil {
				t.Fatal(err)
			}
			if err := load(dirs[0]); err == nil {
				t.Errorf("%s: got the authority loaded, want an error", name)
			}
		})
	}
}
