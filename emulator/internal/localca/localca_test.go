package localca_test

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"testing"
	"time"

	"evenkeel/emulator/internal/localca"
	"evenkeel/internal/durable"
)

func pool(t *testing.T, a *localca.Authority) *x509.CertPool {
	t.Helper()
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(a.PEM()) {
		t.Fatal("got no certificate in PEM")
	}
	return roots
}

func TestCertificatesVerifyForTheNamesTheyServe(t *testing.T) {
	t.Parallel()
	a, err := localca.New(time.Now)
	if err != nil {
		t.Fatal(err)
	}
	roots := pool(t, a)
	for server, names := range map[string][]string{
		"":                                      {"localhost", "127.0.0.1", "::1"},
		"localhost":                             {"localhost"},
		"127.0.0.1":                             {"127.0.0.1"},
		"Hub-1.Azure-Devices.NET.":              {"hub-1.azure-devices.net"},
		"global.azure-devices-provisioning.net": {"global.azure-devices-provisioning.net"},
	} {
		t.Run(fmt.Sprintf("%.60q", server), func(t *testing.T) {
			pair, err := a.Certificate(&tls.ClientHelloInfo{ServerName: server})
			if err != nil {
				t.Errorf("certificate for %q: %v", server, err)
				return
			}
			for _, name := range names {
				if _, err := pair.Leaf.Verify(x509.VerifyOptions{Roots: roots, DNSName: name}); err != nil {
					t.Errorf("certificate for %q does not verify for %s: %v", server, name, err)
				}
			}
		})
	}
}

func TestNamesOutsideTheConstraintsAreRefused(t *testing.T) {
	t.Parallel()
	a, err := localca.New(time.Now)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"example.com", "azure-devices.net", "azure-devices.net.example.com",
		"*.azure-devices.net", "xazure-devices.net"} {
		t.Run(name, func(t *testing.T) {
			if _, err := a.Certificate(&tls.ClientHelloInfo{ServerName: name}); err == nil {
				t.Errorf("got a certificate for %q, want none", name)
			}
		})
	}
}

// TestRootIsConstrained signs a certificate for another name with the root's own key, as a thief of the key would.
func TestRootIsConstrained(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	a, err := localca.Load(durable.OS, dir, time.Now, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	root, err := tls.LoadX509KeyPair(filepath.Join(dir, localca.CertFile), filepath.Join(dir, localca.KeyFile))
	if err != nil {
		t.Fatal(err)
	}
	good, err := a.Certificate(&tls.ClientHelloInfo{ServerName: "hub-1.azure-devices.net"})
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]bool{"hub-2.azure-devices.net": true, "login.microsoftonline.com": false,
		"example.com": false} {
		t.Run(name, func(t *testing.T) {
			forged := *good.Leaf
			forged.DNSNames = []string{name}
			der, err := x509.CreateCertificate(nil, &forged, root.Leaf, good.Leaf.PublicKey, root.PrivateKey)
			if err != nil {
				t.Fatal(err)
			}
			leaf, err := x509.ParseCertificate(der)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := leaf.Verify(x509.VerifyOptions{Roots: pool(t, a), DNSName: name}); (err == nil) != want {
				t.Errorf("a certificate for %s: got %v, want that it verifies: %v", name, err, want)
			}
		})
	}
}

func TestAuthorityIsKept(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	first, err := localca.Load(durable.OS, dir, time.Now, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	second, err := localca.Load(durable.OS, dir, time.Now, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	if string(first.PEM()) != string(second.PEM()) {
		t.Error("got another root at the second start, want the same")
	}
	info, err := os.Stat(filepath.Join(dir, localca.KeyFile))
	if err != nil {
		t.Fatal(err)
	}
	if got := info.Mode().Perm(); got != 0o600 {
		t.Errorf("got mode %o of the key, want 600", got)
	}
	if block, _ := pem.Decode(first.PEM()); block == nil || block.Type != "CERTIFICATE" {
		t.Error("got no PEM of a certificate")
	}
}

func TestLeafCertificatesAreCachedAndRenewed(t *testing.T) {
	t.Parallel()
	now := time.Now()
	a, err := localca.New(func() time.Time { return now })
	if err != nil {
		t.Fatal(err)
	}
	serial := func() string {
		pair, err := a.Certificate(&tls.ClientHelloInfo{ServerName: "hub-1.azure-devices.net"})
		if err != nil {
			t.Fatal(err)
		}
		return pair.Leaf.SerialNumber.String()
	}
	first := serial()
	if second := serial(); second != first {
		t.Error("got a new certificate at once, want the same")
	}
	now = now.Add(150 * 24 * time.Hour)
	if later := serial(); later == first {
		t.Error("got the same certificate in the last third of its life, want a new one")
	}
}
