package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"math/big"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"evenkeel/internal/background"
	"evenkeel/internal/environment"
)

// newPatient returns an examination of a checkout with a certificate, good for a day from now, and a background process that says it
// runs but where nobody of ours answers.
func newPatient(t *testing.T) *examination {
	t.Helper()
	folder := environment.Folder{Root: t.TempDir()}
	d := &examination{folder: folder, process: background.Process{Folder: folder.Background(), Log: folder.Log()}, now: time.Now}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "another"}, NotBefore: time.Now().Add(-time.Minute),
		NotAfter: time.Now().Add(24 * time.Hour), IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err == nil {
		err = errors.Join(os.MkdirAll(folder.Emulator(), 0o700), os.MkdirAll(folder.Background(), 0o700), os.WriteFile(filepath.Join(folder.Emulator(), "ca.pem"),
			pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600))
	}
	if err != nil {
		t.Fatal(err)
	}
	stranger := httptest.NewTLSServer(nil)
	t.Cleanup(stranger.Close)
	release, err := d.process.Claim()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(release)
	if err := d.process.Announce("http://127.0.0.1:1/readyz", environment.Endpoints{Data: stranger.URL}); err != nil {
		t.Fatal(err)
	}
	return d
}

func TestAnEmulatorThatDoesNotAnswerOrIsNotTrustedIsFound(t *testing.T) {
	t.Parallel()
	d := newPatient(t)
	if f := d.emulator(t.Context()); f.Verdict != failed || !strings.Contains(f.Hint, "keel emulator stop") {
		t.Errorf("emulator: got %+v, want it failed, with a hint", f)
	}
	if f := d.certificate(t.Context()); f.Verdict != failed || !strings.Contains(f.Detail, "not trusted") || !strings.Contains(f.Hint, "begin anew") {
		t.Errorf("certificate: got %+v, want it failed, with a hint", f)
	}
}

func TestAClockFarOffIsFound(t *testing.T) {
	t.Parallel()
	d := newPatient(t)
	for shift, want := range map[time.Duration]verdict{0: fine, -time.Hour: failed, 48 * time.Hour: failed} {
		d.now = func() time.Time { return time.Now().Add(shift) }
		if f := d.clock(t.Context()); f.Verdict != want || (f.Hint == "") != (want == fine) {
			t.Errorf("%v off: got %+v, want %s", shift, f, want)
		}
	}
}
