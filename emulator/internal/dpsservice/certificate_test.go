package dpsservice_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"math/big"
	"strings"
	"testing"
	"time"

	"evenkeel/emulator/internal/dpsservice"
)

// selfSigned creates a certificate and returns its DER and the info in replies.
func selfSigned(t testing.TB, name string) (der []byte, info string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatalf("make a key: %v", err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(0x0a1b2c), Subject: pkix.Name{CommonName: name, Organization: []string{"Sails, Ltd"},
			Country: []string{"NL"}},
		NotBefore: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC), NotAfter: time.Date(2027, 1, 2, 3, 4, 5, 0, time.UTC),
	}
	der, err = x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatalf("make a certificate: %v", err)
	}
	subject := fmt.Sprintf(`"CN=%s, O=\"Sails, Ltd\", C=NL"`, name)
	return der, fmt.Sprintf(`{"info":{"subjectName":%s,"issuerName":%s,"sha1Thumbprint":"%X","sha256Thumbprint":"%X",
		"notBeforeUtc":"2026-01-02T03:04:05Z","notAfterUtc":"2027-01-02T03:04:05Z","serialNumber":"0A1B2C","version":3}}`,
		subject, subject, sha1.Sum(der), sha256.Sum256(der))
}

func TestCertificates(t *testing.T) {
	t.Parallel()
	der, info := selfSigned(t, "a")
	der2, info2 := selfSigned(t, "a")
	pemText := string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
	b64 := base64.StdEncoding.EncodeToString
	wrapped := strings.TrimSuffix(strings.TrimPrefix(strings.ReplaceAll(pemText, "-----\n", "-----"),
		"-----BEGIN CERTIFICATE-----"),
		"-----END CERTIFICATE-----")
	tests := []struct{ name, path, id, member, primary, secondary, wantSecondary string }{
		{"PEM text", "enrollments", "registrationId", "clientCertificates", pemText, "", info},
		{"base64 of DER", "enrollments", "registrationId", "clientCertificates", b64(der), "", info},
		{"base64 of DER with line breaks", "enrollments", "registrationId", "clientCertificates", wrapped, "", info},
		{"base64 of PEM text", "enrollments", "registrationId", "clientCertificates", b64([]byte(pemText)), "", info},
		{"two certificates", "enrollments", "registrationId", "clientCertificates", pemText, b64(der2), info2},
		{"a group", "enrollmentGroups", "enrollmentGroupId", "signingCertificates", pemText, "", info},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, dpsservice.Options{})
			certificates := fmt.Sprintf(`"primary":{"certificate":%q}`, test.primary)
			if test.secondary != "" {
				certificates += fmt.Sprintf(`,"secondary":{"certificate":%q}`, test.secondary)
			}
			path := "/" + test.path + "/a"
			w.put(t, path, fmt.Sprintf(`{%q:"a","attestation":{"type":"x509","x509":{%q:{%s}}}}`, test.id, test.member,
				certificates))
			w.do(t, call{method: "POST", path: path + "/attestationmechanism"}).want(t, 200,
				fmt.Sprintf(`{"type":"x509","x509":{%q:{"primary":%s,"secondary":%s}}}`, test.member, info,
					test.wantSecondary))
		})
	}
}

// A PEM reader that skips what it cannot decode would enroll the next certificate of the chain, which signed many
// others.
func TestDamagedCertificateIsNotSkipped(t *testing.T) {
	t.Parallel()
	w := newWorld(t, dpsservice.Options{})
	first, info := selfSigned(t, "a")
	second, _ := selfSigned(t, "root")
	text := func(der []byte) string {
		return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
	}
	body := func(certificate string) string {
		return fmt.Sprintf(`{"registrationId":"a","attestation":{"type":"x509","x509":{"clientCertificates":{"primary":{"certificate":%q}}}}}`, certificate)
	}
	good := text(first)
	for name, damaged := range map[string]string{
		"a character": strings.Replace(good, "\nM", "\n!", 1), "no end": strings.Split(good, "-----END")[0],
		"blanks":         strings.ReplaceAll(good, "\n", " ") + "\n",
		"literal breaks": strings.ReplaceAll(good, "\n", `\n`) + "\n", "other content": strings.Replace(good, "\nM",
			"\nN", 1),
	} {
		t.Run(name, func(t *testing.T) {
			for form, certificate := range map[string]string{
				"PEM": damaged + text(second), "base64": base64.StdEncoding.EncodeToString([]byte(damaged +
					text(second))),
			} {
				t.Run(form, func(t *testing.T) {
					got := w.do(t, call{method: "PUT", path: "/enrollments/a", body: body(certificate)})
					if got.status != 400 || !strings.Contains(got.body, "neither a PEM certificate") {
						t.Errorf("%s, %s: got %d %s, want a refusal", name, form, got.status, got.body)
					}
				})
			}
		})
	}
	w.put(t, "/enrollments/a", body("\ufeff"+good+text(second)))
	w.do(t, call{method: "POST", path: "/enrollments/a/attestationmechanism"}).want(t, 200,
		fmt.Sprintf(`{"type":"x509","x509":{"clientCertificates":{"primary":%s,"secondary":%s}}}`, info, info))
}

// Azure's command line reads an entry, changes a member and writes it back, with the certificates only as info.
func TestCertificateInfoKeepsTheCertificate(t *testing.T) {
	t.Parallel()
	w := newWorld(t, dpsservice.Options{})
	der, info := selfSigned(t, "a")
	_, other := selfSigned(t, "a")
	body := func(certificate, status string) string {
		return fmt.Sprintf(`{"registrationId":"a","provisioningStatus":%q,"attestation":{"type":"x509","x509":{"clientCertificates":{"primary":%s}}}}`,
			status, certificate)
	}
	w.put(t, "/enrollments/a", body(fmt.Sprintf(`{"certificate":%q}`, base64.StdEncoding.EncodeToString(der)),
		"enabled"))
	w.put(t, "/enrollments/a", body(info, "disabled"))
	if got := w.do(t, call{method: "GET", path: "/enrollments/a"}); !strings.Contains(got.body, `"disabled"`) ||
		!strings.Contains(got.body, "0A1B2C") {
		t.Errorf("got %s, want the certificate kept and the status changed", got.body)
	}
	w.do(t, call{method: "PUT", path: "/enrollments/a", body: body(other, "enabled")}).wantError(t, 400, 400004,
		"certificate is required")
}

// Azure's command line removes a certificate by writing the entry without it (azure-iot-cli-extension,
// test_dps_enrollment_x509_lifecycle).
func TestAPrimaryCertificateIsRemoved(t *testing.T) {
	t.Parallel()
	for path, of := range map[string]struct{ id, member string }{
		"/enrollments/a":      {"registrationId", "clientCertificates"},
		"/enrollmentGroups/a": {"enrollmentGroupId", "signingCertificates"},
	} {
		w := newWorld(t, dpsservice.Options{})
		primary, _ := selfSigned(t, "a")
		secondary, info := selfSigned(t, "a")
		body := func(certificates string) string {
			return fmt.Sprintf(`{%q:"a","attestation":{"type":"x509","x509":{%q:%s}}}`, of.id, of.member, certificates)
		}
		b64 := base64.StdEncoding.EncodeToString
		w.put(t, path, body(fmt.Sprintf(`{"primary":{"certificate":%q},"secondary":{"certificate":%q}}`, b64(primary),
			b64(secondary))))
		w.put(t, path, body(`{"primary":null,"secondary":`+info+`}`))
		w.do(t, call{method: "POST", path: path + "/attestationmechanism"}).want(t, 200,
			fmt.Sprintf(`{"type":"x509","x509":{%q:{"secondary":%s}}}`, of.member, info))
		w.do(t, call{method: "PUT", path: path, body: body(`{"primary":null,"secondary":null}`)}).wantError(t, 400,
			400004, "needs primary, secondary or both")
	}
}

func TestCAReferences(t *testing.T) {
	t.Parallel()
	w := newWorld(t, dpsservice.Options{})
	for _, references := range []string{`{"primary":"root-1","secondary":"root-2"}`, `{"primary":"root-1"}`,
		`{"secondary":"root-2"}`} {
		mechanism := `{"type":"x509","x509":{"caReferences":` + references + `}}`
		w.put(t, "/enrollmentGroups/g", `{"enrollmentGroupId":"g","attestation":`+mechanism+`}`)
		w.do(t, call{method: "POST", path: "/enrollmentGroups/g/attestationmechanism"}).want(t, 200, mechanism)
	}
	w.do(t, call{method: "PUT", path: "/enrollmentGroups/g",
		body: `{"enrollmentGroupId":"g","attestation":{"type":"x509","x509":{"caReferences":{}}}}`}).
		wantError(t, 400, 400004, "caReferences needs primary, secondary or both")
}
