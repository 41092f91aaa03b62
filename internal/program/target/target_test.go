package target_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"math/big"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"evenkeel/internal/program/target"
	"evenkeel/internal/program/topology"
)

// emulator serves TLS on loopback and returns its address and the file of its CA.
func emulator(t *testing.T) (endpoint, caFile string) {
	t.Helper()
	server := httptest.NewTLSServer(http.NotFoundHandler())
	t.Cleanup(server.Close)
	caFile = filepath.Join(t.TempDir(), "ca.pem")
	block := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})
	if err := os.WriteFile(caFile, block, 0o600); err != nil {
		t.Fatal(err)
	}
	return server.URL, caFile
}

// certificate writes a certificate that has signed nothing.
func certificate(t *testing.T) string {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour), IsCA: true,
		BasicConstraintsValid: true}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "other.pem")
	if err := os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

func TestTargetAndPluginMustBelongTogether(t *testing.T) {
	t.Parallel()
	endpoint, caFile := emulator(t)
	otherCA := certificate(t)
	gone, goneCA := emulator(t)
	gone = strings.Replace(gone, "127.0.0.1", "127.0.0.2", 1) // where nothing listens
	for name, tc := range map[string]struct {
		target, endpoint, caFile, attached string
		want                               string // part of the error; empty for none
	}{
		"local, attached":              {topology.Local, endpoint, caFile, "azure-native:4711", ""},
		"local, attached among others": {topology.Local, endpoint, caFile, "random:1,azure-native:4711", ""},
		"azure, not attached":          {topology.Azure, "", "", "", ""},
		"azure, another one attached":  {topology.Azure, "", "", "random:1", ""},
		"local, not attached":          {topology.Local, endpoint, caFile, "", "keel exec -- pulumi"},
		"local, another one attached": {topology.Local, endpoint, caFile, "azure-native-extra:1",
			"keel exec -- pulumi"},
		"azure, attached":       {topology.Azure, "", "", "azure-native:4711", "keel env --unset"},
		"local, no emulator":    {topology.Local, gone, goneCA, "azure-native:1", "keel emulator start"},
		"local, another answer": {topology.Local, endpoint, otherCA, "azure-native:1", "keel emulator start"},
		"local, no CA file":     {topology.Local, endpoint, caFile + ".gone", "azure-native:1", "read its CA"},
		"local, endpoint without scheme": {topology.Local, "127.0.0.1:1", caFile, "azure-native:1",
			"not an https address"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			stack := &topology.Topology{Stack: "s", Target: tc.target, Endpoint: tc.endpoint, CAFile: tc.caFile}
			err := target.Check(context.Background(), stack, tc.attached)
			switch {
			case tc.want == "" && err != nil:
				t.Errorf("got %v, want no error", err)
			case tc.want != "" && (err == nil || !strings.Contains(err.Error(), tc.want)):
				t.Errorf("got %v, want an error with %q", err, tc.want)
			}
		})
	}
}
