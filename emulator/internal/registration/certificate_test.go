package registration_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"math/big"
	"testing"
	"time"

	"evenkeel/emulator/internal/registration"
	"evenkeel/emulator/internal/state"
)

// authority is a certificate with its key.
type authority struct {
	*x509.Certificate
	key *ecdsa.PrivateKey
}

// issue makes a certificate: signed by issuer, or by itself when nil.
func issue(t *testing.T, issuer *authority, name string, ca bool, notAfter time.Time) *authority {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatalf("make a key: %v", err)
	}
	serial, err := rand.Int(rand.Reader, big.NewInt(1<<62))
	if err != nil {
		t.Fatalf("make a serial number: %v", err)
	}
	template := &x509.Certificate{
		SerialNumber: serial, Subject: pkix.Name{CommonName: name}, BasicConstraintsValid: true, IsCA: ca,
		NotBefore: start.Add(-time.Hour), NotAfter: notAfter,
	}
	if ca {
		template.KeyUsage = x509.KeyUsageCertSign
	}
	parent, signer := template, key
	if issuer != nil {
		parent, signer = issuer.Certificate, issuer.key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, &key.PublicKey, signer)
	if err != nil {
		t.Fatalf("make a certificate: %v", err)
	}
	certificate, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatalf("parse a certificate: %v", err)
	}
	return &authority{certificate, key}
}

func signing(a *authority) state.Settings {
	return state.Settings{Attestation: state.Attestation{X509: &state.X509Attestation{SigningPrimary: a.Raw, SigningSecondary: a.Raw}}}
}

func chain(links ...*authority) []*x509.Certificate {
	var certificates []*x509.Certificate
	for _, a := range links {
		certificates = append(certificates, a.Certificate)
	}
	return certificates
}

func TestRegisterWithACertificate(t *testing.T) {
	t.Parallel()
	year := start.AddDate(1, 0, 0)
	root := issue(t, nil, "root", true, year)
	factory := issue(t, root, "factory", true, year)
	line := issue(t, factory, "line", true, year)
	leaf := func(by *authority, id string) *authority { return issue(t, by, id, false, year) }
	own, twin, rolled := leaf(nil, "own"), leaf(nil, "own"), leaf(nil, "own")
	stranger := leaf(issue(t, nil, "root", true, year), "sn-1")
	expired := issue(t, factory, "sn-1", false, start.Add(-time.Minute))
	off := signing(line)
	off.Disabled = true

	w := newWorld(t, registration.Options{})
	w.enrollGroup(t, state.EnrollmentGroup{ID: "all", Settings: signing(root)})
	w.enrollGroup(t, state.EnrollmentGroup{ID: "by-factory", Settings: signing(factory)})
	w.enrollGroup(t, state.EnrollmentGroup{ID: "keys", Settings: keys(key1, key2)})
	w.enrollGroup(t, state.EnrollmentGroup{ID: "line-off", Settings: off})
	w.enroll(t, state.Enrollment{RegistrationID: "own", Settings: state.Settings{Attestation: state.Attestation{
		X509: &state.X509Attestation{ClientPrimary: own.Raw, ClientSecondary: rolled.Raw}}}})

	byFactory, byLine := leaf(factory, "sn-1"), leaf(line, "sn-2")
	byRoot, inCase := leaf(root, "sn-3"), leaf(root, "SN-4")
	tests := []struct {
		name   string
		id     string
		chain  []*x509.Certificate
		status string
		group  string
	}{
		{"the enrollment's certificate", "own", chain(own), "assigned", ""},
		{"the enrollment's second certificate", "own", chain(rolled), "assigned", ""},
		{"another certificate of that name", "own", chain(twin), "refused", ""},
		{"a chain that does not count for an enrollment", "own", chain(leaf(root, "own"), root), "refused", ""},
		{"a leaf of the root", "sn-3", chain(byRoot), "assigned", "all"},
		{"the root presented too", "sn-3", chain(byRoot, root), "assigned", "all"},
		{"the group nearest the leaf", "sn-1", chain(byFactory, factory, root), "assigned", "by-factory"},
		{"the nearest group is disabled", "sn-2", chain(byLine, line, factory, root), "disabled", ""},
		{"a common name in another letter case", "sn-4", chain(inCase), "assigned", "all"},
		{"a common name that is not the id", "sn-9", chain(byRoot), "refused", ""},
		{"a root of the same name", "sn-1", chain(stranger), "refused", ""},
		{"an expired leaf", "sn-1", chain(expired, factory), "refused", ""},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			got := w.register(t, attempt{id: test.id, certificates: test.chain})
			if test.status == "refused" {
				got.want(t, 401, errorJSON(401002, "Invalid certificate."))
				return
			}
			body, _ := tree(t, got.body).(map[string]any)
			result, _ := body["registrationState"].(map[string]any)
			if got.status != 200 || body["status"] != test.status {
				t.Fatalf("got %d %s, want %s", got.status, got.body, test.status)
			}
			if test.status != "assigned" {
				return
			}
			x509Result, _ := result["x509"].(map[string]any)
			if group, _ := x509Result["enrollmentGroupId"].(string); x509Result == nil || group != test.group {
				t.Errorf("got x509 %v, want the group %q", result["x509"], test.group)
			}
			if test.id == "own" {
				return // two certificates take turns
			}
			device, err := w.st.Device(result["assignedHub"].(string), test.id)
			if want := fmt.Sprintf("%X", sha256.Sum256(test.chain[0].Raw)); err != nil || device.Auth != state.AuthSelfSigned || device.PrimaryThumbprint != want {
				t.Errorf("got the hub's device %+v, %v, want the leaf's thumbprint %s", device, err, want)
			}
		})
	}
}
